"""Two or three systems on the same questions: scores, differences with intervals and tests, over all and by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src import scoring
from src.evaluation.resampling import (
    EXACT_GROUPS,
    check_same_length,
    mean_statistic,
    paired_difference,
    paired_differences,
    units,
)
from src.evaluation.tables import (
    HEADLINE,
    as_dict,
    judgement,
)

STATISTICS = {"bleu": scoring.bleu_from_statistics, "chrf": scoring.chrf_from_statistics}


def compare_systems(
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    records: Sequence[Any],
    *,
    few_shot_answers: Sequence[str] | None = None,
    embedder: Any = None,
    embedder_name: str = "",
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of both systems, the difference tuned - base, its 95 % interval and a p-value, JSON-able.

    ``records`` (``RaftRecord`` or dicts) give reference, ``answerable`` and ``group_id``. What is resampled is the
    group (product or document) with all its questions, see ``src.evaluation.resampling``; records without ``group_id``, or all
    of one, are resampled one by one. BLEU and chrF2 are recomputed from each draw's summed n-gram counts. The result
    speaks of products like these and one training run, not of other seeds. Metrics over answerable or unanswerable
    questions use only those and are left out where there is none.

    Returns:
        ``{"n", "n_groups", "n_answerable", "n_unanswerable", "metrics": {name: {"base", "tuned", "difference",
        "interval": [low, high], "p_value"}}, "signatures", "embedder"}``, the same on every run; with
        ``few_shot_answers`` also ``"few_shot": {"metrics": {name: {"few_shot", "tuned", …}}}``: tuned against the
        base that was shown examples.
    """
    rows = [as_dict(record) for record in records]
    sides = {"base": base_answers, "tuned": tuned_answers}
    if few_shot_answers is not None:
        sides["few_shot"] = few_shot_answers
    if any(len(answers) != len(rows) for answers in sides.values()):
        raise ValueError(
            f"답과 질문의 수가 다릅니다(베이스 {len(base_answers)}개, 튜닝 {len(tuned_answers)}개, 질문 {len(rows)}개). "
            "같은 레코드로 두 모델의 답을 다시 만들어 주세요."
        )
    scored = score_sides(sides, rows, embedder)
    groups = _groups(rows)
    settings = {"groups": groups, "n_resamples": n_bootstrap, "seed": seed}
    statistics = {name: STATISTICS.get(name, mean_statistic) for name in scored["base"]}
    n_groups = len(set(groups))
    counted = f"{n_groups} groups of {len(rows)} questions"
    drawn = f"{counted}, n={n_bootstrap}, seed={seed}"
    exchanged = f"{counted}, all {2**n_groups} exchanges" if n_groups <= EXACT_GROUPS else drawn
    result: dict[str, Any] = {
        "n": len(rows),
        "n_groups": n_groups,
        "n_answerable": sum(bool(row["answerable"]) for row in rows),
        "n_unanswerable": sum(not row["answerable"] for row in rows),
        "metrics": paired_differences(scored["base"], scored["tuned"], statistics, **settings),
        "signatures": {
            "rouge": "rouge_score|tok:ko-mecab|measure:f1",
            **scoring.signatures(),
            "interval": f"paired bootstrap, 95 % expanded percentile, {drawn}",
            "p_value": f"paired randomization, two-sided, {exchanged}",
        },
        "embedder": (embedder_name or type(embedder).__name__) if embedder is not None else None,
    }
    if few_shot_answers is not None:
        entries = paired_differences(scored["few_shot"], scored["tuned"], statistics, **settings)
        result["few_shot"] = {
            "metrics": {
                name: {"few_shot" if key == "base" else key: value for key, value in entry.items()}
                for name, entry in entries.items()
            }
        }
    return result


