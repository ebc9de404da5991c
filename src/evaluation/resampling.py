"""How sure is a difference: paired bootstrap intervals and randomization tests over groups of questions.

Questions about one product (or document) share its text, so one misread document costs several answers: they are no
independent draws. What is drawn, or exchanged, is therefore the group with all its questions, and an interval speaks
of *other products*, not of other questions about these. With a group for every question this is the usual paired
bootstrap over questions.
"""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from src.evaluation.results import HEADLINE, Difference
from src.scoring.metrics import metric_named
from src.scoring.tokenizers import check_lengths

LEVEL = 0.95
EXACT_GROUPS = 12  # up to here all 2^G exchanges are made: 4,096 cost no more than the usual 2,000 draws


def paired_differences(
    base: Mapping[str, np.ndarray],
    tuned: Mapping[str, np.ndarray],
    *,
    groups: Sequence[Hashable] | None = None,
    n_resamples: int,
    seed: int,
) -> dict[str, Difference]:
    """One difference a metric of ``base``, from what both systems' questions add up to it: value and count (n, 2), or
    the ``counts`` (n, k) of a metric that has them.

    A question that a metric does not look at has a count of 0 there. All metrics see the same resamples.

    Interval: paired bootstrap, G groups drawn with replacement from G, the same draw for both systems (Koehn 2004;
    groups: Davison & Hinkley 1997 §3.8); percentiles widened for small G, Φ(√(G/(G-1)) · t(G-1)) in place of 2.5 %
    (Hesterberg 2015, "What Teachers Should Know About the Bootstrap", §3.3). p-value: two-sided paired randomization,
    each group's two sets of answers exchanged at random, (1 + as large or larger) / (1 + all) (Riezler & Maxwell
    2005). Up to ``EXACT_GROUPS`` groups every one of the 2^G exchanges is made and p is the share as large or larger:
    under 6 groups never below 0.05, which drawing exchanges would not keep to.

    Raises:
        ValueError: no question, lists of unequal length, a score that is no number, or a metric that looks at none of
            the questions.
    """
    names = list(base)
    for name in names:
        sides = {"앞 시스템의 점수": base[name], "뒤 시스템의 점수": tuned[name]}
        check_lengths(sides if groups is None else {**sides, "묶음": groups})
        if not all(np.isfinite(np.asarray(side, dtype=float)).all() for side in sides.values()):
            raise ValueError(
                f"점수에 숫자가 아닌 값(NaN이나 무한대)이 있습니다({name}). "
                "그 값이 나온 질문을 찾아 고치거나 두 시스템에서 함께 빼 주세요."
            )
    groups = range(len(base[names[0]])) if groups is None else groups
    order = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    labels = np.array([order[group] for group in groups])
    columns = np.cumsum([base[name].shape[1] for name in names])[:-1]
    before, after = (_sum_by_group([side[name] for name in names], labels) for side in (base, tuned))
    total_before, total_after = before.sum(axis=0), after.sum(axis=0)

    def scores(sums: np.ndarray) -> np.ndarray:  # (…, all k) -> (…, metrics)
        parts = np.split(sums, columns, axis=-1)
        return np.stack([_score(name, part) for name, part in zip(names, parts, strict=True)], axis=-1)

    draws = _draws(len(before), n_resamples, seed)
    differences = scores(draws @ after) - scores(draws @ before)
    moved = _flips(len(before), n_resamples, seed) @ (after - before)  # what the first side gains
    null = scores(total_before + moved) - scores(total_after - moved)
    base_scores, tuned_scores = scores(total_before), scores(total_after)
    observed = tuned_scores - base_scores
    if not np.isfinite(observed).all():
        raise ValueError("지표가 세는 질문이 하나도 없어 두 시스템을 견줄 수 없습니다. 그 지표를 빼 주세요.")
    extreme = (np.abs(null) >= np.abs(observed) - 1e-9).sum(axis=0)
    # All exchanges hold the observed one already.
    p_values = extreme / len(null) if len(before) <= EXACT_GROUPS else (1 + extreme) / (1 + len(null))
    result = {}
    for place, part in enumerate(np.split((before != 0) | (after != 0), columns, axis=1)):
        tail = 100 * _tail(int(part.any(axis=1).sum()))
        ends = np.nanpercentile(differences[:, place], [tail, 100 - tail])
        sizes = (base_scores[place], tuned_scores[place], observed[place], *ends, p_values[place])
        # Six digits: the order in which a processor adds must not show in the file.
        first, second, difference, low, high, p_value = (round(float(size), 6) + 0.0 for size in sizes)
        result[names[place]] = Difference(names[place], first, second, difference, (low, high), p_value)
    return result


def paired_difference(
    base: np.ndarray,
    tuned: np.ndarray,
    metric: str = HEADLINE,
    *,
    groups: Sequence[Hashable] | None = None,
    n_resamples: int,
    seed: int,
) -> Difference:
    """One metric's difference, see ``paired_differences``; for a mean, values of shape (n,) will do."""
    sides = [
        {metric: np.column_stack([side, np.ones(len(side))]) if np.ndim(side) == 1 else np.asarray(side)}
        for side in (base, tuned)
    ]
    return paired_differences(*sides, groups=groups, n_resamples=n_resamples, seed=seed)[metric]


def _score(name: str, sums: np.ndarray) -> np.ndarray:
    """The metric of summed counts (…, k); a mean is NaN where a resample holds no question that counts."""
    if counts := metric_named(name).counts:
        return counts[1](sums)
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def _tail(n_groups: int) -> float:
    """The share of resamples to cut off at either end."""
    from scipy.stats import norm, t

    if n_groups < 2:
        return 0.0
    quantile = t.ppf((1 - LEVEL) / 2, n_groups - 1)
    return float(norm.cdf(np.sqrt(n_groups / (n_groups - 1)) * quantile))


def units(groups: Sequence[Hashable]) -> list[Hashable]:
    """What is drawn: the groups, or single questions where all are of one group, of which no other can be drawn."""
    return list(groups) if len(set(groups)) > 1 else list(range(len(groups)))


def _sum_by_group(columns: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    values = np.column_stack(columns).astype(float)
    sums = np.zeros((labels.max() + 1, values.shape[1]))
    np.add.at(sums, labels, values)
    return sums


def _draws(n: int, n_resamples: int, seed: int) -> np.ndarray:
    """How often each of n groups is drawn: float (n_resamples, n)."""
    places = np.random.default_rng([seed, 0]).integers(n, size=(n_resamples, n))
    places += n * np.arange(n_resamples)[:, None]
    return np.bincount(places.ravel(), minlength=places.size).reshape(places.shape).astype(float)


def _flips(n: int, n_resamples: int, seed: int) -> np.ndarray:
    """0 or 1 for each of n groups: all 2^n rows up to ``EXACT_GROUPS``, else float (n_resamples, n)."""
    if n <= EXACT_GROUPS:
        return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)
    return np.random.default_rng([seed, 1]).integers(0, 2, size=(n_resamples, n)).astype(float)
