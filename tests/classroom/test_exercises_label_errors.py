"""Exercises of elective 12: the folded solution is right, and each typical mistake has its own hint."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest

from src.classroom.exercises import hint_for
from src.profiles import ROOT

NOTEBOOK = ROOT / "main-practice" / "electives" / "12_label_errors.ipynb"
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


def counts(votes, classes):
    return np.stack([(votes == label).sum(axis=1) for label in range(classes)], axis=1)


def majority(votes, classes):
    return np.eye(classes)[counts(votes, classes).argmax(axis=1)]


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("12-threshold", 0.6, "모든 행"),
        ("12-threshold", 0.85, "동의한 행만"),
        ("12-threshold", 0.5, "절반도"),
        ("12-threshold", 2.1, "더하기만"),
        ("12-threshold", 0.33, "행을 고르고"),
        ("12-found", ["B", "C", "D"], "조금 기울었을"),
        ("12-found", "B", "D의 라벨"),
        ("12-found", "D", "B의 라벨"),
        ("12-found", "A, B, D, E", "A, E에서는"),
        ("12-whose-fault", ["A", "B", "C"], "한 모양에"),
        ("12-whose-fault", ["A", "C", "D"], "망설임은"),
        ("12-whose-fault", ["C"], "서로 다른 베이스"),
        ("12-whose-fault", ["A"], "사람 둘"),
        ("12-shares", counts, "센 수 그대로"),
        ("12-shares", majority, "다수결로"),
        ("12-shares", lambda votes, classes: counts(votes, classes).T, "한 칸이어야"),
        ("12-shares", lambda votes, classes: np.zeros((len(votes), classes)), "이어야 해요"),
        ("12-shares", 0.5, "함수를 넣어"),
    ],
)
def test_a_typical_mistake_gets_its_own_hint(name, answer, hint):
    assert re.search(hint, hint_for(name, answer))
