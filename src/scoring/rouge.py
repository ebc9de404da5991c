"""ROUGE-1, -2 and -L with Korean tokenization (Lin 2004)."""

from functools import cache
from types import SimpleNamespace

import numpy as np

from src.scoring.tokenizers import TOKENIZERS, Scores, Texts, check_pairs

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
MEASURES = ("fmeasure", "recall", "precision")


def compute_rouge(
    predictions: Texts,
    references: Texts,
    *,
    tokenizer: str = "mecab",
    measure: str = "fmeasure",
    per_sample: bool = False,
) -> Scores:
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
    for option, value, known in (("tokenizer", tokenizer, TOKENIZERS), ("measure", measure, MEASURES)):
        if value not in known:
            raise ValueError(
                f"'{value}' 값은 없습니다. {option}를 {', '.join(known)} 가운데에서 골라 주세요."
            )
    tokens = SimpleNamespace(tokenize=cache(TOKENIZERS[tokenizer]))  # each distinct text is split once
    scorer = RougeScorer(["rouge1", "rouge2"], tokenizer=tokens)

    def score(prediction: str, reference: str) -> dict[str, Score]:
        answer, wanted = tokens.tokenize(prediction), tokens.tokenize(reference)
        common = LCSseq.similarity(answer, wanted)
        precision, recall = common / max(len(answer), 1), common / max(len(wanted), 1)
        longest = Score(precision, recall, fmeasure(precision, recall))
        return scorer.score(reference, prediction) | {"rougeL": longest}

    rows = [score(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    values = {name: [float(getattr(row[name], measure)) for row in rows] for name in ROUGE_TYPES}
    result: Scores = {name: float(np.mean(column)) for name, column in values.items()}
    return result | ({"per_sample": values} if per_sample else {})
