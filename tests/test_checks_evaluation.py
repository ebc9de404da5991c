"""Notebook 04's exercises on searching and on asking people: the folded solution is right, typical mistakes get theirs."""

from __future__ import annotations

import re

import nbformat
import pytest
from scipy.stats import binomtest

from src.classroom.checks import hint_for
from src.classroom.run import NOTEBOOKS


@pytest.mark.parametrize("name", ["04-mrr", "04-how-many"])
def test_the_folded_solution_is_right(name):
    path = next(path for path in NOTEBOOKS if path.stem.startswith("04"))
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    place = next(i for i, source in enumerate(cells) if f'check("{name}"' in source)
    names = {"binomtest": binomtest}
    exec(re.search(r"```python\n(.*?)```", cells[place + 1], flags=re.S).group(1), names)
    assert hint_for(name, names["my_answer"]) is None


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("04-mrr", (1 + 1 / 3 + 1 / 2) / 3, "찾은 질문의 수로"),
        ("04-mrr", (1 + 3 + 2) / 3, "순위를 그대로"),
        ("04-mrr", 3 / 4, "recall"),
        ("04-mrr", 1 + 1 / 3 + 1 / 2, "더하기만"),
        ("04-mrr", 0.9, "1 / 순위"),
        ("04-how-many", 20, "하한이 0.481"),
        ("04-how-many", 200, "더 적은 수"),
        ("04-how-many", 25, "10문항 단위"),
    ],
)
def test_a_typical_mistake_gets_its_own_hint(name, answer, hint):
    assert hint in hint_for(name, answer)
