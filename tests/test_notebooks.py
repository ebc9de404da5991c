"""The whole day on the tiny profile, end to end, then each notebook alone in an empty work folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from src.classroom.run import NOTEBOOKS
from src.profiles import ROOT

NAMES = [path.stem for path in NOTEBOOKS]
KEYS = [re.split(r"[_-]", name)[0] for name in NAMES]
WARNING = re.compile(r"\b[A-Za-z]*Warning:|\bWARNING\b")


def run_workshop(outputs: Path, *arguments: str) -> dict:
    """Run as a learner does, in a process of its own, and return what it left in run.json."""
    env = {**os.environ, "WORKSHOP_OUTPUTS": str(outputs), "WORKSHOP_PROFILE": "tiny"}
    command = [sys.executable, "-m", "src.classroom.run", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stderr == ""
    return json.loads((outputs / "tiny" / "run.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict]:
    outputs = tmp_path_factory.mktemp("whole")
    return outputs / "tiny", run_workshop(outputs)


@pytest.fixture(scope="module")
def metrics(whole) -> dict:
    comparison = json.loads((whole[0] / "comparison.json").read_text(encoding="utf-8"))
    assert comparison["n"] >= 200
    return comparison["metrics"]


def assert_no_warning(page: Path) -> None:
    soup = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    outputs = soup.select(".jp-OutputArea-output")
    assert outputs, f"{page.name} shows no output"
    for output in outputs:
        found = WARNING.search(output.get_text())
        assert found is None, f"{page.name}: {output.get_text().strip()[:500]}"


def test_every_notebook_runs(whole):
    run = whole[1]
    assert run["profile"] == "tiny"
    assert [(e["name"], e["status"]) for e in run["notebooks"]] == [(name, "ok") for name in NAMES]


def test_pages_are_left_and_hold_no_warning(whole):
    folder, run = whole
    pages = sorted((folder / "html").glob("*.html"))
    assert sorted(page.stem for page in pages) == sorted(NAMES) and len(pages) == 7
    assert {e["name"]: e["warnings"] for e in run["notebooks"] if e["stderr"]} == {}
    for page in pages:
        assert_no_warning(page)


@pytest.mark.parametrize("name", ["rougeL", "exact_match"])
def test_tuning_helps_beyond_chance(metrics, name):
    assert metrics[name]["tuned"] > metrics[name]["base"]
    assert metrics[name]["interval"][0] > 0


def test_the_asked_value_is_in_the_answer(metrics):
    contained = metrics["answer_contained"]
    assert contained["tuned"] >= 0.8
    assert contained["tuned"] >= contained["base"] - 0.05


def test_it_says_so_when_the_documents_do_not_answer(metrics):
    assert metrics["abstention"]["tuned"] >= 0.8
    assert metrics["false_abstention"]["tuned"] <= 0.1


@pytest.mark.parametrize("key", KEYS)
def test_a_notebook_runs_alone_in_an_empty_folder(whole, tmp_path, key):
    run = run_workshop(tmp_path, "--only", key)
    expected = ["ok" if key == other else "not run" for other in KEYS]
    assert [entry["status"] for entry in run["notebooks"]] == expected
    assert {e["name"]: e["warnings"] for e in run["notebooks"] if e["stderr"]} == {}
    assert_no_warning(tmp_path / "tiny" / "html" / f"{NAMES[KEYS.index(key)]}.html")
    if key == "04":
        alone = (tmp_path / "tiny" / "comparison.json").read_bytes()
        assert alone == (whole[0] / "comparison.json").read_bytes()
