from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.near_duplicates import brute_force, exponent, make_rows, recall
from src.data.similarity import FAMILY, similar_pairs
from src.data.text import text_key
from src.profiles import ROOT


def jaccard(one: str, other: str) -> float:
    a, b = ({key[i : i + 3] for i in range(max(1, len(key) - 2))} for key in (text_key(one), text_key(other)))
    return len(a & b) / len(a | b)


def test_known_values():
    texts = [
        "소비 전력은 얼마인가요?",
        "물통 용량을 알려 주세요.",
        "소비 전력은 얼마인가요",
        "소비전력은 얼마 인가?",
    ]
    assert similar_pairs(texts) == [(2, 0, 1.0)]
    assert similar_pairs(texts, threshold=0.6) == [(2, 0, 1.0), (3, 0, 7 / 8)]


def test_odd_texts_pair_with_their_like():
    texts = ["", "?!", "가", "\ud800", "가", "가나", "가 나", "ＡＢＣ", "abc"]
    assert similar_pairs(texts) == [(1, 0, 1.0), (3, 0, 1.0), (4, 2, 1.0), (6, 5, 1.0), (8, 7, 1.0)]
    assert similar_pairs([]) == similar_pairs(["하나"]) == []


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match="threshold"):
        similar_pairs(["가"], threshold=threshold)


texts = st.lists(st.text("가나다라 ?", max_size=14), max_size=25)


@given(texts, st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
def test_pairs_are_exact_and_equal_texts_always_pair(texts, threshold):
    pairs = similar_pairs(texts, threshold=threshold)
    assert pairs == sorted(set(pairs))
    for late, early, score in pairs:
        assert early < late and score >= threshold
        assert score == pytest.approx(jaccard(texts[late], texts[early]))
    first: dict[str, int] = {}
    for position, text in enumerate(texts):
        if (earlier := first.setdefault(text_key(text), position)) != position:
            assert (position, earlier, 1.0) in pairs


def test_identical_and_nearly_identical_families_stay_linear():
    identical = ["소비 전력은 얼마인가요?"] * 2000
    assert similar_pairs(identical) == [(late, 0, 1.0) for late in range(1, 2000)]
    boilerplate = (
        "고객님의 문의를 접수하였으며 담당자가 확인한 뒤 영업일 기준 사흘 안에 답을 드립니다. 접수 번호는 "
    )
    family = [f"{boilerplate}{number}" for number in range(1000, 1500)]
    pairs = similar_pairs(family, threshold=0.8)
    assert {late for late, _, _ in pairs} == set(range(1, 500))  # everyone has a partner
    assert len(pairs) <= 2 * FAMILY * len(family)


@pytest.mark.parametrize("threshold", [0.7, 0.8, 0.9])
def test_recall_against_brute_force(threshold):
    rows = make_rows(4000, seed=1)
    pairs, truth = similar_pairs(rows, threshold=threshold), brute_force(rows, threshold)
    assert len(truth) > 100
    assert {(late, early) for late, early, _ in pairs} <= truth
    assert recall(rows, pairs, truth) >= 0.99


def test_the_same_pairs_in_every_process():
    code = (
        "from benchmarks.near_duplicates import make_rows; from src.data import similar_pairs;"
        "print(similar_pairs(make_rows(500), threshold=0.5))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed},
            check=True, stdout=subprocess.PIPE,
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1] and len(runs[0]) > 100


def test_exponent_of_a_power_law():
    assert exponent([10, 100, 1000], [3 * n**1.5 for n in (10, 100, 1000)]) == pytest.approx(1.5)
