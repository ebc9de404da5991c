"""What a run leaves: ``run.json``, the HTML pages, the summary."""

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from src.classroom.console import Console
from src.classroom.watch import Stuck
from src.data.text import pad

# nbconvert's page without its blocking scripts: with no network it opens at once and stays readable (formulas as
# TeX). Beside it the way back, to the pages before and after, and its own contents.
PAGE = """{% extends 'index.html.j2' %}{% from 'mathjax.html.j2' import mathjax %}
{% block html_head_css %}{{ super() }}<meta name="viewport" content="width=device-width, initial-scale=1">
<style>.jp-RenderedHTML pre { font-family: var(--jp-code-font-family) }
.day { font: 14px/1.5 system-ui, sans-serif; padding: .5rem 1rem; word-break: keep-all } .day { overflow-wrap: anywhere } .day a { color: #1d4ed8; text-decoration: none }
.day > p { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .3rem 0 } .day li { margin: .2rem 0 } .day ul { padding-left: 1rem }
@media (min-width: 75rem) { .day { position: fixed; left: 0; top: 0; bottom: 0; width: 15rem; overflow-y: auto; border-right: 1px solid #cbd2d9 }
body.jp-Notebook main { margin-left: 16rem } }
@media (max-width: 40rem) { .jp-InputPrompt, .jp-OutputPrompt { display: none } body.jp-Notebook { padding: 0 } }</style>{% endblock %}
{% block html_head_js %}{% endblock %}{% block html_head_js_mermaidjs %}{% endblock %}{% block jupyter_widgets %}{% endblock %}
{% block html_head_js_mathjax %}{{ mathjax(resources.mathjax_url) | replace('<script src', '<script async src') }}{% endblock %}
{% block body_header %}{{ super() }}<nav class="day"><p><a href="../index.html">실행 결과</a>
{% if resources.before %}<a href="{{ resources.before }}.html">← {{ resources.before }}</a>{% endif %}
{% if resources.after %}<a href="{{ resources.after }}.html">{{ resources.after }} →</a>{% endif %}</p><!--contents--></nav>{% endblock %}
"""
STOPPED_HERE = "> **여기서 멈췄습니다.** 아래 셀은 실행하지 않았습니다."


