"""Slides from the executed notebooks: one HTML file each, readable from the back of a room, with no network.

``python -m src.classroom.slides`` takes the executed notebooks that ``src.classroom.run`` left. A heading starts a
slide; prose, tables and charts are shown, code is folded; the arrow keys turn the pages.
"""

from __future__ import annotations

import argparse
import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat

from src.profiles import PROFILES, active_profile

MAX_OUTPUT = 1200  # characters of printed output that still fit on a slide
STYLE = """html{scroll-snap-type:y mandatory}body{margin:0;font:28px/1.5 system-ui,"Noto Sans KR","NanumGothic",sans-serif;color:#1f2933}
section{box-sizing:border-box;min-height:100vh;padding:4vh 6vw;scroll-snap-align:start;border-bottom:1px solid #e4e7eb;
display:flex;flex-direction:column;justify-content:center;word-break:keep-all;overflow-wrap:anywhere}
h1{font-size:2em}h2{font-size:1.6em}h3{font-size:1.3em}h1,h2,h3{margin:.2em 0 .5em;color:#123b6d}
img{max-width:100%;max-height:62vh;width:auto;min-width:min(100%,900px);object-fit:contain}
table{border-collapse:collapse;font-size:.75em}th,td{border:1px solid #cbd2d9;padding:.25em .6em;text-align:left}
pre{font-size:.72em;background:#f5f7fa;padding:.6em;overflow:auto;white-space:pre-wrap}code{background:#f5f7fa}
details{font-size:.8em}blockquote{border-left:6px solid #9fb3c8;margin:.5em 0;padding:.1em 1em;color:#334e68}a.anchor-link{display:none}
@media print{section{page-break-after:always;min-height:auto}}"""
SCRIPT = """addEventListener('keydown',e=>{const d={ArrowRight:1,PageDown:1,' ':1,ArrowLeft:-1,PageUp:-1}[e.key];if(!d)return;
e.preventDefault();const s=[...document.querySelectorAll('section')],i=s.findIndex(x=>x.getBoundingClientRect().bottom>innerHeight/2);
s[Math.max(0,Math.min(s.length-1,i+d))].scrollIntoView()})"""


def slides_of(notebook: nbformat.NotebookNode) -> Iterator[str]:
    """HTML of each slide, in order. A chart or a long text starts a slide of its own under the same heading."""
    heading, parts = "", []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for block in re.split(r"(?m)^(?=#{1,3} )", cell.source):
                if not block.strip():
                    continue
                if starts := re.match(r"#{1,3} .*", block):
                    if parts:
                        yield "\n".join(parts)
                    heading, parts = starts[0], []
                elif sum(map(len, parts)) > 1500:
                    yield "\n".join(parts)
                    parts = [_prose(heading)]
                parts.append(_prose(block))
        elif cell.cell_type == "code":
            shown = [text for output in cell.get("outputs", []) if (text := _output(output))]
            folded = f"<details><summary>코드</summary><pre>{html.escape(cell.source)}</pre></details>"
            if any("<img" in text or "<table" in text for text in shown) and sum(map(len, parts)) > 600:
                yield "\n".join(parts)
                parts = [_prose(heading)]
            parts += [*shown, folded]
    if parts:
        yield "\n".join(parts)


def _prose(text: str) -> str:
    from nbconvert.filters import markdown2html

    page = re.sub(r'<a class="anchor-link".*?</a>', "", re.sub(r' id="[^"]*"', "", markdown2html(text)))
    # Headings come back in numeric character references; what was escaped for safety stays escaped.
    return re.sub(r"&#(\d{4,});", lambda match: chr(int(match[1])), page)


def _output(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return f"<pre>{html.escape(output.text[:MAX_OUTPUT])}</pre>" if output.name == "stdout" else ""
    data = output.get("data", {})
    if (
        "application/vnd.jupyter.widget-view+json" in data
    ):  # a slider lives in a kernel; its static picture follows
        return ""
    if "image/png" in data:
        return f'<img alt="차트" src="data:image/png;base64,{data["image/png"].strip()}">'
    if "text/html" in data:
        return "".join(data["text/html"])
    return f"<pre>{html.escape(''.join(data.get('text/plain', ''))[:MAX_OUTPUT])}</pre>" if data else ""


def write_slides(source: Path, target: Path) -> int:
    """Write ``source``'s slides as one page; returns how many there are."""
    slides = list(slides_of(nbformat.read(source, as_version=4)))
    body = "\n".join(f"<section>{slide}</section>" for slide in slides)
    page = f'<!doctype html><html lang="ko"><meta charset="utf-8"><title>{html.escape(source.stem)}</title>'
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(
        f"{page}<style>{STYLE}</style>{body}<script>{SCRIPT}</script></html>\n", encoding="utf-8"
    )
    return len(slides)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m src.classroom.slides", description="실행한 노트북으로 만드는 슬라이드"
    )
    parser.add_argument("--profile", choices=PROFILES)
    options = parser.parse_args(arguments)
    profile = PROFILES[options.profile] if options.profile else active_profile()
    executed = sorted((profile.output_dir / "notebooks").glob("*.ipynb"))
    if not executed:
        print("실행한 노트북이 없습니다. 먼저 make workshop 을 실행해 주세요.")
        return 1
    for path in executed:
        count = write_slides(path, profile.output_dir / "slides" / f"{path.stem}.html")
        print(f"{path.stem}: {count}장")
    print(f"슬라이드: {profile.output_dir / 'slides'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
