"""Run the day, or one notebook of it, as a learner does: what the notebook tests share."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from bs4 import BeautifulSoup

from src.classroom.run import NOTEBOOKS
from src.profiles import ROOT

NAMES = [path.stem for path in NOTEBOOKS]
WARNING = re.compile(r"\b[A-Za-z]*Warning:|\bWARNING\b")


def run_workshop(
    outputs: Path,
    *arguments: str,
    profile: str = "tiny",
    env: dict[str, str] | None = None,
    checkout: Path = ROOT,
) -> dict:
    """Run as a learner does, in a process of its own, and return what it left in run.json."""
    env = {**(env or os.environ), "WORKSHOP_OUTPUTS": str(outputs), "WORKSHOP_PROFILE": profile}
    command = [sys.executable, "-m", "src.classroom.run", *arguments]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stderr == ""
    return json.loads((outputs / profile / "run.json").read_text(encoding="utf-8"))


def assert_no_warning(page: Path) -> None:
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    outputs = soup.select(".jp-OutputArea-output")
    assert outputs, f"{page.name} shows no output"
    for output in outputs:
        found = WARNING.search(output.get_text())
        assert found is None, f"{page.name}: {output.get_text().strip()[:500]}"
