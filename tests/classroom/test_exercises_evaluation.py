"""Exercises of 04 (searching, asking people) and 05 (before shipping): the folded solution is right, typical mistakes get
theirs."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest
from scipy.stats import binomtest

from src.classroom.exercises import NUMERIC, as_number, hint_for
from src.classroom.run import NOTEBOOKS


@pytest.mark.parametrize("name", ["04-mrr", "04-how-many", "05-false-alarms", "05-feedback", "05-spot"])
def test_the_folded_solution_is_right(name):
    path = next(path for path in NOTEBOOKS if path.stem.startswith(name[:2]))
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
        ("05-false-alarms", 0.05, "곱해"),
        ("05-false-alarms", 0.6, "달마다"),
        ("05-false-alarms", 52, "보는 횟수"),
        ("05-false-alarms", 7, "× 한 번에"),
        ("05-feedback", ["A", "B", "D"], "여러 사람이 눌러도"),
        ("05-feedback", "A, C, D", "시험이 새요"),
        ("05-feedback", ["A"], "하나 더"),
        ("05-feedback", ["D", "E"], "사람이 읽어야"),
        ("05-spot", 0.8, "1.5배"),
        ("05-spot", 1.5, "싼 것도"),
        ("05-spot", 0.7, "두 비율"),
    ],
)
def test_a_typical_mistake_gets_its_own_hint(name, answer, hint):
    assert hint in hint_for(name, answer)


@pytest.mark.parametrize(
    "answer",
    [
        "문맥에 따르면 원17,500입니다.",
        "문맥에 따르면 17,500입니다원.",
        "문맥에 따르면 1 7,500원입니다.",
        "문맥에 따르면 1,75 00원입니다.",
    ],
)
def test_the_right_amount_written_oddly_fools_nobody(answer):
    assert "금액이 틀려야" in hint_for("04-fool-f1", answer)


@pytest.mark.parametrize("amount", ["15,700", "71,500", "1,0750", "75,100"])
def test_a_wrong_amount_of_the_same_characters_is_right(amount):
    assert hint_for("04-fool-f1", f"문맥에 따르면 {amount}원입니다.") is None


def test_a_number_from_numpy_is_a_number():
    assert (
        hint_for("04-how-many", np.int64(20)) == hint_for("04-how-many", 20.0) == hint_for("04-how-many", 20)
    )
    assert "하한이 0.481" in hint_for("04-how-many", np.int64(20))
    right = next(n for n in range(10, 500, 10) if hint_for("04-how-many", n) is None)
    assert hint_for("04-how-many", np.int64(right)) is None and hint_for("04-how-many", f"{right}") is None


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("10/14", 10 / 14),
        (" 3 / 4 ", 0.75),
        ("1,234", 1234),
        ("４", 4),
        (10**30, 10**30),
        (np.float32(0.5), 0.5),
        (np.array(7), 7),
        *(
            (text, None)
            for text in ("", "/", "1/0", "nan", "1e999", "열", "1e999999999/3", [1], None, 1j, object())
        ),
        (np.array([1, 2]), None),
        (float("inf"), None),
    ],
)
def test_what_counts_as_a_number(answer, number):
    assert as_number(answer) == number


def test_a_fraction_in_quotes_is_read():
    assert hint_for("04-mrr", "11/24") is None and "recall" in hint_for("04-mrr", "3/4")


@pytest.mark.parametrize("name", sorted(NUMERIC))
def test_what_is_no_number_gets_a_hint_without_english(name):
    for answer in ("10/0", "모름", [1, 2], object()):
        assert "숫자 하나로" in hint_for(name, answer)
        assert not re.search("[A-Za-z]", hint_for(name, answer))
