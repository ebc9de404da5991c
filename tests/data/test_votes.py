"""Several people's labels: KLUE-NLI's file as its makers publish it, votes that are made up, and shares."""

from __future__ import annotations

import json

import numpy as np
import pytest

from src.data import made_up_votes, read_klue_votes, vote_shares

E, N, C = "entailment", "neutral", "contradiction"


def row(number: int, gold: str, *votes: str) -> dict:
    names = ("author", "label2", "label3", "label4", "label5")
    texts = {"guid": f"klue-nli-v1_dev_{number:05}", "source": "wikinews", "premise": f"전제 {number // 2}"}
    return texts | {"hypothesis": f"가설 {number}", "gold_label": gold} | dict(zip(names, votes, strict=True))


def test_five_votes_a_pair_and_premises_as_groups(tmp_path):
    path = tmp_path / "dev.json"
    rows = [row(0, C, C, E, E, C, C), row(1, N, N, N, N, N, N), row(2, E, E, E, None, N, E)]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    pairs, votes = read_klue_votes(path)
    assert votes.tolist() == [[2, 0, 0, 2, 2], [1] * 5]  # the third has a vote missing
    assert [(pair.label, pair.group_id) for pair in pairs] == [(2, "전제 0"), (1, "전제 0")]
    assert vote_shares(votes, 3).tolist() == [[0.4, 0.0, 0.6], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "에서 받아"),
        ("", "원본 파일이 아닙니다"),
        ('{"a": 1}', "원본 파일이 아닙니다"),
        (json.dumps([dict.fromkeys(("author", "label2", "label3", "label4", "label5"), E)]), "원본"),
        (json.dumps([{"premise": "전제"}]), "다섯 사람의 표"),
    ],
)
def test_another_file_is_refused_in_words(tmp_path, text, said):
    path = tmp_path / "dev.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        read_klue_votes(path)


def test_voters_slip_as_often_as_they_are_told():
    labels, slips = np.arange(4000) % 3, np.where(np.arange(4000) < 2000, 0.0, 0.3)
    votes = made_up_votes(labels, slips, 5, 0, classes=3)
    slipped = votes != labels[:, None]
    assert votes.shape == (4000, 5) and not slipped[:2000].any()
    assert slipped[2000:].mean() == pytest.approx(0.3, abs=0.02)
    assert (votes == made_up_votes(labels, slips, 5, 0, classes=3)).all()
    assert vote_shares(votes, 3).sum(axis=1) == pytest.approx(1)
