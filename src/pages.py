"""A comparison to look at: the chart, and a page with every question's answers side by side."""

from __future__ import annotations

import base64
import html
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.scoring import TOKENIZERS
from src.tables import METRICS, as_dict, comparison_table, out_of_100, sample_table, verdict

COLORS = {"base": "#9aa5b1", "few_shot": "#e0a84e", "tuned": "#2f6fde"}
SYSTEMS = {"base": "베이스 모델", "few_shot": "예시를 준 베이스", "tuned": "튜닝한 모델"}


def plot_comparison(result: Mapping[str, Any], path: str | Path | None = None) -> Any:
    """Bars of the systems: 0-1 metrics left, 0-100 (BLEU, chrF2) right. The line on a tuned bar is the base score
    plus the 95 % interval of the difference. Saved to ``path`` if given; returns the (closed) matplotlib figure."""
    import matplotlib.pyplot as plt

    _use_hangul_font()
    metrics = result["metrics"]
    heights = {
        "base": {name: entry["base"] for name, entry in metrics.items()},
        "tuned": {name: entry["tuned"] for name, entry in metrics.items()},
    }
    if "few_shot" in result:
        few_shot = {name: entry["few_shot"] for name, entry in result["few_shot"]["metrics"].items()}
        heights = {"base": heights["base"], "few_shot": few_shot, "tuned": heights["tuned"]}
    small = [name for name in metrics if not out_of_100(name)]
    large = [name for name in metrics if out_of_100(name)]
    figure, axes = plt.subplots(
        1, 2, figsize=(13, 4.8), width_ratios=[len(small), 1 + len(large)], layout="constrained"
    )
    width = 0.8 / len(heights)
    for axis, names in zip(axes, (small, large), strict=True):
        for place, (system, scores) in enumerate(heights.items()):
            at = np.arange(len(names)) + (place - (len(heights) - 1) / 2) * width
            values = np.array([scores[name] for name in names])
            axis.bar(at, values, width, label=SYSTEMS[system], color=COLORS[system])
            if system == "tuned":
                ends = [np.add(metrics[name]["base"], metrics[name]["interval"]) for name in names]
                axis.vlines(at, *np.transpose(ends), color="black", linewidth=1.5)
        labels = [re.sub(r"\(.*?\)", "", METRICS[name][0]).replace(" ", "\n", 1) for name in names]
        axis.set_xticks(np.arange(len(names)), labels)
        axis.spines[["top", "right"]].set_visible(False)
    lowest = min(0.0, *(scores[name] for scores in heights.values() for name in small))
    axes[0].set(
        ylim=(lowest, 1.05), ylabel="점수(0–1)", title=f"질문 {result['n']:,}개, 선은 차이의 95% 구간"
    )
    axes[1].set(ylim=(0, 105), ylabel="점수(0–100)")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(heights), frameon=False
    )
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


STYLE = """body{font:16px/1.6 system-ui,sans-serif;max-width:1200px;margin:2rem auto;padding:0 1rem;color:#1f2933}
table{border-collapse:collapse;width:100%}th,td{border:1px solid #cbd2d9;padding:.4rem .6rem;text-align:left;
vertical-align:top}.answers td{white-space:pre-wrap;overflow-wrap:anywhere}.answers{table-layout:fixed}img{max-width:100%}
article{margin:1.5rem 0;border-top:2px solid #e4e7eb}details{white-space:pre-wrap}.up{color:#0b6b3a}.down{color:#b42318}
mark{background:#d3f2df;color:inherit;border-bottom:2px solid #0b6b3a}del{text-decoration:none;color:#b42318;
border-bottom:2px dotted #b42318}small{display:block;color:#52606d}"""


def mark_overlap(answer: str, reference: str) -> tuple[str, list[str]]:
    """The answer as HTML with every morpheme that it shares with the reference in ``<mark>``, each as often as the
    reference has it (what ROUGE-1 counts), and the reference's words that are missing. Everything is escaped."""
    text = unicodedata.normalize("NFC", answer)
    left = Counter(TOKENIZERS["mecab"](reference))
    parts, position = [], 0
    for token in TOKENIZERS["mecab"](answer):
        start = text.find(token, position)
        if start < 0:  # a character that the tokenizer got as a space
            continue
        parts.append(html.escape(text[position:start]))
        shown = html.escape(token)
        parts.append(f"<mark>{shown}</mark>" if left[token] > 0 else shown)
        left[token] -= 1
        position = start + len(token)
    parts.append(html.escape(text[position:]))
    missing = []
    for token in TOKENIZERS["mecab"](reference)[
        ::-1
    ]:  # of a word twice there and once here the last is missing
        if left[token] > 0:
            left[token] -= 1
            missing.append(token)
    words = [token for token in missing[::-1] if any(character.isalnum() for character in token)]
    return "".join(parts).replace("</mark><mark>", ""), words


