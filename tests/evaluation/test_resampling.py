"""Intervals that cover, tests that rarely cry wolf, and groups that count as one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from src import scoring
from src.evaluation.resampling import EXACT_GROUPS, paired_difference, paired_differences

REFERENCES = [f"문맥에 따르면 {300 + number}W입니다." for number in range(40)]
SHORT = [f"{300 + number}W입니다." for number in range(40)]


def simulate(effect: float, *, groups: int, per_group: int, repetitions: int, by_group: bool = True):
    """Share of intervals that cover ``effect`` and of p-values at most 0.05, on scores whose differences share a
    normal effect of their group and have one of their own (correlation 0.5 within a group)."""
    random = np.random.default_rng(11)
    labels = np.repeat(np.arange(groups), per_group)
    covered = claimed = 0
    for repetition in range(repetitions):
        base = random.uniform(0.2, 0.5, len(labels))
        shared = random.normal(0, 0.1, groups)[labels]
        difference = effect + shared + random.normal(0, 0.1, len(labels))
        entry = paired_difference(
            base, base + difference, groups=labels if by_group else None, n_resamples=400, seed=repetition
        )
        covered += entry.interval[0] <= effect <= entry.interval[1]
        claimed += entry.p_value <= 0.05
    return covered / repetitions, claimed / repetitions


def test_interval_covers_and_no_difference_is_seldom_called_one():
    covered, found = simulate(0.1, groups=40, per_group=1, repetitions=1000)
    assert 0.93 <= covered <= 0.97
    assert found > 0.9
    covered, false_alarms = simulate(0.0, groups=40, per_group=1, repetitions=1000)
    assert 0.93 <= covered <= 0.97
    assert 0.03 <= false_alarms <= 0.07


def test_questions_of_one_product_are_not_independent():
    covered, false_alarms = simulate(0.0, groups=26, per_group=8, repetitions=1000)
    assert 0.93 <= covered <= 0.97
    assert 0.03 <= false_alarms <= 0.07
    covered, false_alarms = simulate(0.0, groups=26, per_group=8, repetitions=200, by_group=False)
    assert covered < 0.8 and false_alarms > 0.2  # what resampling single questions would claim


def test_right_and_wrong_answers_in_unequal_groups():
    """0/1 scores, groups of 4 to 29 questions as in the test split, a known difference of 0.1."""
    random = np.random.default_rng(5)
    sizes = random.integers(4, 30, 26)
    labels = np.repeat(np.arange(26), sizes)
    covered = 0
    for repetition in range(1000):
        share = random.beta(8, 4, 26)[labels]
        base = random.random(len(labels)) < share - 0.1
        tuned = random.random(len(labels)) < share
        entry = paired_difference(
            base.astype(float), tuned.astype(float), groups=labels, n_resamples=300, seed=repetition
        )
        covered += entry.interval[0] <= 0.1 <= entry.interval[1]
    assert 0.93 <= covered / 1000 <= 0.97


def test_interval_width_and_p_value_are_the_normal_ones():
    difference = np.random.default_rng(3).normal(0.05, 0.3, 400)
    entry = paired_difference(np.zeros(400), difference, n_resamples=4000, seed=0)
    half = (entry.interval[1] - entry.interval[0]) / 2
    assert half == pytest.approx(1.96 * difference.std() / 20, rel=0.05)
    z = difference.mean() / (np.sqrt((difference**2).mean()) / 20)
    assert entry.p_value == pytest.approx(2 * norm.sf(abs(z)), abs=0.015)


def test_few_groups_are_never_significant():
    for groups in range(2, 6):
        labels = np.repeat(np.arange(groups), 50)
        entry = paired_difference(
            np.zeros(50 * groups), np.ones(50 * groups), groups=labels, n_resamples=2000, seed=0
        )
        assert entry.difference == 1 and entry.p_value > 0.05


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=7), st.sampled_from([1, 20, 50]), st.integers(0, 3))
def test_few_groups_are_exchanged_in_every_way(differences, n_resamples, seed):
    """p is the share of the 2^G exchanges as large or larger, whatever the draws and the seed."""
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    expected = sum(value >= abs(sum(differences)) for value in sums) / len(sums)
    tuned = np.array(differences, dtype=float)
    entry = paired_difference(np.zeros(len(tuned)), tuned, n_resamples=n_resamples, seed=seed)
    assert entry.p_value == pytest.approx(expected, abs=1e-6)


def test_more_groups_are_exchanged_at_random():
    settings = {"n_resamples": 2000, "seed": 0}
    for groups, lowest in ((EXACT_GROUPS, 2 / 2**EXACT_GROUPS), (EXACT_GROUPS + 1, 1 / 2001)):
        entry = paired_difference(np.zeros(groups), np.ones(groups), **settings)
        assert entry.p_value == pytest.approx(lowest, abs=1e-6)


def test_what_cannot_be_compared_is_refused_with_a_reason():
    ones, settings = np.ones(3), {"n_resamples": 10, "seed": 0}
    with pytest.raises(ValueError, match="앞 시스템의 점수 2개, 뒤 시스템의 점수 3개"):
        paired_difference(np.ones(2), ones, **settings)
    with pytest.raises(ValueError, match="묶음 2개"):
        paired_difference(ones, ones, groups=["가", "나"], **settings)
    with pytest.raises(ValueError, match="견줄 질문이 없습니다"):
        paired_difference(np.ones(0), np.ones(0), **settings)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="NaN"):
            paired_difference(ones, np.array([1, bad, 1]), **settings)
    with pytest.raises(ValueError, match="세는 질문이 하나도 없어"):
        paired_difference(np.zeros((3, 2)), np.zeros((3, 2)), **settings)


def test_bleu_and_chrf_intervals_are_what_rescoring_each_draw_gives(monkeypatch):
    groups = [number // 4 for number in range(40)]
    draws = np.random.default_rng(7).multinomial(10, np.full(10, 0.1), size=30)
    monkeypatch.setattr("src.evaluation.resampling._draws", lambda *_: draws)
    extract = {"bleu": scoring.bleu_statistics, "chrf": scoring.chrf_statistics}
    sides = [
        {name: count(side, REFERENCES) for name, count in extract.items()} for side in (SHORT, REFERENCES)
    ]
    monkeypatch.setattr("src.evaluation.resampling._tail", lambda _: 0.1)
    entries = paired_differences(*sides, groups=groups, n_resamples=30, seed=0)
    for name, compute in (("bleu", scoring.compute_bleu), ("chrf", scoring.compute_chrf)):
        differences = []
        for draw in draws:
            chosen = [i for i in range(40) for _ in range(draw[groups[i]])]
            references = [REFERENCES[i] for i in chosen]
            first, second = (
                compute([side[i] for i in chosen], references)[name] for side in (SHORT, REFERENCES)
            )
            differences.append(second - first)
        assert entries[name].interval == pytest.approx(np.percentile(differences, [10, 90]), abs=1e-5)


def test_questions_that_a_metric_does_not_look_at_change_nothing():
    random = np.random.default_rng(1)
    base, tuned, labels = random.random(60), random.random(60), np.repeat(np.arange(12), 5)
    seen = labels < 10  # two groups hold no such question
    options = {"n_resamples": 500, "seed": 2}
    inside = paired_difference(base[seen], tuned[seen], groups=labels[seen], **options)
    sides = [np.column_stack([side, np.ones(60)]) * seen[:, None] for side in (base, tuned)]
    entry = paired_difference(*sides, groups=labels, **options)
    for key in ("base", "tuned", "difference"):
        assert getattr(entry, key) == pytest.approx(getattr(inside, key), abs=2e-6)
    assert entry.interval == pytest.approx(inside.interval, abs=0.04)
    # Groups so rare that some draws hold none of them.
    rare = [np.column_stack([side, np.ones(60)]) * (labels < 2)[:, None] for side in (base, tuned)]
    assert np.isfinite(paired_difference(*rare, groups=labels, **options).interval).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=20))
def test_swapping_the_systems_mirrors_everything(rows):
    base, tuned, groups = (np.array(column) for column in zip(*rows, strict=True))
    options = {"groups": groups.tolist(), "n_resamples": 50, "seed": 0}
    there, back = paired_difference(base, tuned, **options), paired_difference(tuned, base, **options)
    assert there.difference == pytest.approx(-back.difference, abs=2e-6)
    assert there.interval == pytest.approx([-end for end in back.interval[::-1]], abs=2e-6)
    assert there.p_value == back.p_value
    low, high = there.interval
    assert low - 1e-6 <= high and 0 < there.p_value <= 1
