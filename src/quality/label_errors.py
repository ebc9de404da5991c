"""Labels that are wrong: planted where a detector is to be tested, found by confident learning (arXiv 1911.00068)."""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

import numpy as np

from src.data.pairs import check_labels


class Planted(NamedTuple):
    """``given``: the labels with errors in them; ``wrong``: the key, True where a label was changed."""

    given: np.ndarray
    wrong: np.ndarray


def plant_errors(
    labels: Sequence[int], rate: float, seed: int, *, classes: int = 2, where: Sequence[bool] | None = None
) -> Planted:
    """Change ``rate`` (of all labels, rounded) to another label, each other one as likely; only rows of ``where``.

    With no ``where`` the errors are uniform noise; a mask of one label makes them one-sided, a mask of hard rows makes
    them what people do.

    Raises:
        ValueError: more errors than ``where`` has rows.
    """
    draw, truth = np.random.default_rng(seed), np.asarray(labels)
    pool = np.flatnonzero(np.ones(len(truth), bool) if where is None else np.asarray(where))
    count = round(rate * len(truth))
    if count > len(pool):
        raise ValueError(
            f"바꿀 라벨 {count}개가 고를 수 있는 행 {len(pool)}개보다 많습니다. 비율을 낮춰 주세요."
        )
    wrong = np.zeros(len(truth), bool)
    wrong[draw.choice(pool, count, replace=False)] = True
    moved = (truth + draw.integers(1, classes, len(truth))) % classes
    return Planted(np.where(wrong, moved, truth), wrong)


def confident_counts(labels: Sequence[int], probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds, counts): what confident learning counts, without its later correction.

    A label's threshold t_j is the mean probability of j among the rows that carry it. A row with label i counts in
    (i, j), where j is the likeliest of the labels whose probability reaches its threshold; a row that reaches none
    counts nowhere. What stands off the diagonal is the estimate of how many labels are wrong, and how. (Eq. 1, 2.)
    """
    given, p = np.asarray(labels), np.asarray(probabilities, dtype=float)
    classes = p.shape[1]
    thresholds = np.array([p[given == j, j].mean() for j in range(classes)])
    reached = p >= thresholds - 1e-6  # a mean may miss its own equal values by a rounding
    counts = np.zeros((classes, classes), dtype=int)
    for i, row, sure in zip(given, p, reached, strict=True):
        if sure.any():
            counts[i, np.where(sure, row, -1).argmax()] += 1
    return thresholds, counts


def find_label_errors(labels: Sequence[int], probabilities: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """True where cleanlab finds a wrong label: of each (label, likelier label) as many rows as the counts say, those
    with the widest margin. ``probabilities`` (rows, labels) must come from models that did not see their row.

    Raises:
        ValueError: labels that ``check_labels`` refuses, or probabilities that are none.
        ImportError: cleanlab is not installed.
    """
    check_labels(labels, names)
    p = np.asarray(probabilities, dtype=float)
    if p.shape != (len(labels), len(names)):
        raise ValueError(
            f"확률은 {len(labels)}행 {len(names)}칸이어야 하는데 {' × '.join(map(str, p.shape))}입니다. "
            "행마다 라벨마다 하나씩 넣어 주세요."
        )
    if not np.isfinite(p).all() or (p < 0).any() or not np.allclose(p.sum(axis=1), 1, atol=1e-3):
        row = int(
            np.argmin(
                np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & np.isclose(p.sum(axis=1), 1, atol=1e-3)
            )
        )
        raise ValueError(
            f"{row + 1}번째 행의 확률이 0과 1 사이에서 더해 1이 되지 않습니다: {p[row].tolist()}"
        )
    return _cleanlab("filter").find_label_issues(np.asarray(labels), p, n_jobs=1)


def cleanlab_counts(labels: Sequence[int], probabilities: np.ndarray) -> np.ndarray:
    """The counts of ``confident_counts`` as cleanlab makes them; ImportError where it is not installed."""
    return _cleanlab("count").compute_confident_joint(np.asarray(labels), probabilities, calibrate=False)


def _cleanlab(part: str) -> ModuleType:
    try:
        return import_module(f"cleanlab.{part}")
    except ImportError:
        raise ImportError(
            "cleanlab이 없습니다. make electives를 한 번 실행하면 선택 노트북에 쓸 패키지가 설치됩니다."
        ) from None
