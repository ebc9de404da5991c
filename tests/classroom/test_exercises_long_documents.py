"""Elective 13's exercises: the folded solution is right, typical mistakes get their own hint."""

from __future__ import annotations

import re

import nbformat
import pytest

from src.classroom.exercises import hint_for
from src.classroom.run import ELECTIVES

(NOTEBOOK,) = (path for path in ELECTIVES if path.stem.startswith("13"))


@pytest.mark.parametrize("name", ["13-calls", "13-overlap"])
def test_the_folded_solution_is_right(name):
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    place = next(i for i, source in enumerate(cells) if f'check("{name}"' in source)
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", cells[place + 1], flags=re.S).group(1), names)
    assert hint_for(name, names["my_answer"]) is None


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (6, "모아 다시 물은 것도"),
        (8, "다시 물은 것은 한 번"),
        (24, "조각마다 물어요"),
        (1, "전부 넣기나"),
        (3, "24 ÷ 4개"),
    ],
)
def test_a_wrong_count_gets_its_own_hint(answer, hint):
    assert hint in hint_for("13-calls", answer)


def _stepping(step, stop=lambda sentences, start, count: start < len(sentences)):
    def cut(sentences, count, overlap):
        pieces, start = [], 0
        while stop(sentences, start, count):
            pieces.append(sentences[start : start + count])
            start += step(count, overlap)
        return pieces

    return cut


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (lambda sentences, count, overlap: [sentences], "한 조각에 문장이 7개"),
        (lambda sentences, count, overlap: " ".join(sentences), "조각의 목록을"),
        (_stepping(lambda count, overlap: count), "시작하지 않아요"),
        (_stepping(lambda count, overlap: count - overlap), "조각을 더 만들었어요"),
        (_stepping(lambda count, overlap: count + overlap), "어느 조각에도 없는 문장"),
        ([["1."]], "함수를 넣어"),
    ],
)
def test_a_wrong_cut_gets_its_own_hint(answer, hint):
    assert hint in hint_for("13-overlap", answer)
