"""Does a probability of 0.8 come true eight times of ten? Confidence against what happened."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.scoring.tokenizers import check_lengths


def reliability_table(probabilities: Sequence[float], happened: Sequence[float], bins: int = 5) -> Any:
    """pandas table with a row for each of ``bins`` equal ranges of the probability that holds something: ``low``, ``high``,
    ``count``, the mean ``probability`` and the mean of ``happened``, each 0 or 1, or a share of votes."""
    import pandas as pd

    check_lengths({"확률": probabilities, "결과": happened})
    p, came = np.asarray(probabilities, dtype=float), np.asarray(happened, dtype=float)
    place = np.minimum((p * bins).astype(int), bins - 1)
    rows = [
        (b / bins, (b + 1) / bins, int(inside.sum()), p[inside].mean(), came[inside].mean())
        for b in range(bins)
        if (inside := place == b).any()
    ]
    return pd.DataFrame(rows, columns=["low", "high", "count", "probability", "happened"])


def calibration_error(probabilities: Sequence[float], happened: Sequence[float], bins: int = 5) -> float:
    """Expected calibration error: |mean probability - mean of what happened| of each range, weighted with its rows; 0 is
    best (Guo et al. 2017, arXiv 1706.04599)."""
    table = reliability_table(probabilities, happened, bins)
    gaps = (table["probability"] - table["happened"]).abs()
    return float((gaps * table["count"]).sum() / table["count"].sum())