def _answer_cell(answer: str, reference: str) -> str:
    shown, missing = mark_overlap(answer, reference)
    words = " ".join(f"<del>{html.escape(word)}</del>" for word in missing)
    return f"<td>{shown}{f'<small>빠진 말: {words}</small>' if missing else ''}</td>"


def comparison_page(
    result: Mapping[str, Any],
    records: Sequence[Any],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    path: str | Path,
    *,
    few_shot_answers: Sequence[str] | None = None,
    parts: Mapping[str, Any] | None = None,
    title: str = "베이스 모델과 튜닝한 모델의 비교",
) -> Path:
    """Writes one HTML file that needs nothing else: verdict, table, chart, the tables in ``parts`` (heading to
    pandas table), and every question with its answers side by side, largest gain first, words that the reference
    has marked and missing ones listed. Whatever a model or a file wrote is escaped."""
    image = io.BytesIO()
    plot_comparison(result).savefig(image, format="png", dpi=100, metadata={"Software": None})
    chart = base64.b64encode(image.getvalue()).decode()
    rows = [as_dict(record) for record in records]
    blocks = [
        f'<!doctype html><html lang="ko"><meta charset="utf-8"><title>{html.escape(title)}</title>',
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in verdict(result).splitlines()),
        comparison_table(result).reset_index().to_html(index=False, border=0),
        f'<img alt="지표별 막대그림" src="data:image/png;base64,{chart}">',
        f"<p>코사인 유사도: {html.escape(result['embedder'] or '재지 않음')}<br>",
        "<br>".join(html.escape(f"{name}: {text}") for name, text in result["signatures"].items()),
        "</p>",
    ]
    for heading, table in (parts or {}).items():
        blocks += [f"<h2>{html.escape(heading)}</h2>", table.reset_index().to_html(index=False, border=0)]
    blocks.append(
        "<h2>질문마다 나란히</h2><p><mark>초록 밑줄</mark>은 정답과 겹친 형태소, "
        "<del>빨간 점선</del>은 정답에 있는데 답에 없는 말입니다. 뜻이 아니라 글자로 맞춰 본 것입니다.</p>"
    )
    samples = sample_table(records, base_answers, tuned_answers, few_shot_answers=few_shot_answers)
    for index, sample in samples.iterrows():
        blocks.append(_article(sample, rows[index]["context"]))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lone surrogate has no UTF-8; a page must not fail on a cut emoji.
    path.write_text("\n".join(blocks) + "</html>\n", encoding="utf-8", errors="replace")
    return path


def _article(sample: Mapping[str, Any], context: Sequence[str]) -> str:
    documents = "\n".join(f"[문서 {number}] {text}" for number, text in enumerate(context, 1))
    mark = "up" if sample["차이"] > 0 else "down" if sample["차이"] < 0 else ""
    columns = {
        f"베이스 모델 ({sample['베이스 점수']:.2f})": sample["베이스 모델의 답"],
        f'튜닝한 모델 ({sample["튜닝 점수"]:.2f}, <span class="{mark}">{sample["차이"]:+.2f}</span>)': sample[
            "튜닝한 모델의 답"
        ],
    }
    if "예시 점수" in sample:
        columns[f"예시를 준 베이스 ({sample['예시 점수']:.2f})"] = sample["예시를 준 베이스의 답"]
    heads = "".join(f"<th>{head}</th>" for head in ("정답", *columns))
    cells = "".join(_answer_cell(answer, sample["정답"]) for answer in columns.values())
    return (
        f"<article><h3>{html.escape(sample['질문'])}</h3>"
        f'<table class="answers"><tr>{heads}</tr><tr><td>{html.escape(sample["정답"])}</td>{cells}</tr></table>'
        f"<details><summary>문맥 보기</summary>{html.escape(documents)}</details></article>"
    )
