"""Two or three systems on the same questions: scores, differences with intervals and tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src.data.schemas import RaftRecord
from src.evaluation.resampling import EXACT_GROUPS, paired_differences, units
from src.evaluation.results import SYSTEMS, Comparison
from src.scoring.bleu import signatures
from src.scoring.metrics import METRICS, sample_scores
from src.scoring.rouge import compute_rouge
from src.scoring.tokenizers import check_lengths


def compare_systems(
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    records: Sequence[RaftRecord],
    *,
    few_shot_answers: Sequence[str] | None = None,
    embedder: Any = None,
    embedder_name: str = "",
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Scores of both systems, the difference tuned - base, its 95 % interval and a p-value, the same on every run.

    ``records`` give reference, ``answerable`` and ``group_id``. What is resampled is the group (product or document)
    with all its questions, see ``src.evaluation.resampling``; records without ``group_id``, or all of one, are
    resampled one by one. BLEU and chrF2 are recomputed from each draw's summed n-gram counts. The result speaks of
    products like these and one training run, not of other seeds. Metrics over answerable or unanswerable questions
    use only those and are left out where there is none. ``few_shot_answers`` are the base's that was shown examples.

    Raises:
        ValueError: not an answer for each record.
    """
    sides = {"base": base_answers, "tuned": tuned_answers}
    if few_shot_answers is not None:
        sides["few_shot"] = few_shot_answers
    scored = score_sides(sides, records, embedder)
    groups = question_groups(records)
    differences = {
        name: paired_differences(side, scored["tuned"], groups=groups, n_resamples=n_bootstrap, seed=seed)
        for name, side in scored.items()
        if name != "tuned"
    }
    n_groups = len(set(groups))
    counted = f"{n_groups} groups of {len(records)} questions"
    drawn = f"{counted}, n={n_bootstrap}, seed={seed}"
    exchanged = f"{counted}, all {2**n_groups} exchanges" if n_groups <= EXACT_GROUPS else drawn
    n_answerable = sum(record.answerable for record in records)
    return Comparison(
        n=len(records),
        n_groups=n_groups,
        n_answerable=n_answerable,
        n_unanswerable=len(records) - n_answerable,
        metrics=differences["base"],
        signatures={
            "rouge": "rouge_score|tok:ko-mecab|measure:f1",
            **signatures(),
            "interval": f"paired bootstrap, 95 % expanded percentile, {drawn}",
            "p_value": f"paired randomization, two-sided, {exchanged}",
        },
        embedder=(embedder_name or type(embedder).__name__) if embedder is not None else None,
        few_shot=differences.get("few_shot"),
    )


def score_sides(
    sides: Mapping[str, Sequence[str]], records: Sequence[RaftRecord], embedder: Any
) -> dict[str, dict[str, np.ndarray]]:
    """What each question adds, by system and metric: value and count (n, 2), for BLEU and chrF2 n-gram counts. All
    systems are scored in one go: every distinct text is tokenized and encoded once."""
    check_lengths({SYSTEMS[name]: answers for name, answers in sides.items()} | {"질문": records})
    answers = [text for side in sides.values() for text in side]
    references = [record.answer for record in records] * len(sides)
    answerable = np.array([record.answerable for record in records] * len(sides), dtype=bool)
    rouge = compute_rouge(answers, references, per_sample=True)["per_sample"]
    columns = {}
    for name, metric in METRICS.items():
        asked = np.ones(len(answers)) if metric.answerable is None else answerable == metric.answerable
        if not asked.any() or (name == "cosine_similarity" and embedder is None):
            continue
        if metric.counts:
            columns[name] = metric.counts[0](answers, references)
            continue
        options = {"embedder": embedder} if name == "cosine_similarity" else {}
        values = rouge.get(name) or sample_scores(name, answers, references, **options)
        if options:
            values = np.round(values, 6)  # float32 sums differ with the batch
        columns[name] = np.column_stack([values * asked, asked])
    return {
        system: {name: column[place : place + len(records)] for name, column in columns.items()}
        for system, place in zip(sides, range(0, len(answers), len(records)), strict=True)
    }


def question_groups(records: Sequence[RaftRecord]) -> list[Any]:
    """What is drawn: each question's product or document, or the question itself."""
    return units([record.group_id or ("question", number) for number, record in enumerate(records)])
