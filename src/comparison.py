"""Two systems on the same questions: scores, intervals, a table, a chart and a page to read side by side."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src import scoring

# Name shown to a learner, range. The order is the order of every table and chart.
METRICS: dict[str, tuple[str, str]] = {
    "rouge1": ("ROUGE-1", "0–1"),
    "rouge2": ("ROUGE-2", "0–1"),
    "rougeL": ("ROUGE-L", "0–1"),
    "bleu": ("BLEU", "0–100"),
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

Statistic = Callable[[np.ndarray], np.ndarray]  # weighted sums over questions (…, k) -> scores (…)


def compare_systems(
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    records: Sequence[Any],
    *,
    embedder: Any = None,
    embedder_name: str = "",
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of both systems, the difference tuned - base, its 95 % interval and a p-value, JSON-able.

    ``records`` (``RaftRecord`` or dicts) give reference and ``answerable``. Interval: paired percentile bootstrap,
    questions drawn with replacement ``n_bootstrap`` times, the same draw for both systems (Koehn 2004); BLEU is
    recomputed from each draw's summed n-gram counts. p-value: two-sided paired randomization, each question's two
    answers exchanged at random (for a mean: its difference's sign flipped), ``n_bootstrap`` times,
    (1 + as large or larger) / (1 + all) (Riezler & Maxwell 2005). It speaks of questions like these from one
    training run, not of other seeds. Metrics over answerable or unanswerable questions use only those and are left
    out where there is none.

    Returns:
        ``{"n", "n_answerable", "n_unanswerable", "metrics": {name: {"base", "tuned", "difference",
        "interval": [low, high], "p_value"}}, "signatures", "embedder"}``, the same on every run.
    """
    rows = [_as_dict(record) for record in records]
    if not len(base_answers) == len(tuned_answers) == len(rows):
        raise ValueError(
            f"답과 질문의 수가 다릅니다(베이스 {len(base_answers)}개, 튜닝 {len(tuned_answers)}개, 질문 {len(rows)}개). "
            "같은 레코드로 두 모델의 답을 다시 만들어 주세요."
        )
    references = [row["answer"] for row in rows]
    answerable = np.array([bool(row["answerable"]) for row in rows])
    base = _per_question(base_answers, references, answerable, embedder)
    tuned = _per_question(tuned_answers, references, answerable, embedder)
    metrics = {}
    for name in METRICS:
        if name not in base:
            continue
        subset = _subset(name, answerable)
        if subset.any():
            statistic = scoring.bleu_from_statistics if name == "bleu" else _mean
            metrics[name] = paired_difference(
                base[name][subset], tuned[name][subset], statistic, n_resamples=n_bootstrap, seed=seed
            )
    return {
        "n": len(rows),
        "n_answerable": int(answerable.sum()),
        "n_unanswerable": int((~answerable).sum()),
        "metrics": metrics,
        "signatures": {
            "rouge": "rouge_score|tok:ko-mecab|measure:f1",
            "bleu": scoring.compute_bleu(tuned_answers, references)["signature"],
            "interval": f"paired bootstrap over questions, 95 %, n={n_bootstrap}, seed={seed}",
            "p_value": f"paired randomization, two-sided, n={n_bootstrap}, seed={seed}",
        },
        "embedder": (embedder_name or type(embedder).__name__) if embedder is not None else None,
    }


