"""Every score of the workshop by name, and the same as ``evaluate.Metric``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from src.raft.answers import is_abstention
from src.scoring.bleu import (
    compute_bleu,
    compute_chrf,
)
from src.scoring.correctness import (
    compute_abstention,
    compute_answer_contained,
    compute_char_f1,
    compute_exact_match,
)
from src.scoring.cosine import compute_cosine_similarity
from src.scoring.rouge import compute_rouge
from src.scoring.tokenizers import check_texts

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
