"""Notebook 11's exercises: the folded solution is right, typical mistakes get their own hint."""

from __future__ import annotations

import re

import nbformat
import pytest

from src.classroom.exercises import hint_for
from src.classroom.run import ELECTIVES

(NOTEBOOK,) = (path for path in ELECTIVES if path.stem.startswith("11"))


@pytest.mark.parametrize("name", ["11-auroc", "11-calibrate", "11-cost", "11-formula"])
def test_the_folded_solution_is_right(name):
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    place = next(i for i, source in enumerate(cells) if f'check("{name}"' in source)
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", cells[place + 1], flags=re.S).group(1), names)
    assert hint_for(name, names["my_answer"]) is None


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("11-auroc", 3 / 5, "문턱을 0에"),
        ("11-auroc", 4, "이긴 짝의 수"),
        ("11-auroc", 2 / 6, "거꾸로"),
        ("11-auroc", 4 / 5, "질문의 수로"),
        ("11-auroc", 5 / 6, "2.1은 0.9와"),
        ("11-calibrate", 0.8, "더하면 1이"),
        ("11-calibrate", 2 / 3, "'아니요'의 확률"),
        ("11-calibrate", 0.6, "보정하기 전"),
        ("11-calibrate", 0.45 / 0.55, "곱했어요"),
        ("11-calibrate", 0.5, "0.6 ÷ 0.75"),
        ("11-cost", 1.2, "더 맞힌 문제의 수로"),
        ("11-cost", 20, "더 든 돈을"),
        ("11-cost", 20 / 1.2, "거꾸로"),
        ("11-cost", 0.09, "더 드는 만큼만"),
        ("11-cost", 0.0012, "600토큰"),
        ("11-formula", 58050, "따옴표 안에"),
        ("11-formula", "58050", "계산은 코드가"),
        ("11-formula", "17,500 * 3 + 12,000 * 0.9", "출장비만"),
        ("11-formula", "17,500 * 3 + 12,000", "깎기 전"),
        ("11-formula", "(17,500 * 3 + 12,000) * 0.1", "깎아 주는 금액"),
        ("11-formula", "(17,500 + 12,000) * 0.9", "부품이 3개"),
        ("11-formula", "(17,500 * 3 + 12,000) - 10%", "%는 계산하지"),
        ("11-formula", "(17,500원 * 3 + 12,000원) * 0.9", "단위와 말은"),
        ("11-formula", "(17,500 * 3", "식을 계산하지 못했어요"),
        ("11-formula", "1 + 1", "괄호로 묶어"),
    ],
)
def test_a_typical_mistake_gets_its_own_hint(name, answer, hint):
    assert hint in hint_for(name, answer)


@pytest.mark.parametrize(
    "answer", ["(17500*3+12000)*0.9", "(17,500 × 3 + 12,000) × 9 ÷ 10", "0.9*(12000+3*17500) ="]
)
def test_any_formula_of_that_value_is_right(answer):
    assert hint_for("11-formula", answer) is None