def paired_difference(
    base: np.ndarray, tuned: np.ndarray, statistic: Statistic, *, n_resamples: int, seed: int
) -> dict[str, Any]:
    """One metric's entry from two (n, k) arrays of sufficient statistics a question."""
    n = len(base)
    random = np.random.default_rng(seed)
    draws = random.multinomial(n, np.full(n, 1 / n), size=n_resamples)  # how often each question is drawn
    differences = statistic(draws @ tuned) - statistic(draws @ base)
    keep = random.integers(0, 2, size=(n_resamples, n))
    exchanged = statistic(keep @ tuned + (1 - keep) @ base) - statistic(keep @ base + (1 - keep) @ tuned)
    scores = [float(statistic(side.sum(axis=0))) for side in (base, tuned)]
    observed = scores[1] - scores[0]
    extreme = int((np.abs(exchanged) >= abs(observed) - 1e-9).sum())
    low, high = np.percentile(differences, [2.5, 97.5])
    # Six digits: the order in which a processor adds must not show in the file.
    return {
        "base": round(scores[0], 6),
        "tuned": round(scores[1], 6),
        "difference": round(observed, 6) + 0.0,
        "interval": [round(float(low), 6) + 0.0, round(float(high), 6) + 0.0],
        "p_value": round((1 + extreme) / (1 + n_resamples), 6),
    }


def _mean(sums: np.ndarray) -> np.ndarray:
    """Mean from (…, 2) sums of value and count."""
    return sums[..., 0] / sums[..., 1]


def _as_dict(record: Any) -> Mapping[str, Any]:
    return record if isinstance(record, Mapping) else record.model_dump()


def _subset(name: str, answerable: np.ndarray) -> np.ndarray:
    if name in {"answer_contained", "false_abstention"}:
        return answerable
    return ~answerable if name == "abstention" else np.ones_like(answerable)


def _per_question(
    answers: Sequence[str], references: Sequence[str], answerable: np.ndarray, embedder: Any
) -> dict[str, np.ndarray]:
    """Sufficient statistics a question: (n, 2) value and count, for BLEU (n, 10) lengths and n-gram counts."""
    values: dict[str, Any] = dict(scoring.compute_rouge(answers, references, per_sample=True)["per_sample"])
    for function in (scoring.compute_exact_match, scoring.compute_char_f1, scoring.compute_answer_contained):
        result = function(answers, references, per_sample=True)
        values[next(iter(result))] = result["per_sample"]
    said = scoring.compute_abstention(answers, answerable, per_sample=True)["per_sample"]
    values |= {"abstention": said, "false_abstention": said}
    if embedder is not None:
        cosines = scoring.compute_cosine_similarity(answers, references, embedder, per_sample=True)
        values["cosine_similarity"] = np.round(cosines["per_sample"], 6)  # float32 sums differ with the batch
    columns = {name: np.column_stack([column, np.ones(len(answers))]) for name, column in values.items()}
    return columns | {"bleu": scoring.bleu_statistics(answers, references)}


# --- Reading the result ----------------------------------------------------------------------------------------


def judgement(name: str, entry: Mapping[str, Any]) -> str:
    """나아짐 or 나빠짐 where the difference's interval excludes 0, else 차이 불확실; 같음 where no draw of
    questions showed any difference."""
    low, high = entry["interval"]
    if low == high == 0:
        return "같음"
    if low <= 0 <= high:
        return "차이 불확실"
    return "나아짐" if (low > 0) != (name in LOWER_IS_BETTER) else "나빠짐"


def comparison_table(result: Mapping[str, Any]) -> Any:
    """A pandas table, one metric a row; ↓ marks what should be low."""
    import pandas as pd

    rows = [
        {
            "지표": METRICS[name][0],
            "범위": METRICS[name][1],
            "베이스 모델": entry["base"],
            "튜닝한 모델": entry["tuned"],
            "차이": entry["difference"],
            "95% 하한": entry["interval"][0],
            "95% 상한": entry["interval"][1],
            "p값": "<0.001" if entry["p_value"] < 0.001 else f"{entry['p_value']:.3f}",
            "판정": judgement(name, entry),
        }
        for name, entry in result["metrics"].items()
    ]
    return pd.DataFrame(rows).set_index("지표").round(3)


