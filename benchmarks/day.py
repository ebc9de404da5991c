"""The day's running times: ``python -m benchmarks.day`` runs ``make workshop`` twice, alone and beside two busy programs, and
writes what it measured into the instructor's run sheet; ``--instructions`` runs it as on kinds of CPU and compares the
numbers. Nothing else should run meanwhile.
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
# What oneDNN and PyTorch may use; a CPU that has less uses less.
INSTRUCTIONS = {
    "AVX2": ("AVX2", "avx2"),
    "AVX-512": ("AVX512_CORE", "avx512"),
    "AVX-512 + BF16": ("AVX512_CORE_BF16", "avx512"),
    "AMX": ("AVX512_CORE_AMX", "avx512"),
}


def run_day(others: int = 0, **env: str) -> dict[str, Any]:
    """``run.json`` of a whole day in an empty folder beside ``others`` busy programs, with ``comparison.json`` as
    ``comparison``; CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as folder, busy(others):
        env = {**os.environ, **env, "WORKSHOP_OUTPUTS": folder}
        subprocess.run([sys.executable, "-m", "src.classroom.run"], cwd=ROOT, env=env, check=True)
        left = Path(folder) / active_profile().name
        run, numbers = (
            json.loads((left / f"{n}.json").read_text(encoding="utf-8")) for n in ("run", "comparison")
        )
        return run | {"comparison": numbers}


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


def instruction_sets() -> list[str]:
    """The names in ``INSTRUCTIONS`` that this CPU has; none where the system does not say (``/proc/cpuinfo``)."""
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    needs = {"AVX2": "avx2", "AVX-512": "avx512bw", "AVX-512 + BF16": "avx512_bf16", "AMX": "amx_bf16"}
    return [name for name, flag in needs.items() if flag in flags]


def instructions_table(runs: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of days by instruction set: seconds by the clock and of the training, a few numbers, and whether
    ``comparison.json`` is that of the first."""
    first = next(iter(runs.values()))["comparison"]
    rows = ["| 명령어 | 하루(초) | ROUGE-L | 정확히 일치 | 첫 줄과 |", "|---|---:|---:|---:|---|"]
    for name, run in runs.items():
        scores = [
            f"{run['comparison']['metrics'][metric]['tuned']:.3f}" for metric in ("rougeL", "exact_match")
        ]
        same = "같음" if run["comparison"] == first else "다름"
        rows.append(f"| {name} | {run['seconds']:.0f} | {' | '.join(scores)} | {same} |")
    return "\n".join(rows)


def by_instructions() -> None:
    runs = {}
    for name in instruction_sets():
        onednn, aten = INSTRUCTIONS[name]
        runs[name] = run_day(ONEDNN_MAX_CPU_ISA=onednn, ATEN_CPU_CAPABILITY=aten)
    missing = ", ".join(name for name in INSTRUCTIONS if name not in runs)
    text = f"{instructions_table(runs)}\n\n{machine('torch', 'bitsandbytes')}"
    text += f" 재지 않은 것(이 CPU에 없음): {missing}." if missing else ""
    write_section("instructions", text)
    print(text)


def main() -> None:
    if "--instructions" in sys.argv[1:]:
        by_instructions()
        return
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
