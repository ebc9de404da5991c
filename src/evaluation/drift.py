"""Are this month's questions still those the model was trained for? An alarm whose rate of false alarms is chosen.

Three looks at once: which words are asked with (the embedder's vectors), how long the questions are, what they are about.
All of them are compared by one permutation test, so that together they cry wolf as rarely as one would.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from src.evaluation.results import ALPHA

LOOKS = {"vectors": "낱말(임베딩)", "lengths": "길이", "topics": "주제"}
CUTS = 16  # lengths at which the two distributions are compared
FEW_UNITS = 6  # groups on a side; with fewer there are too few exchanges to be sure of anything


@dataclass(frozen=True)
class Month:
    """Questions of one period: texts, their vectors (n, d), what each is about, and whose several may be."""

    texts: list[str]
    vectors: np.ndarray
    topics: list[str]
    groups: list[Hashable]

    def take(self, places: Sequence[int]) -> Self:
        return type(self)(
            [self.texts[i] for i in places],
            self.vectors[list(places)],
            [self.topics[i] for i in places],
            [self.groups[i] for i in places],
        )


def month_of(
    texts: Sequence[str],
    embedder: Any,
    *,
    topics: Sequence[str] | None = None,
    groups: Sequence[Hashable] | None = None,
) -> Month:
    """``texts`` as the alarm looks at them. ``groups`` name what several questions belong to (a user, a product), which
    then counts as one; default: every question stands for itself. Without ``topics`` those are not compared.

    Raises:
        ValueError: no question, or lists of unequal length.
    """
    topics, groups = topics or [""] * len(texts), groups or list(range(len(texts)))
    if not texts or not len(texts) == len(topics) == len(groups):
        raise ValueError(
            "질문이 하나도 없거나 질문, 주제, 묶음의 수가 다릅니다. 같은 길이의 목록을 넣어 주세요."
        )
    vectors = np.asarray(embedder.encode(list(texts)), dtype=float)
    return Month(list(texts), vectors, list(topics), list(groups))


@dataclass(frozen=True)
class Drift:
    """What the alarm saw. ``p_value``: how often chance alone would make a difference as large in any of the looks."""

    n: tuple[int, int]  # questions before and now
    units: tuple[int, int]  # groups that they belong to
    level: float  # the rate of false alarms that was asked for
    p_value: float
    looks: dict[str, tuple[float, float]]  # look -> (distance, p-value of its own)
    new_topics: dict[str, tuple[float, float]]  # topic -> its share before and now, the most changed first

    @property
    def alarm(self) -> bool:
        return self.p_value <= self.level

    def __str__(self) -> str:
        told = f"p값 {self.p_value:.3f}, 오경보율 {self.level:.0%}"
        if not self.alarm:
            return f"경보 없음({told}). 달라지지 않았다는 뜻이 아니라, 이 수로는 달라졌다고 할 근거가 없다는 뜻입니다."
        seen = [LOOKS[name] for name, (_, p) in self.looks.items() if p <= self.level]
        return f"경보({told}): {', '.join(seen) or '여럿을 합쳐서'} 쪽이 달라졌습니다."


def drift_alarm(
    before: Month, now: Month, *, level: float = ALPHA, n_permutations: int = 999, seed: int = 0
) -> Drift:
    """Whether ``now`` differs from ``before`` beyond what dealing the same questions out at random would show.

    Distances: length of the difference of the mean vectors; Kolmogorov–Smirnov distance of the lengths in characters at
    ``CUTS`` of their quantiles; total variation of the topics' shares. Groups are dealt out whole, and each distance
    becomes its rank among the permutations; the smallest of the three ranks is judged by its own distribution (min-p,
    Westfall & Young 1993). An exact test at any size: (1 + as extreme) / (1 + all).

    Raises:
        ValueError: under ``FEW_UNITS`` groups on a side, a group on both, or a level that so few permutations cannot reach.
    """
    sides = [dict.fromkeys(month.groups) for month in (before, now)]
    if shared := sides[0].keys() & sides[1].keys():
        raise ValueError(
            f"'{sorted(map(str, shared))[0]}' 묶음이 두 달에 다 있습니다. 달마다 다른 이름을 붙여 주세요."
        )
    if min(map(len, sides)) < FEW_UNITS:
        raise ValueError(f"한쪽의 묶음이 {FEW_UNITS}개보다 적어 견줄 수 없습니다. 질문을 더 모아 주세요.")
    if not 1 / (1 + n_permutations) <= level < 1:
        raise ValueError(f"level {level}에는 순열이 {n_permutations}번으로는 모자랍니다. 더 늘려 주세요.")
    order = {group: place for place, group in enumerate([*sides[0], *sides[1]])}
    labels = np.array([order[group] for group in [*before.groups, *now.groups]])
    parts, names = _features(before, now)
    sums = np.zeros((len(order), parts.shape[1]))
    np.add.at(sums, labels, parts)
    counts = np.bincount(labels).astype(float)
    rng = np.random.default_rng(seed)
    first = np.zeros((1 + n_permutations, len(order)))
    first[0, : len(sides[0])] = 1
    for row in range(1, 1 + n_permutations):
        first[row, rng.permutation(len(order))[: len(sides[0])]] = 1
    ours, n_ours = first @ sums, first @ counts
    gap = ours / n_ours[:, None] - (sums.sum(axis=0) - ours) / (counts.sum() - n_ours)[:, None]
    distances = _distances(gap, names)
    # How many rows, itself among them, are at least as far: the same rule for the months and for every permutation.
    ranks = np.array([[np.sum(column >= value - 1e-12) for value in column] for column in distances.T]).T
    p_each = ranks / len(first)
    smallest = p_each.min(axis=1)
    looks = {
        name: (float(distances[0, i]), float(p_each[0, i])) for i, name in enumerate(dict.fromkeys(names))
    }
    return Drift(
        (len(before.texts), len(now.texts)),
        (len(sides[0]), len(sides[1])),
        level,
        float(np.mean(smallest <= smallest[0] + 1e-12)),
        looks,
        _topic_shares(before, now),
    )


def false_alarm_rate(
    month: Month, *, level: float = ALPHA, trials: int = 200, n_permutations: int = 99, seed: int = 0
) -> float:
    """How often the alarm rings where nothing happened: ``month``'s own groups, dealt out into two halves again and again.
    It checks the alarm on one's own questions before it is trusted."""
    rng = np.random.default_rng(seed)
    month = replace(month, vectors=_narrow(month.vectors))  # once, not at every trial
    groups = list(dict.fromkeys(month.groups))
    rung = 0
    for trial in range(trials):
        half = {groups[i] for i in rng.permutation(len(groups))[: len(groups) // 2]}
        sides = [[i for i, g in enumerate(month.groups) if (g in half) == side] for side in (True, False)]
        drift = drift_alarm(
            month.take(sides[0]), month.take(sides[1]), level=level, n_permutations=n_permutations, seed=trial
        )
        rung += drift.alarm
    return rung / trials


def drift_table(drift: Drift) -> list[tuple[str, str, str]]:
    """Rows for a learner: what was looked at, the distance, its p-value."""
    return [(LOOKS[name], f"{distance:.3f}", f"{p:.3f}") for name, (distance, p) in drift.looks.items()]


def _features(before: Month, now: Month) -> tuple[np.ndarray, list[str]]:
    """A row a question whose means are compared, and which look each column belongs to."""
    vectors = _narrow(np.concatenate([before.vectors, now.vectors]))
    lengths = np.array([len(text) for text in [*before.texts, *now.texts]])
    cuts = np.unique(np.quantile(lengths, np.linspace(0, 1, CUTS + 1)[1:-1]))
    columns = {"vectors": vectors, "lengths": (lengths[:, None] <= cuts).astype(float)}
    names = [*before.topics, *now.topics]
    if len(kinds := sorted(set(names))) > 1:
        columns["topics"] = np.array([[name == kind for kind in kinds] for name in names], dtype=float)
    looks = [look for look, values in columns.items() for _ in range(values.shape[1])]
    return np.concatenate(list(columns.values()), axis=1), looks


def _narrow(vectors: np.ndarray) -> np.ndarray:
    """The rows in the space that they span: their distances are the same there."""
    return vectors if vectors.shape[1] <= len(vectors) else np.linalg.qr(vectors.T)[1].T


def _distances(gap: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(rows, looks)"""
    measures = {
        "vectors": lambda part: np.sqrt((part**2).sum(axis=1)),
        "lengths": lambda part: np.abs(part).max(axis=1),
        "topics": lambda part: np.abs(part).sum(axis=1) / 2,
    }
    where = np.array(names)
    return np.column_stack([measures[look](gap[:, where == look]) for look in dict.fromkeys(names)])


def _topic_shares(before: Month, now: Month) -> dict[str, tuple[float, float]]:
    shares = {
        topic: (before.topics.count(topic) / len(before.topics), now.topics.count(topic) / len(now.topics))
        for topic in dict.fromkeys([*before.topics, *now.topics])
    }
    return dict(sorted(shares.items(), key=lambda item: -abs(item[1][1] - item[1][0])))
