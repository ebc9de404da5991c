"""The day's running times: ``python -m benchmarks.day`` writes what the last whole ``make workshop`` measured
(``outputs/<profile>/run.json``) into the instructor's run sheet.
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks import PAGE, machine, write_section
from src.profiles import active_profile

SHEET = PAGE.with_name("instructor.md")


def times_table(run: dict[str, Any]) -> str:
    """A Markdown table of ``run.json``: a notebook a line, its seconds and its slowest part; ValueError where a
    notebook has not run to its end, since a part of a day says nothing about the day."""
    left_out = [n["name"] for n in run["notebooks"] if n["status"] != "ok"]
    if left_out:
        raise ValueError(
            f"끝까지 실행되지 않은 노트북이 있습니다: {', '.join(left_out)}. make workshop 을 먼저 실행해 주세요."
        )
    rows = ["| 노트북 | 실행 시간(초) | 가장 오래 걸리는 곳 |", "|---|---:|---|"]
    for notebook in run["notebooks"]:
        slowest = max(notebook["slowest_cells"], key=lambda cell: cell["seconds"])
        rows.append(
            f"| `{notebook['name']}` | {notebook['seconds']:.0f} | {slowest['heading']}({slowest['seconds']:.0f}초) |"
        )
    rows.append(f"| 모두 | {sum(n['seconds'] for n in run['notebooks']):.0f} | |")
    return "\n".join(rows)


def main() -> None:
    run = json.loads((active_profile().output_dir / "run.json").read_text(encoding="utf-8"))
    where = machine("torch", "transformers", "bitsandbytes")
    text = f"{times_table(run)}\n\n{run['profile']} 프로파일, 커밋 {run['commit'][:7]}. {where}"
    write_section("times", text, page=SHEET)
    print(text)


if __name__ == "__main__":
    main()