def verdict(result: Mapping[str, Any]) -> str:
    """What may be said, in Korean: the headline from ``HEADLINE`` alone, then everything that moved."""
    groups: dict[str, list[str]] = {"나아짐": [], "나빠짐": [], "차이 불확실": [], "같음": []}
    for name, entry in result["metrics"].items():
        groups[judgement(name, entry)].append(METRICS[name][0])
    headline = result["metrics"][HEADLINE]
    low, high = headline["interval"]
    span = f"{METRICS[HEADLINE][0]} 차이 {headline['difference']:+.3f}, 95% 구간 {low:+.3f}~{high:+.3f}"
    worse = [name for name in GUARDS if name in result["metrics"] and METRICS[name][0] in groups["나빠짐"]]
    state = judgement(HEADLINE, headline)
    if state == "나빠짐":
        first = f"튜닝한 모델이 베이스 모델보다 나빠졌습니다({span})."
    elif state == "나아짐" and not worse:
        first = f"튜닝한 모델이 베이스 모델보다 낫습니다({span})."
    elif state == "나아짐":
        first = f"결과가 엇갈립니다. 표현은 정답에 가까워졌지만({span}) 나빠진 지표가 있습니다."
    elif worse:
        first = f"나아졌다고 할 근거가 없고({span}, 0을 포함합니다) 나빠진 지표가 있습니다."
    else:
        first = f"나아졌다고 할 근거가 없습니다({span}, 0을 포함합니다). 질문을 늘려 다시 재 보세요."
    lines = [first, *(f"{label}: {', '.join(names)}." for label, names in groups.items() if names)]
    return f"질문 {result['n']:,}개로 비교했습니다. " + "\n".join(lines)


