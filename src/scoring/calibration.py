"""From the likelihoods of label words to probabilities, with what the model says to nothing at all taken out."""

import numpy as np


def label_probabilities(log_likelihoods: np.ndarray) -> np.ndarray:
    """Rows of log P(label | prompt) as probabilities of these labels alone: every row adds up to 1."""
    scores = np.asarray(log_likelihoods, dtype=float)
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    return likely / likely.sum(axis=1, keepdims=True)


def calibrate(log_likelihoods: np.ndarray, content_free: np.ndarray) -> np.ndarray:
    """Contextual calibration (Zhao et al. 2021, arXiv 2102.09690): probabilities p of (n, labels) divided by p_cf, what
    the same prompt gives where its content says nothing, and made to add up to 1 again. p_cf is the mean over the rows
    of ``content_free`` (m, labels), both log P(label | prompt).

    A label that the model leans to without any content loses that advantage. With two labels the log odds move by the
    same amount in every row: another threshold, the same order, and so the same AUROC.

    Raises:
        ValueError: no content-free row, another number of labels, or a score that is no number.
    """
    scores, empty = np.asarray(log_likelihoods, dtype=float), np.asarray(content_free, dtype=float)
    if empty.ndim != 2 or scores.ndim != 2 or not len(empty) or scores.shape[1] != empty.shape[1]:
        raise ValueError(
            "보정하려면 내용 없는 입력의 점수가 한 줄 이상 있고, 고를 말의 수가 질문의 점수와 같아야 합니다."
        )
    if not (np.isfinite(scores).all() and np.isfinite(empty).all()):
        raise ValueError("점수에 숫자가 아닌 값(NaN이나 무한대)이 있습니다. 그 줄을 찾아 빼 주세요.")
    ratios = label_probabilities(scores) / label_probabilities(empty).mean(axis=0)
    return ratios / ratios.sum(axis=1, keepdims=True)
