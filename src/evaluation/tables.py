"""Reading a comparison: what each metric is called, which may be trusted with a verdict, tables and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from src import scoring
from src.evaluation.resampling import check_same_length

# Name shown to a learner, range. The order is the order of every table and chart.
METRICS: dict[str, tuple[str, str]] = {
    "rouge1": ("ROUGE-1", "0–1"),
    "rouge2": ("ROUGE-2", "0–1"),
    "rougeL": ("ROUGE-L", "0–1"),
    "bleu": ("BLEU", "0–100"),
    "chrf": ("chrF2", "0–100"),
    "cosine_similarity": ("코사인 유사도", "−1–1"),
    "exact_match": ("정확히 일치", "0–1"),
    "char_f1": ("글자 F1", "0–1"),
    "answer_contained": ("정답 포함(답 있는 질문)", "0–1"),
    "abstention": ("바르게 답 없음(답 없는 질문)", "0–1"),
    "false_abstention": ("잘못 답 없음(답 있는 질문) ↓", "0–1"),
}
LOWER_IS_BETTER = {"false_abstention"}
# The headline is decided by one metric named beforehand: of ten intervals some exclude 0 by chance alone.
HEADLINE = "rougeL"
GUARDS = ("exact_match", "answer_contained", "abstention", "false_abstention")  # none may get worse unnoticed
ALPHA = 0.05
# Below a fifth of the scale a percentage says how low the start was, not how much was won (0.6 -> 85: +14,000 %).
PERCENT_FLOOR = 0.2
FEW_GROUPS = 6  # 2^5 ways to exchange two systems: no p-value below 0.05


def out_of_100(name: str) -> bool:
    """Whether the metric's scale ends at 100, not at 1."""
    return METRICS[name][1].endswith("100")


def judgement(name: str, entry: Mapping[str, Any]) -> str:
    """나아짐 or 나빠짐 where the difference's interval excludes 0 and its p-value is at most ``ALPHA``, else
    차이 불확실; 같음 where no draw showed any difference. Both are asked: with few groups either alone is bold.

    Raises:
        ValueError: a NaN, which would pass for outside of everything.
    """
    low, high = entry["interval"]
    if not np.isfinite([low, high, entry["p_value"]]).all():
        raise ValueError(f"{name}의 구간이나 p값이 숫자가 아닙니다(NaN). 답과 정답의 점수를 확인해 주세요.")
    if low == high == 0:
        return "같음"
    if low <= 0 <= high or entry["p_value"] > ALPHA:
        return "차이 불확실"
    return "나아짐" if (low > 0) != (name in LOWER_IS_BETTER) else "나빠짐"


def percent_change(name: str, entry: Mapping[str, Any]) -> float | None:
    """The difference in percent of the base score; None where that is under ``PERCENT_FLOOR`` of the scale."""
    floor = PERCENT_FLOOR * (100 if out_of_100(name) else 1)
    return 100 * entry["difference"] / entry["base"] if entry["base"] >= floor else None


def comparison_table(result: Mapping[str, Any]) -> Any:
    """A pandas table, one metric a row; ↓ marks what should be low. Percent ("–" below the floor) comes last."""
    import pandas as pd

    against = result.get("few_shot", {}).get("metrics", {})
    rows = []
    for name, entry in result["metrics"].items():
        percent = percent_change(name, entry)
        row = {"지표": METRICS[name][0], "범위": METRICS[name][1], "베이스 모델": entry["base"]}
        if against:
            row["예시를 준 베이스"] = against[name]["few_shot"]
        row |= {
            "튜닝한 모델": entry["tuned"],
            "차이": entry["difference"],
            "95% 하한": entry["interval"][0],
            "95% 상한": entry["interval"][1],
            "p값": _p_value(entry),
            "판정": judgement(name, entry),
            "변화율(%)": "–" if percent is None else f"{percent:+.0f}",
        }
        if against:
            other = against[name]
            row |= {"차이(예시 대비)": other["difference"], "판정(예시 대비)": judgement(name, other)}
        rows.append(row)
    return pd.DataFrame(rows).set_index("지표").round(3)


