"""A share or an AUROC with its interval, alone or as a difference, where whole products are drawn again.

The same draws and percentiles as in ``resampling``, for numbers that are no mean over all questions: the share of a
part of them, and how well a score ranks.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.evaluation.resampling import _draws, _tail, units
from src.evaluation.results import FEW_GROUPS
from src.scoring.tokenizers import check_lengths

Statistic = Callable[[np.ndarray], np.ndarray]  # how often each group is drawn (draws, groups) -> (draws,)


@dataclass(frozen=True)
class Estimate:
    """A number, and the 95 % interval of what it would be with other products."""

    value: float
    low: float
    high: float
    n_groups: int  # products that it is counted from; of a difference the side's that has fewer

    @property
    def judgement(self) -> str:
        """Of a difference: 나아짐 or 나빠짐 where the interval lies on one side of 0, 같음 where no draw showed any, else
        차이 불확실, as always with fewer than ``FEW_GROUPS`` products: drawing three again and again makes no fourth."""
        if self.low == self.high == 0:
            return "같음"
        if self.n_groups < FEW_GROUPS:
            return "차이 불확실"
        return "나아짐" if self.low > 0 else "나빠짐" if self.high < 0 else "차이 불확실"

    @property
    def difference(self) -> str:
        """A difference with its interval, signed, as a table shows it."""
        return f"{self.value:+.3f} ({self.low:+.3f} ~ {self.high:+.3f})"

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} ~ {self.high:.3f})"


@dataclass(frozen=True)
class Share:
    """The share of questions that are right, or the mean of their values; ``among``: counted are only these."""

    values: Sequence[float]
    among: Sequence[bool] | None = None

    @property
    def counted(self) -> np.ndarray:
        """1 for each question that counts, else 0."""
        return np.ones(len(self.values)) if self.among is None else np.asarray(self.among, dtype=float)

    def statistic(self, members: np.ndarray) -> Statistic:
        """As a function of draws; ``members`` (groups, questions) holds 1 where a question is of a group."""
        check_lengths({"답": self.values, "셀 질문": self.counted})
        total = members @ (np.asarray(self.values, dtype=float) * self.counted)
        count = members @ self.counted
        return lambda draws: (draws @ total) / (draws @ count)


@dataclass(frozen=True)
class AUROC:
    """The probability that a positive question scores higher than a negative one, ties half (Mann-Whitney)."""

    scores: Sequence[float]
    positive: Sequence[bool]

    @property
    def counted(self) -> np.ndarray:
        """1 for each question: each is in some pair."""
        return np.ones(len(self.scores))

    def statistic(self, members: np.ndarray) -> Statistic:
        """As a function of draws: a group drawn twice is twice in every pair."""
        check_lengths({"점수": self.scores, "정답": self.positive})
        scores, positive = np.asarray(self.scores, dtype=float), np.asarray(self.positive, dtype=bool)
        first, second = scores[positive][:, None], scores[~positive][None, :]
        wins = (first > second) + 0.5 * (first == second)
        left, right = members[:, positive], members[:, ~positive]
        pairs, counts = left @ wins @ right.T, (left.sum(axis=1), right.sum(axis=1))
        return lambda draws: (
            ((draws @ pairs) * draws).sum(axis=1) / ((draws @ counts[0]) * (draws @ counts[1]))
        )


def estimate(
    first: Share | AUROC,
    second: Share | AUROC | None = None,
    *,
    groups: Sequence[Hashable],
    n_resamples: int,
    seed: int,
) -> Estimate:
    """``first``, or the difference ``first`` - ``second`` of the same questions, with its interval: ``groups`` are drawn
    with replacement, the same draws for both (percentiles as in ``paired_differences``).

    Raises:
        ValueError: lists of unequal length, nothing to count, or for an AUROC one kind of question only.
    """
    sides = [side for side in (first, second) if side is not None]
    check_lengths({"묶음": groups} | {f"목록 {i}": _length(side) for i, side in enumerate(sides, start=1)})
    names = {group: place for place, group in enumerate(dict.fromkeys(units(groups)))}
    members = np.zeros((len(names), len(groups)))
    members[[names[group] for group in units(groups)], np.arange(len(groups))] = 1
    draws = np.vstack([np.ones(len(names)), _draws(len(names), n_resamples, seed)])
    counted = min(int((members @ side.counted).astype(bool).sum()) for side in sides)
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw without any question that counts
        values = [side.statistic(members)(draws) for side in sides]
    numbers = values[0] - values[1] if second is not None else values[0]
    if not np.isfinite(numbers[0]):
        raise ValueError(
            "셀 질문이 하나도 없거나 한 가지 정답뿐이어서 계산할 수 없습니다. 두 가지가 모두 든 질문을 넣어 주세요."
        )
    tail = 100 * _tail(counted)
    low, high = np.nanpercentile(numbers[1:], [tail, 100 - tail])
    return Estimate(*(round(float(number), 6) + 0.0 for number in (numbers[0], low, high)), counted)


def label_table(
    leans: Mapping[str, Sequence[float]],
    positive: Sequence[bool],
    *,
    groups: Sequence[Hashable],
    n_resamples: int,
    seed: int,
) -> Any:
    """A pandas table of ways to ask the same questions with two labels, one a row; ``leans`` holds by name what each way
    gives a question: log P(first label) - log P(second), the first way being what the others are compared with.

    Columns: AUROC and accuracy (a lean above 0 is an answer with the first label), the difference of each from the first
    row with its interval, what may be said of it, and how often the first label was the answer.
    """
    import pandas as pd

    draws = {"groups": groups, "n_resamples": n_resamples, "seed": seed}
    truth, rows, first = np.asarray(positive, dtype=bool), {}, {}
    for name, values in leans.items():
        said = np.asarray(values) > 0
        sides = {"AUROC": AUROC(values, truth), "정확도": Share(said == truth)}
        first = first or sides
        rows[name] = {}
        for score, side in sides.items():
            moved = estimate(side, first[score], **draws)
            shown = {f"{score}의 차이": moved.difference, f"{score} 판정": moved.judgement}
            rows[name] |= {score: f"{estimate(side, **draws).value:.3f}"} | (
                shown if side is not first[score] else dict.fromkeys(shown, "–")
            )
        rows[name]["첫 말의 비율"] = f"{said.mean():.2f}"
    return pd.DataFrame(rows).T


def _length(side: Share | AUROC) -> Sequence[float]:
    return side.values if isinstance(side, Share) else side.scores
