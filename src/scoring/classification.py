"""How well labels were named, and how sure the model was: scikit-learn's scores, and the counts behind F1."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.scoring.tokenizers import check_lengths

LABEL_TITLES = {  # as a learner reads them, in this order
    "accuracy": "정확도",
    "precision": "정밀도",
    "recall": "재현율",
    "f1": "F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
}


def compute_classification(
    labels: Sequence[int],
    predictions: Sequence[int],
    probabilities: Sequence[float] | None = None,
    *,
    positive: int = 1,
) -> dict[str, float]:
    """``accuracy``; of the label ``positive``: ``precision`` (of the rows called so, those that are), ``recall`` (of the
    rows that are, those called so) and ``f1``, their harmonic mean 2PR / (P + R), each 0 where nothing is divided by
    nothing; with ``probabilities`` of ``positive`` also ``auroc`` (how often one of its rows stands above another's;
    0.5 is chance) and ``auprc`` (average precision; chance is the label's share). All as scikit-learn computes them.

    Raises:
        ValueError: lists of unequal length, or only one label where ``probabilities`` are to be ranked.
    """
    from sklearn.metrics import (
        accuracy_score,
        average_precision_score,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    sides = {"라벨": labels, "예측": predictions}
    check_lengths(sides if probabilities is None else {**sides, "확률": probabilities})
    is_, called = np.asarray(labels) == positive, np.asarray(predictions) == positive
    precision, recall, f1, _ = precision_recall_fscore_support(is_, called, average="binary", zero_division=0)
    scores = {
        "accuracy": accuracy_score(labels, predictions),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }
    if probabilities is not None:
        if is_.all() or not is_.any():
            raise ValueError(
                "라벨이 한 가지뿐이라 순위를 매길 수 없습니다. 두 라벨이 모두 든 행으로 재 주세요."
            )
        scores["auroc"] = roc_auc_score(is_, probabilities)
        scores["auprc"] = average_precision_score(is_, probabilities)
    return {name: float(score) for name, score in scores.items()}


def f1_counts(labels: Sequence[int], predictions: Sequence[int], *, positive: int = 1) -> np.ndarray:
    """What each row adds (rows, 3): rightly called ``positive``, wrongly called so, missed."""
    check_lengths({"라벨": labels, "예측": predictions})
    is_, called = np.asarray(labels) == positive, np.asarray(predictions) == positive
    return np.column_stack([is_ & called, ~is_ & called, is_ & ~called]).astype(float)


def f1_from_counts(counts: np.ndarray) -> np.ndarray:
    """F1 of summed counts (…, 3): 2 TP / (2 TP + FP + FN), which is the harmonic mean of precision and recall; 0 where
    the label neither occurs nor is called."""
    hit, false, missed = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    whole = 2 * hit + false + missed
    return np.divide(2 * hit, whole, out=np.zeros_like(whole), where=whole > 0)


def confusion_table(labels: Sequence[int], predictions: Sequence[int], names: Sequence[str]) -> Any:
    """pandas table: a true label a row, a called label a column, and how many pairs are both."""
    import pandas as pd
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(labels, predictions, labels=range(len(names)))
    called = [f"예측: {name}" for name in names]
    return pd.DataFrame(counts, index=[f"실제: {name}" for name in names], columns=called)