def warning_lines(cells: Sequence[Any]) -> list[str]:
    """The lines that cells left on stderr and that hold a warning."""
    texts = [
        output.text
        for cell in cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    return [line for text in texts for line in text.splitlines() if re.search("Warning|WARNING", line)]


def write_html(
    nb: nbformat.NotebookNode, target: Path, source: Path, failed_at: int | None, day: Sequence[str] = ()
) -> None:
    """Write ``nb`` as one page, pictures within, and as a notebook; after the cell ``failed_at`` nothing ran. ``day``
    are the names of all notebooks: the page leads to the ones before and after."""
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
    place = day.index(source.stem) if source.stem in day else 0
    near = {"before": day[place - 1] if place else "", "after": "".join(day[place + 1 : place + 2])}
    page, _ = exporter.from_notebook_node(nb, resources={"metadata": metadata, **near})
    headings = re.findall(r'<h2 id="([^"]+)">(.*?)<a class="anchor-link"', page)
    items = "".join(f'<li><a href="#{anchor}">{heading}</a></li>' for anchor, heading in headings)
    contents = f"<details open><summary>차례</summary><ul>{items}</ul></details>" if items else ""
    page = page.replace("<!--contents-->", contents, 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    executed = target.parent.parent / "notebooks" / f"{source.stem}.ipynb"  # to open, and for the slides
    executed.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nb, executed)


def not_run(path: Path) -> dict[str, Any]:
    """The entry in ``run.json`` of a notebook that did not run."""
    return {
        "name": path.stem,
        "status": "not run",
        "seconds": 0.0,
        "slowest_cells": [],
        "stderr": 0,
        "warnings": [],
    }


def entry_of(
    path: Path, cells: Sequence[Any], times: Sequence[dict[str, Any]], seconds: float, attempt: int
) -> dict[str, Any]:
    """The entry of a notebook that ran to its end; ``restarts`` only where its kernel had got stuck before."""
    warnings = warning_lines(cells)
    return not_run(path) | {
        "status": "ok",
        "seconds": round(seconds, 2),
        "slowest_cells": sorted(times, key=lambda cell: -cell["seconds"])[:5],
        "stderr": len(warnings),
        "warnings": warnings[:5],
        **({"restarts": attempt - 1} if attempt > 1 else {}),
    }


def write_run(
    output_dir: Path,
    profile: str,
    commit: str,
    entries: Sequence[dict[str, Any]],
    seconds: float,
    electives: bool = False,
) -> None:
    """Write ``run.json``: ``{"profile", "commit", "seconds", "notebooks": [{"name", "status", "seconds",
    "slowest_cells", "stderr", "warnings", "restarts"?, "error"?}], "electives"?: {"commit", "seconds", "notebooks"}}``.
    The day and the electives each keep what the file says of the other. ``seconds`` goes by the clock: two lanes take
    less than the sum of their notebooks. ``status`` is "ok", "failed" or "not run"; a cell's ``index`` is its place
    among the notebook's cells, from 0; ``stderr`` counts the lines on stderr that hold a warning and ``warnings``
    names the first of them."""
    run, old = {"commit": commit, "seconds": seconds, "notebooks": list(entries)}, read_run(output_dir)
    if electives:
        run = {"commit": commit, "seconds": 0.0, "notebooks": []} | old | {"electives": run}
    elif "electives" in old:
        run["electives"] = old["electives"]
    run = {"profile": profile} | run
    output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(run, ensure_ascii=False, indent=2)
    (output_dir / "run.json").write_text(text + "\n", encoding="utf-8")


def read_run(output_dir: Path) -> dict[str, Any]:
    """What ``run.json`` holds; empty where there is none that can be read."""
    try:
        run = json.loads((output_dir / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return run if isinstance(run, dict) else {}


def read_entries(
    output_dir: Path, profile: str, commit: str, electives: bool = False
) -> dict[str, dict[str, Any]]:
    """The entries by name, of the day or of the electives, that an earlier run of the same commit and profile left."""
    run = read_run(output_dir)
    try:
        old = run["electives"] if electives else run
        if (old["commit"], run["profile"]) == (commit, profile):
            return {entry["name"]: entry for entry in old["notebooks"]}
    except (KeyError, TypeError):
        pass
    return {}


def error_message(error: Exception) -> str:
    """What stopped a cell, in one line."""
    if isinstance(error, CellExecutionError):
        return f"{error.ename}: {error.evalue}"
    if isinstance(error, DeadKernelError):
        return (
            "커널이 갑자기 꺼졌습니다. 메모리가 모자랐을 수 있으니 다른 프로그램을 닫고 다시 실행해 주세요."
        )
    if isinstance(error, CellTimeoutError):
        return "셀이 정해 둔 시간(--timeout) 안에 끝나지 않았습니다."
    return str(error) if isinstance(error, Stuck) else f"{type(error).__name__}: {error}"


def print_summary(
    console: Console,
    output_dir: Path,
    entries: Sequence[dict[str, Any]],
    started: float,
    seconds: float,
    compared: bool = True,
) -> None:
    """Print what ran, ``comparison.json`` as a table with its verdict (``compared``) and where to look next."""
    words = {"ok": "완료", "failed": "실패", "not run": "실행 안 함"}
    console.line("\n== 요약")
    for entry in entries:
        warned = f"  경고 {entry['stderr']}줄" if entry["stderr"] else ""
        warned += f"  커널이 멈춰 {entry['restarts']}번 다시 시작" if entry.get("restarts") else ""
        console.line(
            f"  {pad(words[entry['status']], 12)}{entry['name']:<40}{entry['seconds']:>8.1f}초{warned}"
        )
    console.line(f"  {pad('모두', 52)}{seconds:>8.1f}초 ({seconds / 60:.1f}분)")
    comparison = output_dir / "comparison.json"
    if compared and comparison.is_file():
        old = "" if comparison.stat().st_mtime >= started else ", 이전에 실행한 결과"
        try:
            from src.evaluation.results import Comparison

            result = Comparison.from_json(comparison.read_text(encoding="utf-8"))
            # The table, and of the verdict the headline.
            lines = [f"  {line}".rstrip() for line in str(result).splitlines()[: len(result.metrics) + 3]]
            lines.insert(0, f"\n== 튜닝 전과 후 (질문 {result.n:,}개{old})")
        except (ValueError, KeyError, TypeError, AttributeError):
            # A broken file must not spoil the end of a long run.
            lines = [f"\n{comparison}을(를) 읽지 못했습니다. 04번 노트북을 다시 실행해 주세요."]
        for line in lines:
            console.line(line)
    console.line("\n== 다음에 볼 곳")
    console.line(f"  {pad('브라우저로 열기', 18)}{output_dir / 'index.html'}")
    # Without a name make lab takes what was chosen in 00.01, which may be another profile than this run's.
    console.line(f"  {pad('직접 해 보기', 18)}make lab PROFILE={output_dir.name}")
