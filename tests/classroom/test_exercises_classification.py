"""Exercises of elective 10: the folded solution is right, and each typical mistake has its own hint."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest

from src.classroom.exercises import hint_for
from src.profiles import ROOT

NOTEBOOK = ROOT / "main-practice" / "electives" / "10_classification_and_nli.ipynb"
CELLS = nbformat.read(NOTEBOOK, as_version=4).cells
SOLUTIONS = {
    name[1]: re.search(r"```python\n(.*?)```", CELLS[place + 1].source, re.DOTALL)[1]
    for place, cell in enumerate(CELLS)
    if cell.cell_type == "code" and (name := re.search(r'^check\("([^"]+)"', cell.source, re.MULTILINE))
}


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_folded_solution_is_right(name):
    names = {"np": np}
    exec(SOLUTIONS[name], names)
    assert hint_for(name, names["my_answer"]) is None


def all_found(labels, probabilities):
    return probabilities[labels == 1].min()


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("10-same-side", ["B", "C"], "D도"),
        ("10-same-side", "C, D", "글자까지"),
        ("10-same-side", ["B", "C", "D", "E"], "다른 제품"),
        ("10-everyone-ill", 0.55, "산술 평균"),
        ("10-everyone-ill", "100/1000", "정밀도예요"),
        ("10-everyone-ill", 1, "재현율이에요"),
        ("10-everyone-ill", 0.3, "몇 명"),
        ("10-ten-ill", ["A", "B"], "칭찬"),
        ("10-ten-ill", ["B", "C"], "AUROC는 얼마"),
        ("10-ten-ill", ["C", "D"], "찾은 사람"),
        ("10-threshold", 0.5, "함수를 넣어"),
        ("10-threshold", lambda labels, probabilities: 0.5, "더 낮춰야"),
        ("10-threshold", lambda labels, probabilities: 0.0, "더 높은 문턱"),
        ("10-threshold", lambda labels, probabilities: None, "오류를"),
        ("10-threshold", all_found, "더 높은 문턱"),
    ],
)
def test_a_typical_mistake_gets_its_own_hint(name, answer, hint):
    assert re.search(hint, hint_for(name, answer))