def plot_comparison(result: Mapping[str, Any], path: str | Path | None = None) -> Any:
    """Bars of both systems: 0-1 metrics left, BLEU (0-100) right. The line on a tuned bar is the base score plus
    the 95 % interval of the difference. Saved to ``path`` if given; returns the (closed) matplotlib figure."""
    import matplotlib.pyplot as plt

    _use_hangul_font()
    metrics = result["metrics"]
    names = [name for name in METRICS if name in metrics and name != "bleu"]
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.8), width_ratios=[len(names), 2], layout="constrained")
    for axis, shown in zip(axes, (names, ["bleu"]), strict=True):
        entries = [metrics[name] for name in shown]
        places = np.arange(len(shown))
        axis.bar(
            places - 0.2, [entry["base"] for entry in entries], 0.4, label="베이스 모델", color="#9aa5b1"
        )
        tuned = np.array([entry["tuned"] for entry in entries])
        ends = np.array([[entry["base"] + end for end in entry["interval"]] for entry in entries])
        reach = np.abs(ends - tuned[:, None]).T
        axis.bar(places + 0.2, tuned, 0.4, yerr=reach, capsize=3, label="튜닝한 모델", color="#2f6fde")
        labels = [re.sub(r"\(.*?\)", "", METRICS[name][0]).replace(" ", "\n", 1) for name in shown]
        axis.set_xticks(places, labels)
        axis.spines[["top", "right"]].set_visible(False)
    lowest = min(0.0, *(min(metrics[name]["base"], metrics[name]["tuned"]) for name in names))
    axes[0].set(
        ylim=(lowest, 1.05), ylabel="점수(0–1)", title=f"질문 {result['n']:,}개, 선은 차이의 95% 구간"
    )
    axes[1].set(ylim=(0, 105), ylabel="BLEU(0–100)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure


def _use_hangul_font() -> None:
    """NanumGothic out of koreanize_matplotlib, whose own import needs distutils, gone since Python 3.12."""
    from importlib.util import find_spec

    from matplotlib import font_manager, rcParams

    spec = find_spec("koreanize_matplotlib")
    if spec is None or spec.origin is None:
        raise ImportError("한글 글꼴이 없습니다. pip install koreanize-matplotlib 을 실행해 주세요.")
    font_manager.fontManager.addfont(Path(spec.origin).parent / "fonts" / "NanumGothic.ttf")
    rcParams["font.family"] = "NanumGothic"
    rcParams["axes.unicode_minus"] = False


def sample_table(
    records: Sequence[Any],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    *,
    metric: str = "rougeL",
    n: int | None = None,
) -> Any:
    """Per-question ROUGE (``metric``) as a pandas table, largest gain first, largest loss last; with ``n`` the
    first ``n`` gains and the last ``n`` losses."""
    import pandas as pd

    rows = [_as_dict(record) for record in records]
    references = [row["answer"] for row in rows]
    before, after = (
        scoring.compute_rouge(answers, references, per_sample=True)["per_sample"][metric]
        for answers in (base_answers, tuned_answers)
    )
    table = pd.DataFrame(
        {
            "질문": [row["question"] for row in rows],
            "정답": references,
            "베이스 모델의 답": list(base_answers),
            "튜닝한 모델의 답": list(tuned_answers),
            "베이스 점수": before,
            "튜닝 점수": after,
            "차이": np.subtract(after, before),
            "답 있음": [bool(row["answerable"]) for row in rows],
        }
    ).sort_values("차이", ascending=False, kind="stable")
    return table if n is None or 2 * n >= len(table) else pd.concat([table.head(n), table.tail(n)])


STYLE = """body{font:16px/1.6 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#1f2933}
table{border-collapse:collapse;width:100%}th,td{border:1px solid #cbd2d9;padding:.4rem .6rem;text-align:left;
vertical-align:top}.answers td{width:33%;white-space:pre-wrap;overflow-wrap:anywhere}img{max-width:100%}
article{margin:1.5rem 0;border-top:2px solid #e4e7eb}details{white-space:pre-wrap}.up{color:#0b6b3a}.down{color:#b42318}"""


def comparison_page(
    result: Mapping[str, Any],
    records: Sequence[Any],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    path: str | Path,
    *,
    title: str = "베이스 모델과 튜닝한 모델의 비교",
) -> Path:
    """Writes one HTML file that needs nothing else: verdict, table, chart, and every question with both answers
    side by side, largest gain first. Whatever a model or a file wrote is escaped."""
    image = io.BytesIO()
    plot_comparison(result).savefig(image, format="png", dpi=100, metadata={"Software": None})
    chart = base64.b64encode(image.getvalue()).decode()
    rows = [_as_dict(record) for record in records]
    parts = [
        f'<!doctype html><html lang="ko"><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in verdict(result).splitlines()),
        comparison_table(result).reset_index().to_html(index=False, border=0),
        f'<img alt="지표별 막대그림" src="data:image/png;base64,{chart}">',
        f"<p>코사인 유사도: {html.escape(result['embedder'] or '재지 않음')}<br>",
        "<br>".join(html.escape(f"{name}: {text}") for name, text in result["signatures"].items()),
        "</p><h2>질문마다 나란히</h2>",
    ]
    for index, sample in sample_table(records, base_answers, tuned_answers).iterrows():
        context = "\n".join(
            f"[문서 {number}] {text}" for number, text in enumerate(rows[index]["context"], 1)
        )
        cells = "".join(
            f"<td>{html.escape(sample[name])}</td>"
            for name in ("정답", "베이스 모델의 답", "튜닝한 모델의 답")
        )
        mark = "up" if sample["차이"] > 0 else "down" if sample["차이"] < 0 else ""
        parts.append(
            f"<article><h3>{html.escape(sample['질문'])}</h3>"
            f'<table class="answers"><tr><th>정답</th><th>베이스 모델 ({sample["베이스 점수"]:.2f})</th>'
            f'<th>튜닝한 모델 ({sample["튜닝 점수"]:.2f}, <span class="{mark}">{sample["차이"]:+.2f}</span>)</th></tr>'
            f"<tr>{cells}</tr></table><details><summary>문맥 보기</summary>{html.escape(context)}</details></article>"
        )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(parts) + "</html>\n", encoding="utf-8")
    return path
