"""Shares and AUROC with intervals: known values, scikit-learn's, and whole groups drawn again."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from src.evaluation.estimates import AUROC, Estimate, Share, estimate, label_table
from src.evaluation.resampling import paired_difference

DRAWS = {"n_resamples": 400, "seed": 3}


@pytest.fixture
def table():
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(12), 5)
    positive = rng.random(60) > 0.4
    scores = np.round(positive + rng.normal(size=60), 1)  # rounded: some are equal
    return groups, positive, scores


def test_auc_is_scikit_learns_ties_included(table):
    groups, positive, scores = table
    found = estimate(AUROC(scores, positive), groups=groups, **DRAWS)
    assert found.value == pytest.approx(roc_auc_score(positive, scores), abs=1e-6)
    assert found.low < found.value < found.high
    assert estimate(AUROC(positive, positive), groups=groups, **DRAWS) == Estimate(1.0, 1.0, 1.0, 12)
    assert estimate(AUROC(np.zeros(60), positive), groups=groups, **DRAWS) == Estimate(0.5, 0.5, 0.5, 12)


def test_a_draw_is_scikit_learns_auc_of_the_rows_drawn(table):
    groups, positive, scores = table
    members = (np.arange(12)[:, None] == groups).astype(float)
    draws = np.random.default_rng(0).multinomial(12, np.ones(12) / 12, size=5)
    expected = [
        roc_auc_score(np.repeat(positive, draw[groups]), np.repeat(scores, draw[groups])) for draw in draws
    ]
    np.testing.assert_allclose(AUROC(scores, positive).statistic(members)(draws.astype(float)), expected)


def test_a_share_and_its_difference_are_those_of_the_paired_bootstrap(table):
    groups, positive, scores = table
    first, second = positive.astype(float), (scores > 0.5).astype(float)
    known = paired_difference(second, first, "exact_match", groups=groups, **DRAWS)
    found = estimate(Share(first), Share(second), groups=groups, **DRAWS)
    assert (found.value, (found.low, found.high)) == (known.difference, known.interval)
    assert estimate(Share(first), groups=groups, **DRAWS).value == pytest.approx(first.mean(), abs=1e-6)


def test_a_share_among_some(table):
    groups, positive, scores = table
    some = scores > 0
    found = estimate(Share(positive, among=some), Share(positive, among=~some), groups=groups, **DRAWS)
    assert found.value == pytest.approx(positive[some].mean() - positive[~some].mean(), abs=1e-6)
    assert found.judgement == "나아짐"


def test_the_same_system_twice_shows_no_difference(table):
    groups, positive, scores = table
    same = estimate(AUROC(scores, positive), AUROC(scores * 2 + 1, positive), groups=groups, **DRAWS)
    assert same == Estimate(0.0, 0.0, 0.0, 12) and same.judgement == "같음"


def test_rows_of_one_group_are_drawn_together(table):
    """Sixty copies of twelve independent products are no sixty questions."""
    groups, positive, _ = table
    of_group = positive[::5].repeat(5)
    wide, narrow = (estimate(Share(of_group), groups=labels, **DRAWS) for labels in (groups, np.arange(60)))
    assert wide.high - wide.low > 1.7 * (narrow.high - narrow.low)


def test_one_kind_of_question_or_none_is_said_in_korean(table):
    groups, positive, scores = table
    for side in (AUROC(scores, np.ones(60, dtype=bool)), Share(positive, among=np.zeros(60, dtype=bool))):
        with pytest.raises(ValueError, match="한 가지 정답뿐"):
            estimate(side, groups=groups, **DRAWS)
    with pytest.raises(ValueError, match="목록의 수가 다릅니다"):
        estimate(Share(positive), groups=groups[:-1], **DRAWS)
    with pytest.raises(ValueError, match="목록의 수가 다릅니다"):
        estimate(AUROC(scores, positive[:-1]), groups=groups, **DRAWS)


def test_few_groups_and_one_group_still_answer():
    found = estimate(Share([1, 0, 1]), groups=["가"] * 3, **DRAWS)  # one group: its questions are drawn
    assert found.low < 2 / 3 < found.high
    found = estimate(AUROC([0.9, 0.1], [True, False]), groups=["가", "나"], **DRAWS)
    assert found == Estimate(1.0, 1.0, 1.0, 2)


def test_a_table_of_ways_to_ask(table):
    groups, positive, scores = table
    leans = {"그대로": scores - 0.5, "한쪽으로 민 것": scores + 9, "뒤집은 것": 0.5 - scores}
    shown = label_table(leans, positive, groups=groups, **DRAWS)
    assert list(shown.index) == list(leans) and shown.loc["그대로", "정확도 판정"] == "–"
    pushed, turned = shown.loc["한쪽으로 민 것"], shown.loc["뒤집은 것"]
    assert (pushed["AUROC 판정"], pushed["AUROC의 차이"][:6], pushed["첫 말의 비율"]) == (
        "같음",
        "+0.000",
        "1.00",
    )
    assert pushed["정확도"][:5] == f"{positive.mean():.3f}"
    assert turned["AUROC 판정"] == turned["정확도 판정"] == "나빠짐"
    right = roc_auc_score(positive, scores)
    assert turned["AUROC의 차이"][:6] == f"{1 - 2 * right:+.3f}"


def test_how_a_number_and_a_difference_are_written():
    assert str(Estimate(0.5, 0.4, 0.61, 9)) == "0.500 (0.400 ~ 0.610)"
    assert Estimate(-0.02, -0.1, 0.05, 9).difference == "-0.020 (-0.100 ~ +0.050)"


@pytest.mark.parametrize(
    ("ends", "n_groups", "judgement"),
    [
        ((0.1, 0.2), 9, "나아짐"),
        ((-0.2, -0.1), 9, "나빠짐"),
        ((-0.1, 0.1), 9, "차이 불확실"),
        ((0, 0.1), 9, "차이 불확실"),
        ((0, 0), 9, "같음"),
        ((1, 1), 5, "차이 불확실"),
    ],
)
def test_what_may_be_said_of_a_difference(ends, n_groups, judgement):
    assert Estimate(0.05, *ends, n_groups).judgement == judgement


def test_one_question_against_many_says_nothing(table):
    """Its product is in every draw that counts: the interval is a point, and no evidence."""
    groups, _, _ = table
    lonely = np.arange(60) == 7
    found = estimate(Share(~lonely, among=~lonely), Share(~lonely, among=lonely), groups=groups, **DRAWS)
    assert (found.value, found.low, found.n_groups) == (1.0, 1.0, 1) and found.judgement == "차이 불확실"
