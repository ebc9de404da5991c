"""Every score of the workshop in one table: its title, its scale, how it is computed; and as ``evaluate.Metric``."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.raft.answers import is_abstention
from src.scoring import bleu, classification, correctness
from src.scoring.cosine import compute_cosine_similarity
from src.scoring.rouge import compute_rouge
from src.scoring.tokenizers import Scores, Texts, check_texts


def abstention(predictions: Texts, references: Texts, **options: Any) -> Scores:
    """``compute_abstention`` where a reference that abstains says that there is no answer."""
    return correctness.compute_abstention(
        predictions, [not is_abstention(text) for text in references], **options
    )


@dataclass(frozen=True)
class Metric:
    """A score as tables, charts and ``load_metric`` know it."""

    title: str  # what a learner reads; ↓ marks what should be low
    compute: Callable[..., Scores]  # (answers, references, per_sample=...) -> this score, maybe with others
    scale: str = "0–1"
    lower_is_better: bool = False
    answerable: bool | None = None  # looks only at questions that have (True) or lack (False) an answer
    # Of a score that is no mean over questions: counts of each question, and the score of counts that were summed.
    counts: tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]] | None = None

    @property
    def function(self) -> str:
        """What ``load_metric`` calls ``compute``: "rouge" for three scores."""
        return self.compute.__name__.removeprefix("compute_")

    @property
    def top(self) -> int:
        """Where the scale ends: 1 or 100."""
        return 100 if self.scale.endswith("100") else 1


_SURROGATES = re.compile(r"[\ud800-\udfff]")

# The order is that of every table and chart.
METRICS: dict[str, Metric] = {
    "rouge1": Metric("ROUGE-1", compute_rouge),
    "rouge2": Metric("ROUGE-2", compute_rouge),
    "rougeL": Metric("ROUGE-L", compute_rouge),
    "bleu": Metric(
        "BLEU", bleu.compute_bleu, "0–100", counts=(bleu.bleu_statistics, bleu.bleu_from_statistics)
    ),
    "chrf": Metric(
        "chrF2", bleu.compute_chrf, "0–100", counts=(bleu.chrf_statistics, bleu.chrf_from_statistics)
    ),
    "cosine_similarity": Metric("코사인 유사도", compute_cosine_similarity, "−1–1"),
    "exact_match": Metric("정확히 일치", correctness.compute_exact_match),
    "char_f1": Metric("글자 F1", correctness.compute_char_f1),
    "answer_contained": Metric(
        "정답 포함(답 있는 질문)", correctness.compute_answer_contained, answerable=True
    ),
    "abstention": Metric("바르게 답 없음(답 없는 질문)", abstention, answerable=False),
    "false_abstention": Metric(
        "잘못 답 없음(답 있는 질문) ↓", abstention, lower_is_better=True, answerable=True
    ),
}

# Of labels, not of answers: no table or chart of the day shows them.
LABEL_METRICS: dict[str, Metric] = {
    "accuracy": Metric("정확도", classification.compute_classification),
    "f1": Metric(
        "F1",
        classification.compute_classification,
        counts=(classification.f1_counts, classification.f1_from_counts),
    ),
}


def metric_named(name: str) -> Metric:
    """Of ``METRICS`` or ``LABEL_METRICS``."""
    return METRICS[name] if name in METRICS else LABEL_METRICS[name]


def sample_scores(name: str, answers: Texts, references: Texts, **options: Any) -> list[float]:
    """The score ``name`` of ``METRICS`` for each answer; ``options`` go to its function (``embedder=...``)."""
    values = METRICS[name].compute(answers, references, per_sample=True, **options)["per_sample"]
    return values[name] if isinstance(values, dict) else values


def load_metric(name: str, **options: Any) -> Any:
    """An ``evaluate.Metric`` of this package by name, like ``evaluate.load`` but without a download; ``options``
    go to the function (``load_metric("cosine_similarity", embedder=...)``). Combine with ``evaluate.combine``.

    "abstention" calls a question unanswerable where its reference abstains. ``compute(…, per_sample=True)`` gives
    the values a sample, too.
    """
    functions = {metric.function: metric.compute for metric in METRICS.values()}
    if name not in functions:
        raise ValueError(f"'{name}' 지표는 없습니다. {', '.join(functions)} 가운데에서 골라 주세요.")
    import datasets
    import evaluate

    function = functions[name]

    class KoreanMetric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            texts = datasets.Features(
                {side: datasets.Value("string") for side in ("predictions", "references")}
            )
            return evaluate.MetricInfo(description=function.__doc__, citation="", features=texts)

        def add(self, *, prediction: Any = None, reference: Any = None, **rest: Any) -> None:
            """One answer and its reference."""  # evaluate appends to these docstrings
            # evaluate.combine hands the texts over in ``rest``, under the names of the columns.
            pair = {"predictions": prediction, "references": reference} | rest
            self.add_batch(**{side: [text] for side, text in pair.items()})

        def add_batch(self, *, predictions: Texts, references: Texts) -> None:
            """Answers and their references."""
            check_texts("답", predictions, len(self))
            check_texts("정답", references, len(self))
            # Arrow keeps texts as UTF-8, which has no lone surrogates; a cut emoji leaves some.
            pairs = [[_SURROGATES.sub("\ufffd", text) for text in side] for side in (predictions, references)]
            super().add_batch(predictions=pairs[0], references=pairs[1])

        def _compute(self, *, predictions: Texts, references: Texts, **arguments: Any) -> Scores:
            return function(list(predictions), list(references), **options, **arguments)

    KoreanMetric.__name__ = name  # evaluate reads the metric's name from its class
    return KoreanMetric(keep_in_memory=True)