def summary_rows(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a page or a terminal shows of the comparison: one metric a row, every cell a text, three decimals on a
    scale that ends at 1 and one on a scale that ends at 100."""
    against = result.get("few_shot", {}).get("metrics", {})
    rows = []
    for name, entry in result["metrics"].items():
        digits = 1 if out_of_100(name) else 3
        low, high = entry["interval"]
        row = {"지표": METRICS[name][0], "베이스 모델": f"{entry['base']:.{digits}f}"}
        if against:
            row["예시를 준 베이스"] = f"{against[name]['few_shot']:.{digits}f}"
        row |= {
            "튜닝한 모델": f"{entry['tuned']:.{digits}f}",
            "차이": f"{entry['difference']:+.{digits}f}",
            "판정": judgement(name, entry),
            "차이의 95% 구간": f"{low:+.{digits}f} ~ {high:+.{digits}f}",
        }
        rows.append(row)
    return rows


def _p_value(entry: Mapping[str, Any]) -> str:
    return "<0.001" if entry["p_value"] < 0.001 else f"{entry['p_value']:.3f}"


def verdict(result: Mapping[str, Any]) -> str:
    """What may be said, in Korean: the headline from ``HEADLINE`` alone, then everything that moved."""
    groups: dict[str, list[str]] = {"나아짐": [], "나빠짐": [], "차이 불확실": [], "같음": []}
    for name, entry in result["metrics"].items():
        groups[judgement(name, entry)].append(METRICS[name][0])
    span = _span(result["metrics"][HEADLINE])
    worse = ", ".join(METRICS[name][0] for name in GUARDS if METRICS[name][0] in groups["나빠짐"])
    state = judgement(HEADLINE, result["metrics"][HEADLINE])
    if state == "나빠짐":
        first = f"튜닝한 모델이 베이스 모델보다 나빠졌습니다({span})."
    elif state == "나아짐" and not worse:
        first = f"튜닝한 모델이 베이스 모델보다 낫습니다({span})."
    elif state == "나아짐":
        first = f"결과가 엇갈립니다. 표현은 정답에 가까워졌지만({span}) 나빠진 지표가 있습니다: {worse}."
    elif worse:
        first = f"나아졌다고 할 근거가 없고({span}) 나빠진 지표가 있습니다: {worse}."
    else:
        first = f"나아졌다고 할 근거가 없습니다({span}). 질문을 늘려 다시 재 보세요."
    lines = [first, *(f"{label}: {', '.join(names)}." for label, names in groups.items() if names)]
    if "few_shot" in result:
        lines.append(_few_shot_line(result["few_shot"]["metrics"][HEADLINE]))
    number = result.get("n_groups", result["n"])
    if number < FEW_GROUPS:
        lines.append(
            f"질문이 나온 제품(문서)이 {number}개뿐이라 우연과 가를 수 없습니다. "
            f"{FEW_GROUPS}개 이상이 되도록 시험 데이터를 늘려 주세요."
        )
    return f"질문 {result['n']:,}개(제품·문서 {number:,}개)로 비교했습니다. " + "\n".join(lines)


def _span(entry: Mapping[str, Any]) -> str:
    low, high = entry["interval"]
    return (
        f"{METRICS[HEADLINE][0]} 차이 {entry['difference']:+.3f}, 95% 구간 {low:+.3f}~{high:+.3f}, "
        f"p값 {_p_value(entry)}"
    )


def _few_shot_line(entry: Mapping[str, Any]) -> str:
    span = _span(entry)
    return {
        "나아짐": f"프롬프트에 예시를 넣은 베이스 모델과 견주어도 낫습니다({span}).",
        "나빠짐": f"그러나 프롬프트에 예시를 넣은 베이스 모델이 더 낫습니다({span}). 튜닝하지 않아도 됩니다.",
    }.get(
        judgement(HEADLINE, entry),
        f"프롬프트에 예시를 넣은 베이스 모델보다 낫다고 할 근거는 없습니다({span}).",
    )


def as_dict(record: Any) -> Mapping[str, Any]:
    """A ``RaftRecord`` or dict as a mapping."""
    return record if isinstance(record, Mapping) else record.model_dump()


def sample_scores(metric: str, answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """``metric`` of each answer: a ROUGE type or a name of ``scoring.METRICS`` that needs no embedder.

    Raises:
        ValueError: another name.
    """
    choices = [name for name in METRICS if name.startswith("rouge") or name in scoring.METRICS]
    choices.remove("cosine_similarity")
    if metric not in choices:
        raise ValueError(
            f"질문마다 셀 수 없는 지표입니다: {metric!r}. 고를 수 있는 지표: {', '.join(choices)}."
        )
    if metric.startswith("rouge"):
        return scoring.compute_rouge(answers, references, per_sample=True)["per_sample"][metric]
    return scoring.METRICS[metric](answers, references, per_sample=True)["per_sample"]


def sample_table(
    records: Sequence[Any],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    *,
    few_shot_answers: Sequence[str] | None = None,
    metric: str = "rougeL",
    n: int | None = None,
) -> Any:
    """Per-question ``metric`` (``sample_scores``) as a pandas table, largest gain first, largest loss last; with
    ``n`` the first ``n`` gains and the last ``n`` losses."""
    import pandas as pd

    rows = [as_dict(record) for record in records]
    sides = {"질문": rows, "베이스": base_answers, "튜닝": tuned_answers}
    check_same_length(sides if few_shot_answers is None else {**sides, "예시를 준 베이스": few_shot_answers})
    references = [row["answer"] for row in rows]
    before, after = (sample_scores(metric, side, references) for side in (base_answers, tuned_answers))
    columns = {
        "질문": [row["question"] for row in rows],
        "정답": references,
        "베이스 모델의 답": list(base_answers),
        "튜닝한 모델의 답": list(tuned_answers),
        "베이스 점수": before,
        "튜닝 점수": after,
        "차이": np.subtract(after, before),
        "답 있음": [bool(row["answerable"]) for row in rows],
    }
    if few_shot_answers is not None:
        columns["예시를 준 베이스의 답"] = list(few_shot_answers)
        columns["예시 점수"] = sample_scores(metric, few_shot_answers, references)
    table = pd.DataFrame(columns).sort_values("차이", ascending=False, kind="stable")
    return table if n is None or 2 * n >= len(table) else pd.concat([table.head(n), table.tail(n)])
