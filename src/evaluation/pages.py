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

from src.evaluation.tables import (
    METRICS,
    as_dict,
    comparison_table,
    out_of_100,
    sample_table,
    summary_rows,
    verdict,
)
from src.scoring.tokenizers import TOKENIZERS

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


FEW = 3  # questions shown unfolded at either end
# No script may run and nothing may be fetched, whatever an answer holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """body{font:clamp(16px,.8vw + 8px,22px)/1.6 system-ui,sans-serif;max-width:80rem;margin:1.5rem auto;padding:0 1rem;
color:#1f2933;word-break:keep-all;overflow-wrap:anywhere}h1,h2,h3{line-height:1.3}.wide{overflow-x:auto}img{max-width:100%}
.verdict{background:#eef4ff;border-left:6px solid #2f6fde;padding:.6rem 1rem}.verdict p{margin:.3rem 0}.wide{overflow-wrap:normal;margin:1rem 0}
table{border-collapse:collapse}th,td{border-bottom:1px solid #cbd2d9;padding:.35rem .7rem;text-align:left}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.up{color:#0b6b3a}.down{color:#b42318}
.wide th:first-child,.wide td:first-child{position:sticky;left:0;background:#fff}td.up,td.down{font-weight:bold}
@media(max-width:40rem){th,td{padding:.3rem;font-size:.85rem}th.n{white-space:normal}.wide td:first-child{min-width:5rem}}
article{margin:1rem 0;border-top:1px solid #cbd2d9}h3{font-size:1.05rem;margin:.7rem 0 .4rem}
.answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(14rem,100%),1fr));gap:.6rem}
.answers div{background:#f5f7fa;padding:.4rem .7rem}.answers b{font-size:.85em}.answers p,.context p{margin:.2rem 0;white-space:pre-wrap}
summary{cursor:pointer}.rest{margin:.6rem 0}.rest>summary{font-weight:bold;padding:.4rem .7rem;background:#e4e7eb}
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
    """Writes one HTML file that needs nothing else: verdict, table, the ``FEW`` questions with the largest gain and
    with the largest loss, all others folded by gain, no change and loss; then chart, the tables in ``parts`` (heading
    to pandas table) and how it was measured. A question has its answers side by side, words that the reference has
    marked and missing ones listed. Whatever a model or a file wrote is escaped."""
    image = io.BytesIO()
    plot_comparison(result).savefig(image, format="png", dpi=100, metadata={"Software": None})
    chart = base64.b64encode(image.getvalue()).decode()
    first, *lines = verdict(result).splitlines()
    signatures = {"코사인 유사도": result["embedder"] or "재지 않음", **result["signatures"]}
    samples = sample_table(records, base_answers, tuned_answers, few_shot_answers=few_shot_answers)
    blocks = [
        f'<!doctype html><html lang="ko"><head><meta charset="utf-8"><title>{html.escape(title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>",
        f'<div class="verdict"><p><strong>{html.escape(first)}</strong></p>',
        *(f"<p>{html.escape(line)}</p>" for line in lines),
        "</div>",
        _table(summary_rows(result)),
        "<p>↓가 붙은 지표는 낮아야 좋습니다. 구간이 0을 품으면 차이가 있다고 말하지 않습니다.</p>",
        *_questions(samples, [as_dict(record)["context"] for record in records]),
        f'<h2>그림</h2><img alt="지표별 막대그림" src="data:image/png;base64,{chart}">',
    ]
    for heading, table in (parts or {}).items():
        blocks += [f"<h2>{html.escape(heading)}</h2>", _table(table.reset_index().to_dict("records"))]
    blocks += [
        '<details class="rest"><summary>모든 수치와 잰 방법</summary>',
        _table(comparison_table(result).reset_index().to_dict("records")),
        *(f"<p>{html.escape(f'{name}: {text}')}</p>" for name, text in signatures.items()),
        "</details></body></html>\n",
    ]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lone surrogate has no UTF-8; a page must not fail on a cut emoji.
    path.write_text("\n".join(blocks), encoding="utf-8", errors="replace")
    return path


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of one shape as an HTML table: numbers to the right, everything else to the left, all escaped."""

    def cell(tag: str, value: Any, like: Any) -> str:
        text = f"{value:.3f}" if isinstance(value, float) else str(value)
        number = re.fullmatch(r"[<+-]?[\d.,]+( ~ .*)?|–", str(like))
        kind = "n" if number else {"나아짐": "up", "나빠짐": "down"}.get(text, "")
        return f'<{tag} class="{kind}">{html.escape(text)}</{tag}>'

    heads = "".join(cell("th", name, value) for name, value in rows[0].items())
    body = "".join(f"<tr>{''.join(cell('td', v, v) for v in row.values())}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{heads}</tr>{body}</table></div>'


def _questions(samples: Any, contexts: Sequence[Sequence[str]]) -> list[str]:
    """The questions as blocks; ``samples`` is a ``sample_table``, its index the place in ``contexts``."""
    articles = {index: _article(sample, contexts[index]) for index, sample in samples.iterrows()}
    gain = samples["차이"]
    better, same, worse = (samples.index[chosen] for chosen in (gain > 0, gain == 0, gain < 0))
    worse = worse[::-1]  # the largest loss first
    blocks = [
        "<p>질문마다 나란히 봅니다. 괄호 안은 ROUGE-L입니다. <mark>초록 밑줄</mark>은 정답과 겹친 형태소, "
        "<del>빨간 점선</del>은 정답에 있는데 답에 없는 말입니다. 뜻이 아니라 글자로 맞춰 본 것입니다. 정답이 같은 "
        "질문은 하나만 펼치고 나머지는 아래에 접어 두었습니다.</p>"
    ]
    rest = {"나아진": better, "점수가 같은": same, "나빠진": worse}
    for word in ("나아진", "나빠진"):
        shown = samples.loc[rest[word]].drop_duplicates("정답").index[:FEW]
        rest[word] = rest[word][~rest[word].isin(shown)]
        blocks.append(f"<h2>가장 {word} 질문</h2>")
        blocks += [articles[index] for index in shown] or [f"<p>{word} 질문이 없습니다.</p>"]
    blocks.append("<h2>나머지 질문</h2>")
    for word, chosen in rest.items():
        if len(chosen):
            head = f'<details class="rest"><summary>{word} 질문 {len(chosen):,}개</summary>'
            blocks += [head, *(articles[index] for index in chosen), "</details>"]
    return blocks


def _article(sample: Mapping[str, Any], context: Sequence[str]) -> str:
    reference = sample["정답"]
    mark = "up" if sample["차이"] > 0 else "down" if sample["차이"] < 0 else ""
    shown = {f"베이스 모델 ({sample['베이스 점수']:.2f})": sample["베이스 모델의 답"]}
    if "예시 점수" in sample:
        shown[f"예시를 준 베이스 ({sample['예시 점수']:.2f})"] = sample["예시를 준 베이스의 답"]
    change = f'<span class="{mark}">{sample["차이"]:+.2f}</span>'
    shown[f"튜닝한 모델 ({sample['튜닝 점수']:.2f}, {change})"] = sample["튜닝한 모델의 답"]
    answers = "".join(_answer(head, answer, reference) for head, answer in shown.items())
    documents = "".join(
        f"<p>[문서 {number}] {html.escape(text)}</p>" for number, text in enumerate(context, 1)
    )
    note = "" if sample["답 있음"] else " <small>문맥에 답이 없는 질문</small>"
    return (
        f"<article><h3>{html.escape(sample['질문'])}{note}</h3>"
        f'<div class="answers"><div><b>정답</b><p>{html.escape(reference)}</p></div>{answers}</div>'
        f'<details class="context"><summary>문맥 보기</summary>{documents}</details></article>'
    )


def _answer(head: str, answer: str, reference: str) -> str:
    shown, missing = mark_overlap(answer, reference)
    words = " ".join(f"<del>{html.escape(word)}</del>" for word in missing)
    return f"<div><b>{head}</b><p>{shown or '(빈 답)'}</p>{f'<small>빠진 말: {words}</small>' if missing else ''}</div>"