def compare_parts(
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    records: Sequence[Any],
    labels: Sequence[str],
    *,
    metric: str = HEADLINE,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> Any:
    """``metric`` compared within each part of the questions, as a pandas table with the largest gain first.

    ``labels`` names each question's part: ``[record.topic for record in records]``, ``length_labels(records)``. Of
    many parts one in twenty looks changed by chance: read the table as a hint where to look. In a part of one
    product single questions are resampled, and its row speaks of that product alone.

    Raises:
        ValueError: lists of unequal length, or a metric that these questions do not have.
    """
    import pandas as pd

    rows = [as_dict(record) for record in records]
    check_same_length({"베이스": base_answers, "튜닝": tuned_answers, "질문": rows, "부분의 이름": labels})
    scored = score_sides({"base": base_answers, "tuned": tuned_answers}, rows, None)
    if metric not in scored["base"]:
        raise ValueError(
            f"이 질문들로는 셀 수 없는 지표입니다: {metric!r}. 고를 수 있는 지표: {', '.join(scored['base'])}."
        )
    groups = _groups(rows)
    statistic = STATISTICS.get(metric, mean_statistic)
    table = []
    for label in dict.fromkeys(labels):
        chosen = [i for i, other in enumerate(labels) if other == label]
        base, tuned = (scored[side][metric][chosen] for side in ("base", "tuned"))
        counted = (base != 0).any(axis=1) | (tuned != 0).any(axis=1)
        if not counted.any():
            continue
        parts = [groups[i] for i in chosen]
        seen = {group for group, count in zip(parts, counted, strict=True) if count}
        drawn = parts if len(seen) > 1 else range(len(parts))
        entry = paired_difference(base, tuned, statistic, groups=drawn, n_resamples=n_bootstrap, seed=seed)
        table.append(
            {
                "부분": label,
                "질문 수": int(counted.sum()),
                "제품·문서 수": len(seen),
                "베이스 모델": entry["base"],
                "튜닝한 모델": entry["tuned"],
                "차이": entry["difference"],
                "95% 하한": entry["interval"][0],
                "95% 상한": entry["interval"][1],
                "판정": judgement(metric, entry),
            }
        )
    columns = pd.DataFrame(table).set_index("부분")
    return columns.sort_values("차이", ascending=False, kind="stable").round(3)


def length_labels(records: Sequence[Any], parts: int = 3) -> list[str]:
    """Each question's part by the length of its reference in morphemes: ``parts`` parts of about equal size."""
    lengths = np.array([len(scoring.TOKENIZERS["mecab"](as_dict(record)["answer"])) for record in records])
    edges = np.unique(np.quantile(lengths, np.arange(1, parts) / parts, method="inverted_cdf"))
    part = np.searchsorted(edges, lengths)  # up to and with the edge
    ends = {p: sorted({lengths[part == p].min(), lengths[part == p].max()}) for p in np.unique(part)}
    return [f"정답 {'–'.join(map(str, ends[p]))}형태소" for p in part]


def score_sides(
    sides: Mapping[str, Sequence[str]], rows: Sequence[Mapping[str, Any]], embedder: Any
) -> dict[str, dict[str, np.ndarray]]:
    """Sufficient statistics a question by system and metric: (n, 2) value and count, for BLEU and chrF2 n-gram
    counts. All systems are scored in one go: every distinct text is tokenized and encoded once."""
    n = len(rows)
    answers = [text for side in sides.values() for text in side]
    references = [row["answer"] for row in rows] * len(sides)
    answerable = np.array([bool(row["answerable"]) for row in rows] * len(sides))
    everyone = np.ones(len(answers))
    rouge = scoring.compute_rouge(answers, references, per_sample=True)["per_sample"]
    said = scoring.compute_abstention(answers, answerable, per_sample=True)["per_sample"]
    columns = {name: np.column_stack([values, everyone]) for name, values in rouge.items()}
    columns["bleu"] = scoring.bleu_statistics(answers, references)
    columns["chrf"] = scoring.chrf_statistics(answers, references)
    if embedder is not None:
        cosines = scoring.compute_cosine_similarity(answers, references, embedder, per_sample=True)
        # float32 sums differ with the batch
        columns["cosine_similarity"] = np.column_stack([np.round(cosines["per_sample"], 6), everyone])
    for function in (scoring.compute_exact_match, scoring.compute_char_f1):
        result = function(answers, references, per_sample=True)
        columns[next(iter(result))] = np.column_stack([result["per_sample"], everyone])
    contained = scoring.compute_answer_contained(answers, references, per_sample=True)["per_sample"]
    for name, values, subset in (
        ("answer_contained", contained, answerable),
        ("abstention", said, ~answerable),
        ("false_abstention", said, answerable),
    ):
        if subset.any():
            columns[name] = np.column_stack([values, everyone]) * subset[:, None]
    return {
        system: {name: column[place * n : (place + 1) * n] for name, column in columns.items()}
        for place, system in enumerate(sides)
    }


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    return units([row.get("group_id") or ("question", number) for number, row in enumerate(rows)])
