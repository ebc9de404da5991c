"""The whole day on the tiny profile, end to end, and what it must show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from day import NAMES, assert_no_warning, run_workshop


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict]:
    outputs = tmp_path_factory.mktemp("whole")
    run = run_workshop(outputs)
    return outputs / "tiny", run


@pytest.fixture(scope="module")
def metrics(whole) -> dict:
    comparison = json.loads((whole[0] / "comparison.json").read_text(encoding="utf-8"))
    assert comparison["n"] >= 200
    return comparison["metrics"]


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
