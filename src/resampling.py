"""How sure is a difference: paired bootstrap intervals and randomization tests over groups of questions.

Questions about one product (or document) share its text, so one misread document costs several answers: they are no
independent draws. What is drawn, or exchanged, is therefore the group with all its questions, and an interval speaks
of *other products*, not of other questions about these. With a group for every question this is the usual paired
bootstrap over questions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]  # summed sufficient statistics (…, k) -> scores (…)
LEVEL = 0.95
_CHUNK = 250  # resamples at a time: bounds the memory


def mean_statistic(sums: np.ndarray) -> np.ndarray:
    """Mean from (…, 2) sums of value and count; NaN where a resample holds no question that counts."""
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def paired_differences(
    base: Mapping[str, np.ndarray],
    tuned: Mapping[str, np.ndarray],
    statistics: Mapping[str, Statistic],
    *,
    groups: Sequence[Hashable] | None = None,
    n_resamples: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """One entry a metric, from (n, k) sufficient statistics a question of both systems.

    A question that a metric does not look at has a count of 0 there. All metrics see the same resamples.

    Interval: paired bootstrap, G groups drawn with replacement from G, the same draw for both systems (Koehn 2004;
    groups: Davison & Hinkley 1997 §3.8); percentiles widened for small G, Φ(√(G/(G-1)) · t(G-1)) in place of 2.5 %
    (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", §3.3). p-value: two-sided paired randomization,
    each group's two sets of answers exchanged at random, (1 + as large or larger) / (1 + all) (Riezler & Maxwell
    2005). Under 6 groups it cannot fall below 0.05: there are only 2^G exchanges.

    Returns:
        ``{name: {"base", "tuned", "difference", "interval": [low, high], "p_value"}}``, six digits each.
    """
    names = list(statistics)
    labels = np.arange(len(base[names[0]])) if groups is None else _number(groups)
    widths = [base[name].shape[1] for name in names]
    columns = np.cumsum(widths)[:-1]
    before, after = (
        _sum_by_group(np.column_stack([side[name] for name in names]).astype(float), labels)
        for side in (base, tuned)
    )
    total_before, total_after = before.sum(axis=0), after.sum(axis=0)

    def scores(sums: np.ndarray) -> np.ndarray:  # (…, all k) -> (…, metrics)
        parts = np.split(sums, columns, axis=-1)
        return np.stack([statistics[name](part) for name, part in zip(names, parts, strict=True)], axis=-1)

    drawn = [
        scores(draws @ after) - scores(draws @ before) for draws in _draws(len(before), n_resamples, seed)
    ]
    exchanged = []
    for keep in _flips(len(before), n_resamples, seed):
        moved = keep @ (after - before)  # what the first side gains
        exchanged.append(scores(total_before + moved) - scores(total_after - moved))
    base_scores, tuned_scores = scores(total_before), scores(total_after)
    differences, null = np.concatenate(drawn), np.concatenate(exchanged)
    parts = np.split((before != 0) | (after != 0), columns, axis=1)
    return {
        name: _entry(
            base_scores[i], tuned_scores[i], differences[:, i], null[:, i], int(part.any(axis=1).sum())
        )
        for i, (name, part) in enumerate(zip(names, parts, strict=True))
    }


def paired_difference(
    base: np.ndarray,
    tuned: np.ndarray,
    statistic: Statistic = mean_statistic,
    *,
    groups: Sequence[Hashable] | None = None,
    n_resamples: int,
    seed: int,
) -> dict[str, Any]:
    """One metric's entry, see ``paired_differences``; for a mean, values of shape (n,) will do."""
    sides = [
        {"": np.column_stack([side, np.ones(len(side))]) if np.ndim(side) == 1 else np.asarray(side)}
        for side in (base, tuned)
    ]
    return paired_differences(*sides, {"": statistic}, groups=groups, n_resamples=n_resamples, seed=seed)[""]


def _entry(
    base: float, tuned: float, differences: np.ndarray, null: np.ndarray, n_groups: int
) -> dict[str, Any]:
    observed = float(tuned - base)
    tail = 100 * _tail(n_groups)
    low, high = np.nanpercentile(differences, [tail, 100 - tail])
    extreme = int((np.abs(null) >= abs(observed) - 1e-9).sum())
    # Six digits: the order in which a processor adds must not show in the file.
    return {
        "base": round(float(base), 6),
        "tuned": round(float(tuned), 6),
        "difference": round(observed, 6) + 0.0,
        "interval": [round(float(low), 6) + 0.0, round(float(high), 6) + 0.0],
        "p_value": round((1 + extreme) / (1 + len(null)), 6),
    }


def _tail(n_groups: int) -> float:
    """The share of resamples to cut off at either end."""
    from scipy.stats import norm, t

    if n_groups < 2:
        return 0.0
    quantile = t.ppf((1 - LEVEL) / 2, n_groups - 1)
    return float(norm.cdf(np.sqrt(n_groups / (n_groups - 1)) * quantile))


def _number(groups: Sequence[Hashable]) -> np.ndarray:
    """Groups numbered in the order in which they come."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def _sum_by_group(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    sums = np.zeros((labels.max() + 1, values.shape[1]))
    np.add.at(sums, labels, values)
    return sums


def _draws(n: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each of n groups is drawn: float (≤ _CHUNK, n) until there are ``n_resamples`` rows."""
    random = np.random.default_rng([seed, 0])
    for start in range(0, n_resamples, _CHUNK):
        rows = min(_CHUNK, n_resamples - start)
        places = random.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(places.ravel(), minlength=rows * n).reshape(rows, n).astype(float)


def _flips(n: int, n_resamples: int, seed: int) -> Iterator[np.ndarray]:
    """0 or 1 for each of n groups: float (≤ _CHUNK, n) until there are ``n_resamples`` rows."""
    random = np.random.default_rng([seed, 1])
    for start in range(0, n_resamples, _CHUNK):
        rows = min(_CHUNK, n_resamples - start)
        yield random.integers(0, 2, size=(rows, n)).astype(float)
