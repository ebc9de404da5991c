"""What ``src.classroom.run`` shows and keeps: the progress line, the HTML pages, the summary."""

from __future__ import annotations

import copy
import json
import re
import shutil
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

# nbconvert's page without its blocking scripts: with no network it opens at once and stays readable (formulas as TeX).
PAGE = """{% extends 'index.html.j2' %}{% from 'mathjax.html.j2' import mathjax %}
{% block html_head_js %}{% endblock %}{% block html_head_js_mermaidjs %}{% endblock %}{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{{ mathjax(resources.mathjax_url) | replace('<script src', '<script async src') }}{% endblock %}
"""
STOPPED_HERE = "> **여기서 멈췄습니다.** 아래 셀은 실행하지 않았습니다."


class Console:
    """One line that updates itself on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self.tty = sys.stdout.isatty()
        self.every = 1.0 if self.tty else 30.0  # seconds between signs of life within one cell

    def line(self, text: str) -> None:
        """Print ``text`` for good."""
        print(("\r\x1b[2K" if self.tty else "") + text, flush=True)

    def update(self, text: str) -> None:
        """Show ``text`` until something else is shown; nothing where lines cannot be taken back."""
        if self.tty:
            columns = shutil.get_terminal_size().columns - 1
            while width(text) > columns:
                text = text[:-1]
            print("\r\x1b[2K" + text, end="", flush=True)

    def progress(self, text: str) -> None:
        """Something was done."""
        if self.tty:
            self.update(text)
        else:
            self.line(text)

    @contextmanager
    def ticking(self, label: str) -> Iterator[None]:
        """Keep showing ``label`` with the seconds gone by while the body runs."""
        done, started = threading.Event(), time.monotonic()

        def tick() -> None:
            while not done.wait(self.every):
                self.progress(f"{label} · {time.monotonic() - started:.0f}초째")

        self.update(label)
        thread = threading.Thread(target=tick, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def width(text: str) -> int:
    """Columns ``text`` takes on a terminal: Hangul takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cell_headings(cells: Sequence[Any]) -> list[str]:
    """For each cell the nearest Markdown heading at or above it."""
    headings, current = [], "(제목 없음)"
    for cell in cells:
        if cell.cell_type == "markdown":
            prose = re.sub(
                r"^(```|~~~).*?^\1", "", cell.source, flags=re.M | re.S
            )  # '#' in code is a comment
            found = re.findall(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", prose, flags=re.M)
            current = found[-1] if found else current
        headings.append(current)
    return headings


def warning_lines(cells: Sequence[Any]) -> list[str]:
    """The lines that cells left on stderr and that hold a warning."""
    texts = [
        output.text
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    return [line for text in texts for line in text.splitlines() if re.search("Warning|WARNING", line)]


def write_html(nb: nbformat.NotebookNode, target: Path, source: Path, failed_at: int | None) -> None:
    """Write ``nb`` as one page, pictures within, and as a notebook; after the cell ``failed_at`` nothing ran."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    if failed_at is not None:
        nb = copy.deepcopy(nb)
        nb.cells.insert(failed_at + 1, nbformat.v4.new_markdown_cell(STOPPED_HERE))
    exporter = HTMLExporter(
        template_name="lab",
        template_file="page.html.j2",
        extra_loaders=[DictLoader({"page.html.j2": PAGE})],
        language_code="ko",
    )
    metadata = {"path": str(source.parent), "name": source.stem}
    page, _ = exporter.from_notebook_node(nb, resources={"metadata": metadata})
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    executed = target.parent.parent / "notebooks" / f"{source.stem}.ipynb"  # to open, and for the slides
    executed.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, executed)


def print_summary(
    console: Console, output_dir: Path, entries: Sequence[dict[str, Any]], started: float
) -> None:
    """Print what ran, the before/after table of ``comparison.json`` and where to look next."""
    words = {"ok": "완료", "failed": "실패", "not run": "실행 안 함"}
    console.line("\n== 요약")
    for entry in entries:
        warned = f"  경고 {entry['stderr']}줄" if entry["stderr"] else ""
        console.line(
            f"  {_pad(words[entry['status']], 12)}{entry['name']:<40}{entry['seconds']:>8.1f}초{warned}"
        )
    total = sum(entry["seconds"] for entry in entries)
    console.line(f"  {_pad('모두', 52)}{total:>8.1f}초 ({total / 60:.1f}분)")
    comparison = output_dir / "comparison.json"
    if comparison.is_file():
        old = "" if comparison.stat().st_mtime >= started else ", 이전에 실행한 결과"
        for line in _comparison_table(json.loads(comparison.read_text(encoding="utf-8")), old):
            console.line(line)
    console.line("\n== 다음에 볼 곳")
    places = [("실행한 노트북", output_dir / "html"), ("튜닝 전후 비교", output_dir / "comparison.html")]
    for label, place in [*places, ("실행 기록", output_dir / "run.json")]:
        if place.exists():
            console.line(f"  {_pad(label, 16)}{place}")
    console.line(f"  {_pad('직접 해 보기', 16)}make lab")


def _comparison_table(comparison: dict[str, Any], note: str) -> list[str]:
    lines = [f"\n== 튜닝 전과 후 (질문 {comparison['n']}개{note})"]
    header = ("지표", 20), ("전", 9), ("후", 9), ("차이", 9)
    lines.append("  " + "".join(_pad(text, size) for text, size in header) + "차이의 95% 구간")
    for name, m in comparison["metrics"].items():
        numbers = "".join(f"{_number(m.get(key)):<9}" for key in ("base", "tuned", "difference"))
        low, high = m.get("interval") or (None, None)
        lines.append(f"  {name:<20}{numbers}[{_number(low)}, {_number(high)}]")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _pad(text: str, columns: int) -> str:
    return text + " " * max(0, columns - width(text))
