"""The whole day on the tiny profile, end to end, and what it must show; then every elective, on what the day left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from day import NAMES, assert_no_warning, run_workshop

from src.classroom.drills import DRILLS
from src.classroom.run import ELECTIVES


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


# --- The drills of notebook 03 ---------------------------------------------------------------------------------------

FAULTS = {  # a drill's title, and what our tools must say of it
    "pad-eos": ("pad_token = eos_token", "EOS가 라벨에 없어"),
    "full-text": ("전체 글에 손실", "질문과 문맥까지 모두 학습"),
    "template": ("틀린 채팅 템플릿", "프롬프트가 레코드의 것과 다릅니다"),
    "rate-high": ("학습률 × 100", "튀어 올랐습니다"),
    "rate-low": ("학습률 ÷ 100", "거의 내려가지 않았습니다"),
    "overfitting": ("과적합", "과적합입니다"),
    "targets": ("없는 층에 LoRA", "LoRA 대상 out_proj에 맞는 층이"),
    "memory": ("메모리 부족", "메모리가 모자라 학습을 멈췄습니다"),
    "clipping": ("기울기 자르기를 끔(SGD)", "튀어 올랐습니다"),
}


@pytest.fixture(scope="module")
def said(whole) -> str:
    """What the cells of notebook 03 printed."""
    (path,) = (whole[0] / "notebooks").glob("03*.ipynb")
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(o.text for c in cells if c.cell_type == "code" for o in c.outputs if "text" in o)


def test_the_tools_find_nothing_in_the_healthy_run(said):
    assert "건강한 학습에서 찾은 것: 없음\n" in said


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_is_found_and_mended(said, name):
    title, fault = FAULTS[name]
    (drill,) = (text for text in said.split("■ ")[1:] if text.startswith(f"{title}\n"))
    symptoms = re.findall(r"(?m)^  증상   .*: 고장 (.*) → 고친 뒤 (.*)$", drill)
    assert symptoms and all(broken != mended for broken, mended in symptoms)
    found, left = re.search(r"(?ms)^  찾기   .*?\n(.*)^  고치기 .*?^  다시   (.*?)$", drill).groups()
    assert fault in found
    assert left == "같은 도구가 아무것도 찾지 못했습니다."


# --- After the day ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def after(whole) -> dict:
    return run_workshop(whole[0].parent, "--electives")


@pytest.mark.parametrize("path", ELECTIVES, ids=lambda path: path.stem)
def test_every_elective_runs(whole, after, path):
    assert after["notebooks"] == whole[1]["notebooks"]  # the day's place in run.json stays as it was
    (entry,) = [entry for entry in after["electives"]["notebooks"] if entry["name"] == path.stem]
    assert (entry["status"], entry["warnings"]) == ("ok", [])
    assert_no_warning(whole[0] / "html" / f"{path.stem}.html")
