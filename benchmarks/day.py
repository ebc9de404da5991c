"""The day's running times: ``python -m benchmarks.day`` runs ``make workshop`` twice, alone and beside two busy programs, and
writes what it measured into the instructor's run sheet. Nothing else should run meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import PAGE, machine, write_section
from benchmarks.stall import busy
from src.profiles import ROOT, active_profile

SHEET = PAGE.with_name("instructor.md")
BUSY = 2  # other programs in the second run


def run_day(others: int) -> dict[str, Any]:
    """``run.json`` of a whole day in an empty folder beside ``others`` busy programs; CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as folder, busy(others):
        env = {**os.environ, "WORKSHOP_OUTPUTS": folder}
        subprocess.run([sys.executable, "-m", "src.classroom.run"], cwd=ROOT, env=env, check=True)
        return json.loads((Path(folder) / active_profile().name / "run.json").read_text(encoding="utf-8"))


def times_table(alone: dict[str, Any], beside: dict[str, Any]) -> str:
    """A Markdown table of two runs (``run.json``): a notebook a line, its seconds alone and beside others and its slowest
    part; ValueError where a notebook has not run to its end, since a part of a day says nothing about the day."""
    for run in (alone, beside):
        if left_out := [n["name"] for n in run["notebooks"] if n["status"] != "ok"]:
            raise ValueError(f"끝까지 실행되지 않은 노트북이 있습니다: {', '.join(left_out)}.")
    rows = ["| 노트북 | 혼자(초) | 바쁜 컴퓨터(초) | 가장 오래 걸리는 곳 |", "|---|---:|---:|---|"]
    for notebook, other in zip(alone["notebooks"], beside["notebooks"], strict=True):
        slowest = max(notebook["slowest_cells"], key=lambda cell: cell["seconds"])
        rows.append(
            f"| `{notebook['name']}` | {notebook['seconds']:.0f} | {other['seconds']:.0f} | "
            f"{slowest['heading']}({slowest['seconds']:.0f}초) |"
        )
    rows.append(f"| 시계로 모두 | {alone['seconds']:.0f} | {beside['seconds']:.0f} | |")
    return "\n".join(rows)


def main() -> None:
    alone, beside = run_day(0), run_day(BUSY)
    where = machine("torch", "transformers", "bitsandbytes")
    text = (
        f"{times_table(alone, beside)}\n\n{alone['profile']} 프로파일, 커밋 {alone['commit'][:7]}. 두 줄로 나란히 실행하므로 모두의 시간은 "
        f"합보다 짧습니다. 바쁜 컴퓨터는 쉬지 않는 다른 프로그램 {BUSY}개 옆입니다. {where}"
    )
    write_section("times", text, page=SHEET)
    print(text)


if __name__ == "__main__":
    main()
