"""Every exercise: its folded solution is right, an empty cell says so, and nonsense gets a hint, never a traceback."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest

from src.classroom.exercises import EXERCISES, check, hint_for
from src.classroom.run import ELECTIVES, NOTEBOOKS


def exercises() -> list[tuple[str, str]]:
    """(name, solution) of every exercise: the first folded block of Python after its cell."""
    found = []
    for path in [*NOTEBOOKS, *ELECTIVES]:
        cells = nbformat.read(path, as_version=4).cells
        for position, cell in enumerate(cells):
            if cell.cell_type == "code" and (
                name := re.search(r'^check\("([^"]+)"', cell.source, flags=re.M)
            ):
                rest = "\n".join(
                    c.source for c in cells[position + 1 : position + 3] if c.cell_type == "markdown"
                )
                solution = re.search(r"<details>.*?```python\n(.*?)```", rest, flags=re.S)
                found.append((name.group(1), solution.group(1) if solution else ""))
    return found


SHIPPED = exercises()


def test_every_check_belongs_to_a_notebook():
    assert sorted(name for name, _ in SHIPPED) == sorted(EXERCISES)


def test_every_exercise_has_a_folded_solution():
    assert [name for name, solution in SHIPPED if "my_answer" not in solution] == []


@pytest.mark.parametrize("name", sorted(EXERCISES))
def test_nonsense_gets_a_hint(name):
    for nonsense in (object(), "모름", -1, [], {}):
        assert hint_for(name, nonsense)


def test_an_empty_answer_says_so(capsys):
    check(SHIPPED[0][0], None)
    assert "아직 비어 있어요" in capsys.readouterr().out


CONCEPTS = {name: solution for name, solution in SHIPPED if name.startswith("00-")}


@pytest.mark.parametrize("name", sorted(CONCEPTS))
def test_the_folded_solution_of_the_concepts_is_right(name):
    names = {"np": np}
    exec(CONCEPTS[name], names)
    assert hint_for(name, names["my_answer"]) is None


def _energy(s, limit):  # squares without the root
    return next(r for r in range(len(s) + 1) if (s[r:] ** 2).sum() <= limit * (s**2).sum())


def _plain_sum(s, limit):
    return next(r for r in range(len(s) + 1) if s[r:].sum() <= limit * s.sum())


def _below(s, limit):
    return next(r for r in range(len(s) + 1) if np.linalg.norm(s[r:]) < limit * np.linalg.norm(s))


def _from_one(s, limit):
    return next(r for r in range(1, 9) if np.linalg.norm(s[r:]) <= limit * np.linalg.norm(s))


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("00-rank", _energy, "제곱근"),
        ("00-rank", _plain_sum, "제곱"),
        ("00-rank", _below, "오차를 100%까지|꼭 0.6"),
        ("00-rank", _from_one, "r=0"),
        ("00-accumulation", 4, "4분의 1"),
        ("00-alpha", 32, "alpha를 그대로"),
        ("00-bits", 4.5, "블록이 64"),
        ("00-lora-count", 14336 * 4096, "전체 파인튜닝"),
        ("00-quiz", {1: "가"}, "2, 3, 4, 5, 6, 7번의 답이 없습니다"),
        ("00-quiz", dict.fromkeys(range(1, 8), "라"), "0개 맞았습니다"),
    ],
)
def test_a_typical_mistake_of_the_concepts_gets_its_own_hint(name, answer, hint):
    assert re.search(hint, hint_for(name, answer))


def test_every_wrong_choice_of_the_concepts_quiz_has_its_own_hint():
    names: dict = {}
    exec(CONCEPTS["00-quiz"], names)
    right, seen = names["my_answer"], []
    for number, choice in right.items():
        for wrong in sorted({"가", "나", "다"} - {choice}):
            line = hint_for("00-quiz", {**right, number: wrong})
            assert f"{number}번:" in line and "가운데 하나를" not in line
            seen.append(line)
    assert len(set(seen)) == 2 * len(right)


QUALITY = {name: solution for name, solution in SHIPPED if name.startswith("02-")}


@pytest.mark.parametrize("name", sorted(QUALITY))
def test_the_folded_solution_of_the_quality_notebook_is_right(name):
    names: dict = {}
    exec(QUALITY[name], names)
    assert hint_for(name, names["my_answer"]) is None


def _no_zero(planted, found):
    right = len(planted & found)
    return right / len(found), right / len(planted)


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("02-near", ["A", "C"], "모델명이 서로 달라요"),
        ("02-near", ["A", "D"], "뜻이 반대"),
        ("02-near", ["A", "B"], "여러 말로 묻는 법"),
        ("02-near", ["E"], r"E은\(는\) 없어요"),
        ("02-grounded", lambda document, value: value in document, "2 년"),
        (
            "02-grounded",
            lambda document, value: value.replace(" ", "") in document.replace(" ", ""),
            "'10W'가 '310W' 안에서",
        ),
        ("02-seq-length", lambda lengths: -(-max(lengths) // 64) * 64, "가장 긴 것까지"),
        ("02-seq-length", lambda lengths: sorted(lengths)[len(lengths) // 2] // 64 * 64, "내림"),
        ("02-seq-length", lambda lengths: sorted(lengths)[len(lengths) // 2], "배수가 아니에요"),
        ("02-precision", lambda planted, found: _no_zero(found, planted), "순서가 바뀌었어요"),
        ("02-precision", lambda planted, found: [100 * v for v in _no_zero(planted, found)], "퍼센트"),
        ("02-precision", lambda planted, found: (len(planted & found),) * 2, "개수예요"),
        ("02-precision", lambda planted, found: (len(planted & found) / len(planted | found),) * 2, "자카드"),
        ("02-precision", lambda planted, found: len(planted & found) / len(found), "값 두 개"),
        ("02-precision", _no_zero, "0으로 나누게"),
        (
            "02-precision",
            lambda planted, found: _no_zero(planted, found) if planted and found else (0, 0),
            "정밀도를 정할 수 없어요",
        ),
        (
            "02-precision",
            lambda planted, found: _no_zero(planted, found) if planted and found else (None, None),
            "재현율은 0이에요",
        ),
        (
            "02-precision",
            lambda planted, found: _no_zero(planted, found) if planted and found else (None, 0),
            "재현율을 정할 수 없어요",
        ),
    ],
)
def test_a_typical_mistake_of_the_quality_notebook_gets_its_own_hint(name, answer, hint):
    assert re.search(hint, hint_for(name, answer))


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (["A", "B", "E"], "31 W"),
        (["C"], "복사본"),
        (["A", "D", "E"], "시험 쪽"),
        (["E"], "310W"),
        (["A"], "하나 더"),
    ],
)
def test_a_typical_mistake_about_distractors_gets_its_own_hint(answer, hint):
    assert hint in hint_for("01-distractors", answer)


@pytest.mark.parametrize(
    ("name", "text"), [("01-distractors", "A, E"), ("02-near", "a"), ("05-one-change", "A, C")]
)
def test_letters_may_stand_in_one_text(name, text):
    assert hint_for(name, text) is None


def test_one_name_instead_of_a_list_is_one_name():
    assert hint_for("00.01-licence", "없는모델").startswith("없는모델은(는)")


def test_an_answer_of_another_form_gets_the_remedy():
    assert "{ }로 감싸" in hint_for("00-quiz", 3)
    assert "직접 불러" in hint_for("01-leak", lambda train: 0)
