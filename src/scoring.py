"""Every score of the workshop under one roof, over all answers and a sample, and the same as ``evaluate.Metric``.

How much is repeated stands in ``overlap``, right or wrong in ``correctness``; here is what vectors say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from src.correctness import (
    answer_contained,
    compute_abstention,
    compute_answer_contained,
    compute_char_f1,
    compute_exact_match,
    korquad_normalize,
    normalize_answer,
)
from src.evidence import is_abstention
from src.overlap import (
    TOKENIZERS,
    bleu_from_statistics,
    bleu_statistics,
    check_pairs,
    check_texts,
    chrf_from_statistics,
    chrf_statistics,
    clean,
    compute_bleu,
    compute_chrf,
    compute_rouge,
    signatures,
)

__all__ = [
    "METRICS",
    "TOKENIZERS",
    "answer_contained",
    "bleu_from_statistics",
    "bleu_statistics",
    "chrf_from_statistics",
    "chrf_statistics",
    "compute_abstention",
    "compute_answer_contained",
    "compute_bleu",
    "compute_char_f1",
    "compute_chrf",
    "compute_cosine_similarity",
    "compute_exact_match",
    "compute_rouge",
    "korquad_normalize",
    "load_metric",
    "normalize_answer",
    "signatures",
]


def compute_cosine_similarity(
    predictions: Sequence[str],
    references: Sequence[str],
    embedder: Any,
    *,
    query_prefix: str | None = None,
    per_sample: bool = False,
) -> dict[str, Any]:
    """Mean cosine of answer and reference vectors, -1 to 1. What it means is what the embedder measures
    (``src.embedding.embedder_label``). Each distinct text is encoded once; a pair with an empty side scores 0.
    ValueError where the embedder gives a vector with NaN or infinity, as some do in half precision.

    ``embedder`` is any sentence-transformers model. ``query_prefix`` ("query: " for E5, arXiv 2212.03533 §4) is put
    before both sides; ``load_embedder`` has set it already where the model wants one.
    """
    check_pairs(predictions, references)
    predictions, references = ([clean(text) for text in side] for side in (predictions, references))
    texts = sorted({*predictions, *references})  # not in a hash order: batches would differ between runs
    options = {} if query_prefix is None else {"prompt": query_prefix}
    vectors = np.asarray(embedder.encode(texts, show_progress_bar=False, **options), dtype=float)
    # A semantic model has a vector for nothing, too; an empty answer must not score by it.
    vectors[[not text for text in texts]] = 0
    row = {text: index for index, text in enumerate(texts)}
    left, right = ([row[text] for text in side] for side in (predictions, references))
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        question = int(np.argmax(broken[left] | broken[right]))
        raise ValueError(
            f"cosine_similarity: 임베더가 {question}번 질문(0부터 셉니다)의 답이나 정답에 숫자가 아닌 벡터(NaN, 무한대)를 주었습니다. "
            "임베더를 float32로 다시 열거나 다른 임베더를 골라 주세요."
        )
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = np.clip((vectors[left] * vectors[right]).sum(axis=1), -1, 1)
    result: dict[str, Any] = {"cosine_similarity": float(np.mean(cosines))}
    return result | ({"per_sample": cosines.tolist()} if per_sample else {})


# --- The same as evaluate.Metric -------------------------------------------------------------------------------


def _abstention_by_reference(
    predictions: Sequence[str], references: Sequence[str], **options: Any
) -> dict[str, Any]:
    return compute_abstention(predictions, [not is_abstention(text) for text in references], **options)


METRICS: dict[str, Callable[..., dict[str, Any]]] = {
    "rouge": compute_rouge,
    "bleu": compute_bleu,
    "chrf": compute_chrf,
    "cosine_similarity": compute_cosine_similarity,
    "exact_match": compute_exact_match,
    "char_f1": compute_char_f1,
    "answer_contained": compute_answer_contained,
    "abstention": _abstention_by_reference,
}
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def _storable(side: str, texts: Sequence[str], first: int) -> list[str]:
    """Arrow keeps texts as UTF-8, which has no lone surrogates; a cut emoji leaves some."""
    check_texts("답" if side == "predictions" else "정답", texts, first)
    return [_SURROGATES.sub("\ufffd", text) for text in texts]


def load_metric(name: str, **options: Any) -> Any:
    """An ``evaluate.Metric`` of this package by name, like ``evaluate.load`` but without a download; ``options``
    go to the function (``load_metric("cosine_similarity", embedder=...)``). Combine with ``evaluate.combine``.

    "abstention" calls a question unanswerable where its reference abstains. ``compute(…, per_sample=True)`` gives
    the values a sample, too.
    """
    if name not in METRICS:
        raise ValueError(f"'{name}' 지표는 없습니다. {', '.join(METRICS)} 가운데에서 골라 주세요.")
    import datasets
    import evaluate

    function = METRICS[name]

    class KoreanMetric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description=function.__doc__ or name,
                citation="",
                inputs_description="predictions, references: list[str]",
                features=datasets.Features({"predictions": text, "references": text}),
            )

        def add(self, *, prediction: Any = None, reference: Any = None, **rest: Any) -> None:
            """One answer and its reference."""  # evaluate appends to these docstrings
            # evaluate.combine hands the texts over in ``rest``, under the names of the columns.
            pair = {"predictions": prediction, "references": reference} | rest
            super().add(**{name: _storable(name, [text], len(self))[0] for name, text in pair.items()})

        def add_batch(self, *, predictions: Sequence[str], references: Sequence[str], **rest: Any) -> None:
            """Answers and their references."""
            sides = {"predictions": predictions, "references": references}
            super().add_batch(**{key: _storable(key, side, len(self)) for key, side in sides.items()}, **rest)

        def _compute(
            self, *, predictions: list[str], references: list[str], **arguments: Any
        ) -> dict[str, Any]:
            return function(list(predictions), list(references), **options, **arguments)

    KoreanMetric.__name__ = name  # evaluate reads the metric's name from its class
    return KoreanMetric(keep_in_memory=True)
