"""Slides from the executed notebooks: one HTML file each, readable from the back of a room, with no network.

``python -m src.classroom.slides`` takes the active profile's notebooks that ``src.classroom.run`` left. A heading starts a
slide; prose, tables and charts are shown, code is folded; the arrow keys turn the pages.
"""

import re
from pathlib import Path

import nbformat
from markupsafe import Markup

from src.profiles import active_profile
from src.templates import write_page

MAX_OUTPUT = 1200  # characters of printed output that still fit on a slide


def slides_of(notebook: nbformat.NotebookNode) -> list[Markup]:
    """HTML of each slide, in order. A chart or a long text starts a slide of its own under the same heading."""
    heading, slides = "", [[]]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for block in filter(str.strip, re.split(r"(?m)^(?=#{1,3} )", cell.source)):
                if starts := re.match(r"#{1,3} .*", block):
                    heading = starts[0]
                    slides.append([])
                elif sum(map(len, slides[-1])) > 1500:
                    slides.append([_prose(heading)])
                slides[-1].append(_prose(block))
        elif cell.cell_type == "code":
            shown = [text for output in cell.get("outputs", []) if (text := _output(output))]
            if any("<img" in text or "<table" in text for text in shown) and sum(map(len, slides[-1])) > 600:
                slides.append([_prose(heading)])
            folded = Markup("<details><summary>코드</summary><pre>{}</pre></details>").format(cell.source)
            slides[-1] += [*shown, folded]
    return [Markup("\n").join(parts) for parts in slides if parts]


def _prose(text: str) -> Markup:
    from nbconvert.filters import markdown2html

    page = re.sub(r'<a class="anchor-link".*?</a>', "", re.sub(r' id="[^"]*"', "", markdown2html(text)))
    # Headings come back in numeric character references; what was escaped for safety stays escaped.
    return Markup(re.sub(r"&#(\d{4,});", lambda match: chr(int(match[1])), page))


def _output(output: nbformat.NotebookNode) -> Markup:
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:  # lives in a kernel; its static picture follows
        return Markup()
    if "image/png" in data:
        return Markup('<img alt="차트" src="data:image/png;base64,{}">').format(data["image/png"].strip())
    if "text/html" in data:
        return Markup("".join(data["text/html"]))
    text = output.text if output.get("name") == "stdout" else "".join(data.get("text/plain", ""))
    return Markup("<pre>{}</pre>").format(text[:MAX_OUTPUT]) if text else Markup()


def write_slides(source: Path, target: Path) -> int:
    """Write ``source``'s slides as one page; returns how many there are."""
    slides = slides_of(nbformat.read(source, as_version=4))
    write_page(target, "slides.html.j2", title=source.stem, slides=slides)
    return len(slides)


def main() -> str | None:
    profile = active_profile()
    executed = sorted((profile.output_dir / "notebooks").glob("*.ipynb"))
    if not executed:
        return "실행한 노트북이 없습니다. 먼저 make workshop 을 실행해 주세요."
    for path in executed:
        count = write_slides(path, profile.output_dir / "slides" / f"{path.stem}.html")
        print(f"{path.stem}: {count}장")
    print(f"슬라이드: {profile.output_dir / 'slides'}")


if __name__ == "__main__":
    raise SystemExit(main())
