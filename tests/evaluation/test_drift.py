"""The alarm rings for a month that shifted, and where nothing shifted as rarely as it was told to."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from src.evaluation.drift import FEW_UNITS, Month, drift_alarm, drift_table, false_alarm_rate, month_of

TOPICS = ("대출", "시설", "행사")


class Counting:
    """A vector a text: how often each of some syllables stands in it."""

    def encode(self, texts):
        return np.array([[text.count(c) for c in "가나다라마바사아전자책앱"] for text in texts], dtype=float)


def asked(rng, n, *, long=0, about=TOPICS, name="a", words="가나다라마바사아"):
    texts = ["".join(rng.choice(list(words), int(rng.integers(5, 20)) + long)) for _ in range(n)]
    topics = [str(rng.choice(about)) for _ in range(n)]
    return month_of(texts, Counting(), topics=topics, groups=[f"{name}{i}" for i in range(n)])


@pytest.mark.parametrize(
    ("shift", "look"),
    [
        ({"long": 12}, "lengths"),
        ({"about": ("행사", "전자책")}, "topics"),
        ({"words": "가나전자책앱"}, "vectors"),
    ],
)
def test_a_shifted_month_rings_and_says_where(shift, look):
    rng = np.random.default_rng(0)
    drift = drift_alarm(asked(rng, 40), asked(rng, 40, name="b", **shift))
    assert drift.alarm and drift.looks[look][1] <= 0.05
    assert "경보" in str(drift) and len(drift_table(drift)) == 3
    if look == "topics":
        assert next(iter(drift.new_topics)) == "전자책" and drift.new_topics["전자책"][0] == 0


@pytest.mark.parametrize("level", [0.05, 0.2])
def test_false_alarms_come_at_the_rate_that_was_asked_for(level):
    """Months of the same source, new ones each time: within what 300 tosses allow, and not far below either."""
    rung = 0
    for trial in range(300):
        rng = np.random.default_rng([7, trial])
        months = asked(rng, 24), asked(rng, 20, name="b")
        rung += drift_alarm(*months, level=level, n_permutations=99, seed=trial).alarm
    low, high = binom.interval(0.999, 300, level)
    assert low <= rung <= high


def test_the_rate_on_ones_own_questions():
    month = asked(np.random.default_rng(1), 40)
    rate = false_alarm_rate(month, level=0.1, trials=100)
    assert rate <= binom.ppf(0.999, 100, 0.1) / 100


def test_a_quiet_month_is_no_proof_of_sameness():
    rng = np.random.default_rng(9)
    drift = drift_alarm(asked(rng, 30), asked(rng, 30, name="b"))
    assert not drift.alarm and "근거가 없다는 뜻" in str(drift)


def test_a_talkative_user_is_one_user():
    """Twenty questions of one person in another style are no new month; the same from twenty people are."""
    rng = np.random.default_rng(3)
    before, others, odd = asked(rng, 30), asked(rng, 10, name="b"), asked(rng, 20, name="c", long=30)

    def both(groups):
        return Month(
            others.texts + odd.texts,
            np.concatenate([others.vectors, odd.vectors]),
            others.topics + odd.topics,
            others.groups + groups,
        )

    assert not drift_alarm(before, both(["one"] * 20)).alarm
    assert drift_alarm(before, both(odd.groups)).alarm


def test_wide_vectors_are_compared_as_they_are():
    """More dimensions than questions: turned into fewer, with the same distances."""
    rng = np.random.default_rng(4)
    wide = [Month([str(i) for i in range(8)], rng.normal(size=(8, 500)), [""] * 8, [f"{k}{i}" for i in range(8)]) for k in "ab"]  # fmt: skip
    drift = drift_alarm(*wide)
    gap = wide[0].vectors.mean(axis=0) - wide[1].vectors.mean(axis=0)
    assert drift.looks["vectors"][0] == pytest.approx(np.linalg.norm(gap)) and "topics" not in drift.looks


def test_the_same_answer_on_every_run():
    rng = np.random.default_rng(5)
    months = asked(rng, 20), asked(rng, 20, name="b")
    assert drift_alarm(*months, seed=1) == drift_alarm(*months, seed=1)


def test_bad_input():
    rng = np.random.default_rng(6)
    month, few = asked(rng, 10), asked(rng, FEW_UNITS - 1, name="b")
    with pytest.raises(ValueError, match="두 달에 다"):
        drift_alarm(month, month)
    with pytest.raises(ValueError, match="적어"):
        drift_alarm(month, few)
    with pytest.raises(ValueError, match="모자랍니다"):
        drift_alarm(month, asked(rng, 10, name="b"), level=0.001, n_permutations=99)
    with pytest.raises(ValueError, match="수가 다릅니다"):
        month_of(["가"], Counting(), topics=["a", "b"])
    with pytest.raises(ValueError, match="하나도"):
        month_of([], Counting())
