"""Pairs out of records: what each label promises holds, and a hypothesis does not tell its label."""

from __future__ import annotations

from collections import Counter

import pytest

from src.data import ANSWERABLE, NLI, Pair, check_labels, label_table, read_klue_nli
from src.data.schemas import RaftRecord
from src.profiles import PROFILES
from src.raft import answerability_pairs, as_record, holds_answer, nli_pairs, pair_messages


def record(number: int, *, answerable: bool = True) -> RaftRecord:
    golden, other = f"모델 {number}의 소비 전력은 {100 + number}W입니다.", f"모델 {number}은 흰색입니다."
    return RaftRecord(
        id=f"r{number}",
        instruction="답하세요.",
        context=[other, golden] if answerable else [other],
        question=f"모델 {number}의 소비 전력은 얼마인가요?",
        answer=f"문맥에 따르면 {100 + number}W입니다."
        if answerable
        else "주어진 문맥에서 답을 찾을 수 없습니다.",
        group_id=f"g{number // 2}",
        golden_index=1 if answerable else None,
        answerable=answerable,
        n_tokens=0,
        seed=0,
    )


RECORDS = [record(number, answerable=number % 5 > 0) for number in range(20)]


def test_a_document_answers_where_the_label_says_so():
    pairs = answerability_pairs(RECORDS, seed=1)
    assert [pair.label for pair in pairs] == [int(r.answerable) for r in RECORDS]
    for pair, r in zip(pairs, RECORDS, strict=True):
        assert ("소비 전력" in pair.premise) == r.answerable and pair.hypothesis == r.question
    assert pairs == answerability_pairs(RECORDS, seed=1)


def test_three_pairs_a_record_and_each_is_what_it_is_called():
    pairs = nli_pairs(RECORDS, seed=1)
    assert len(pairs) == 3 * sum(r.answerable for r in RECORDS)
    for entailed, neutral, contradicted in zip(pairs[::3], pairs[1::3], pairs[2::3], strict=True):
        assert [p.label for p in (entailed, neutral, contradicted)] == [0, 1, 2]
        assert len({p.group_id for p in (entailed, neutral, contradicted)}) == 1
        assert entailed.hypothesis == neutral.hypothesis and entailed.premise == contradicted.premise
        assert holds_answer(entailed.premise, entailed.claim)
        assert not holds_answer(neutral.premise, neutral.claim)
        assert not holds_answer(contradicted.premise, contradicted.claim)
        assert contradicted.claim.endswith("W입니다.")  # of the same form
    assert nli_pairs([record(1)], seed=1) == []  # no other answer to take


def test_messages_show_both_texts_and_joined_ones_no_border():
    pair = nli_pairs(RECORDS, seed=1)[0]
    user = pair_messages(pair)[1]["content"]
    assert user == f"[문서 1] {pair.premise}\n[질문] {pair.question} {pair.claim}"
    assert pair_messages(pair, joined=True)[1]["content"] == pair.premise + pair.hypothesis
    assert (
        as_record(pair)["answer"] + "입니다." == pair.claim and as_record(pair)["question"] == pair.question
    )
    assert as_record(Pair("글", "", "주장", 0, "g"))["question"].endswith("무엇인가요?")


def test_the_table_counts_pairs_and_groups():
    table = label_table({"학습": answerability_pairs(RECORDS, seed=1)}, ANSWERABLE)
    assert table == [("학습", 20, 10, 4, 16)]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1], "2개뿐"),
        ([0, 1, 2] * 4 + [3], "13번째 쌍의 라벨 3"),
        ([0, 1, 2] * 4 + ["함의"], "'함의'"),
        ([-1, *[0, 1, 2] * 4], "1번째"),
        ([1] * 12, "중립 하나뿐"),
    ],
)
def test_what_no_classifier_can_learn_is_refused_in_words(labels, said):
    with pytest.raises(ValueError, match=said):
        check_labels(labels, NLI)


def test_klue_is_read_from_the_cache_by_whole_premises(tmp_path, monkeypatch):
    import pandas as pd

    rows = [(f"전제 {i // 3}", f"가설 {i}", i % 3, "x") for i in range(30)]
    (tmp_path / "nli").mkdir()
    frame = pd.DataFrame(rows, columns=["premise", "hypothesis", "label", "source"])
    frame.to_parquet(tmp_path / "nli" / "train-00000-of-00001.parquet")
    monkeypatch.setattr("src.data.pairs.fetch", lambda item: tmp_path)
    pairs = read_klue_nli(PROFILES["rtx4090"], rows=10)
    assert len(pairs) == 12 and set(Counter(p.group_id for p in pairs).values()) == {3}
    assert {(p.hypothesis, p.label) for p in pairs} <= {(row[1], row[2]) for row in rows}
    monkeypatch.setattr("src.data.pairs.fetch", lambda item: pytest.fail("tiny asks nobody"))
    with pytest.raises(ValueError, match="허브를 쓰지 않습니다"):
        read_klue_nli(PROFILES["tiny"], rows=10)
