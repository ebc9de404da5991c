"""A linear classifier that learns from shares of a label instead of one label."""

from collections.abc import Sequence
from typing import Any

import numpy as np

STRENGTH = 0.1  # of the data against the pull to small weights (scikit-learn's C)


def fit_shares(features: np.ndarray, shares: np.ndarray, *, strength: float = STRENGTH) -> Any:
    """A scikit-learn pipeline with ``predict_proba`` that minimizes the cross-entropy -Σ share · log p over all rows and
    labels (with L2). ``shares`` (rows, labels): a row of 0 and one 1 is a hard label.

    Each row is given once for each of its labels, weighted with its share: the same sum.

    Raises:
        ValueError: rows without a counterpart, or only one label has any share.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shares = np.asarray(shares, dtype=float)
    if len(features) != len(shares):
        raise ValueError(
            f"특징은 {len(features)}행인데 라벨의 몫은 {len(shares)}행입니다. 같은 행을 넣어 주세요."
        )
    row, label = np.nonzero(shares)
    if len(set(label)) < 2:
        raise ValueError("몫이 있는 라벨이 하나뿐이라 배울 것이 없습니다. 라벨이 둘 이상 들게 모아 주세요.")
    scaler = StandardScaler().fit(features)
    head = LogisticRegression(C=strength, max_iter=1000)
    head.fit(scaler.transform(features)[row], label, sample_weight=shares[row, label])
    return make_pipeline(scaler, head)


def one_hot(labels: Sequence[int], classes: int) -> np.ndarray:
    """Hard labels as shares (rows, classes)."""
    return np.eye(classes)[np.asarray(labels)]
