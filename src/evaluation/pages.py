"""A comparison to look at: the chart, and a page with every question's answers side by side."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from src.data.schemas import RaftRecord
from src.evaluation.results import SYSTEMS, Comparison
from src.evaluation.tables import comparison_table, sample_table
from src.scoring.metrics import METRICS
from src.scoring.tokenizers import TOKENIZERS
from src.templates import png, write_page

COLORS = {"base": "#9aa5b1", "few_shot": "#e0a84e", "tuned": "#2f6fde"}
FEW = 3  # questions shown unfolded at either end


def plot_comparison(result: Comparison) -> Any:
    """Bars of the systems: 0-1 metrics left, 0-100 (BLEU, chrF2) right. The line on a tuned bar is the base score
    plus the 95 % interval of the difference. Returns the (closed) matplotlib figure."""
    import koreanize_matplotlib  # noqa: F401  (a font with Hangul)
    import matplotlib.pyplot as plt

    heights = {"base": {name: entry.base for name, entry in result.metrics.items()}}
    if result.few_shot:
        heights["few_shot"] = {name: entry.base for name, entry in result.few_shot.items()}
    heights["tuned"] = result.scores
    small, large = ([name for name in result.metrics if METRICS[name].top == top] for top in (1, 100))
    ratios = [len(small), 1 + len(large)]
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), width_ratios=ratios, layout="constrained")
    width = 0.8 / len(heights)
    for axis, names in zip(axes, (small, large), strict=True):
        for place, (system, scores) in enumerate(heights.items()):
            at = np.arange(len(names)) + (place - (len(heights) - 1) / 2) * width
            values = np.array([scores[name] for name in names])
            axis.bar(at, values, width, label=SYSTEMS[system], color=COLORS[system])
            if system == "tuned":
                ends = [np.add(result.metrics[name].base, result.metrics[name].interval) for name in names]
                axis.vlines(at, *np.transpose(ends), color="black", linewidth=1.5)
        labels = [re.sub(r"\(.*?\)", "", METRICS[name].title).replace(" ", "\n", 1) for name in names]
        axis.set_xticks(np.arange(len(names)), labels)
        axis.spines[["top", "right"]].set_visible(False)
    lowest = min(0.0, *(scores[name] for scores in heights.values() for name in small))
    axes[0].set(ylim=(lowest, 1.05), ylabel="점수(0–1)", title=f"질문 {result.n:,}개, 선은 차이의 95% 구간")
    axes[1].set(ylim=(0, 105), ylabel="점수(0–100)")
    named = axes[0].get_legend_handles_labels()
    figure.legend(*named, loc="outside upper right", ncols=len(heights), frameon=False)
    plt.close(figure)  # a notebook shows the returned figure once, not twice
    return figure


def mark_overlap(answer: str, reference: str) -> tuple[list[tuple[str, bool]], list[str]]:
    """The answer in pieces, each with whether it is shared with the reference (a morpheme as often as the reference
    has it: what ROUGE-1 counts), and the reference's words that are missing."""
    text = unicodedata.normalize("NFC", answer)
    left = Counter(TOKENIZERS["mecab"](reference))
    pieces, position = [], 0
    for token in TOKENIZERS["mecab"](answer):
        start = text.find(token, position)
        if start < 0:  # a character that the tokenizer got as a space
            continue
        pieces += [(text[position:start], False), (token, left[token] > 0)]
        left[token] -= 1
        position = start + len(token)
    pieces.append((text[position:], False))
    runs = groupby(filter(lambda piece: piece[0], pieces), key=lambda piece: piece[1])
    missing = []
    # Of a word twice there and once here the last is missing.
    for token in TOKENIZERS["mecab"](reference)[::-1]:
        if left[token] > 0:
            left[token] -= 1
            missing.append(token)
    words = [token for token in missing[::-1] if any(map(str.isalnum, token))]
    return [("".join(piece for piece, _ in run), shared) for shared, run in runs], words


def comparison_page(
    result: Comparison,
    records: Sequence[RaftRecord],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    path: str | Path,
    *,
    few_shot_answers: Sequence[str] | None = None,
    parts: Mapping[str, Any] | None = None,
) -> Path:
    """Writes one HTML file that needs nothing else: verdict, table, the ``FEW`` questions with the largest gain and
    with the largest loss, all others folded by gain, no change and loss; then chart, the tables in ``parts`` (heading
    to pandas table) and how it was measured. A question has its answers side by side, words that the reference has
    marked and missing ones listed. Whatever a model or a file wrote is escaped."""
    samples = sample_table(records, base_answers, tuned_answers, few_shot_answers=few_shot_answers)
    gain = samples["차이"]
    rest = {"나아진": samples[gain > 0], "점수가 같은": samples[gain == 0], "나빠진": samples[gain < 0][::-1]}
    first = {word: rest[word].drop_duplicates("정답")[:FEW] for word in ("나아진", "나빠진")}
    rest |= {word: rest[word].drop(part.index) for word, part in first.items()}
    shown = {place: _question(row, records[place].context) for place, row in samples.iterrows()}

    return write_page(
        path,
        "comparison.html.j2",
        title="베이스 모델과 튜닝한 모델의 비교",
        verdict=result.verdict.splitlines(),
        summary=_cells(result.rows()),
        unfolded={word: [shown[place] for place in part.index] for word, part in first.items()},
        folded={word: [shown[place] for place in part.index] for word, part in rest.items()},
        chart=png(plot_comparison(result), dpi=100),
        parts={
            heading: _cells(table.reset_index().to_dict("records"))
            for heading, table in (parts or {}).items()
        },
        figures=_cells(comparison_table(result).reset_index().to_dict("records")),
        signatures={"코사인 유사도": result.embedder or "재지 않음", **result.signatures},
    )


def _cells(rows: Sequence[Mapping[str, Any]]) -> list[list[tuple[str, str]]]:
    """Rows of one shape as (text, class), their names first: numbers stand to the right, judgements in colour."""

    def kind(value: Any) -> str:
        number = re.fullmatch(r"[<+-]?[\d.,]+( ~ .*)?|–", str(value))
        return "n" if number else {"나아짐": "up", "나빠짐": "down"}.get(value, "")

    names = [(name, "n" if kind(value) == "n" else "") for name, value in rows[0].items()]
    shown = [
        [(f"{value:.3f}" if isinstance(value, float) else str(value), kind(value)) for value in row.values()]
        for row in rows
    ]
    return [names, *shown]


def _question(row: Mapping[str, Any], context: Sequence[str]) -> dict[str, Any]:
    """A row of ``sample_table`` as the page shows it."""
    answers = []
    for system, column in (("베이스 모델", "베이스"), ("예시를 준 베이스", "예시"), ("튜닝한 모델", "튜닝")):
        if (score := row.get(f"{column} 점수")) is not None:
            pieces, missing = mark_overlap(row[f"{system}의 답"], row["정답"])
            answers.append({"system": system, "score": score, "pieces": pieces, "missing": missing})
    return {
        "text": row["질문"],
        "reference": row["정답"],
        "answerable": row["답 있음"],
        "kind": "up" if row["차이"] > 0 else "down" if row["차이"] < 0 else "",
        "gain": row["차이"],
        "answers": answers,
        "context": context,
    }
