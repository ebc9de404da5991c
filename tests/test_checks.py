"""Every exercise: its folded solution is right, an empty cell says so, and nonsense gets a hint, never a traceback."""

from __future__ import annotations

import re

import nbformat
import pytest

from src.classroom.checks import EXERCISES, check, hint_for
from src.classroom.run import NOTEBOOKS


def exercises() -> list[tuple[str, str]]:
    """(name, solution) of every exercise: the first folded block of Python after its cell."""
    found = []
    for path in NOTEBOOKS:
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
