"""ROUGE-1, -2 and -L with Korean tokenization (Lin 2004)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.scoring.tokenizers import TOKENIZERS, check_pairs

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
MEASURES = ("fmeasure", "recall", "precision")


class _CachedTokenizer:
    """A rouge_score tokenizer that splits each distinct text once."""

    def __init__(self, name: str) -> None:
        if name not in TOKENIZERS:
            raise ValueError(
                f"'{name}' 토크나이저는 없습니다. {', '.join(TOKENIZERS)} 가운데에서 골라 주세요."
            )
        self._split = TOKENIZERS[name]
        self._seen: dict[str, list[str]] = {}

    def tokenize(self, text: str) -> list[str]:
        if text not in self._seen:
            self._seen[text] = self._split(text)
        return self._seen[text]


def compute_rouge(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    tokenizer: str = "mecab",
    measure: str = "fmeasure",
    per_sample: bool = False,
) -> dict[str, Any]:
    """ROUGE-1, -2 (n-gram overlap) and -L (longest common subsequence), mean over samples, 0-1 (Lin 2004).

    ``tokenizer`` is "mecab" (morphemes), "eojeol" or "char"; ``measure`` "fmeasure", "recall" (of the reference)
    or "precision" (of the answer). With ``per_sample`` also ``{"per_sample": {"rouge1": [...], ...}}``.
    An answer or a reference without a token, or without a bigram for ROUGE-2, scores 0. The values are
    rouge_score's; only the length of ROUGE-L's subsequence comes from rapidfuzz, where rouge_score fills a Python
    table of answer × reference cells: two texts of 1 MB would need terabytes.
    """
    from rapidfuzz.distance import LCSseq
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.scoring import Score, fmeasure

    check_pairs(predictions, references)
    if measure not in MEASURES:
        raise ValueError(
            f"'{measure}' 값은 없습니다. measure를 {', '.join(MEASURES)} 가운데에서 골라 주세요."
        )
    tokens = _CachedTokenizer(tokenizer)
    scorer = RougeScorer(["rouge1", "rouge2"], tokenizer=tokens)

    def score(prediction: str, reference: str) -> dict[str, Score]:
        answer, wanted = tokens.tokenize(prediction), tokens.tokenize(reference)
        common = LCSseq.similarity(answer, wanted)
        precision, recall = common / max(len(answer), 1), common / max(len(wanted), 1)
        longest = Score(precision, recall, fmeasure(precision, recall))
        return scorer.score(reference, prediction) | {"rougeL": longest}

    rows = [score(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    values = {name: [float(getattr(row[name], measure)) for row in rows] for name in ROUGE_TYPES}
    result: dict[str, Any] = {name: float(np.mean(column)) for name, column in values.items()}
    return result | ({"per_sample": values} if per_sample else {})
