"""Editions and slides come from the one source and change nothing that runs."""

from __future__ import annotations

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from src.classroom.editions import EDITIONS, FOLDED, make_edition
from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.classroom.slides import slides_of, write_slides

PATHS = pytest.mark.parametrize("path", [*NOTEBOOKS, *ELECTIVES], ids=lambda path: path.stem)


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


@PATHS
def test_the_learner_edition_runs_the_same_cells_without_the_solutions(path):
    source = nbformat.read(path, as_version=4)
    learner = make_edition(source, "learner")
    nbformat.validate(learner)
    assert code(learner) == code(source)  # the runner's day over the source is the learner's day
    assert not FOLDED.search(prose(learner)) and "강사:" not in prose(learner)
    solutions = [cell.source for cell in source.cells if "<details><summary>정답" in cell.source]
    assert solutions
    for solution in solutions:
        block = re.search(r"```python\n(.*?)```", solution, re.DOTALL)[1]
        assert block not in prose(learner)


@PATHS
def test_the_instructor_edition_fills_every_exercise(path):
    instructor = make_edition(nbformat.read(path, as_version=4), "instructor")
    nbformat.validate(instructor)
    for cell in code(instructor):
        compile(cell, path.name, "exec")
        if re.search(r'^check\("', cell, re.MULTILINE):
            assert not re.search(r"^my_answer = None", cell, re.MULTILINE) and "my_answer" in cell
    assert "<details>" not in prose(instructor)


def test_notes_and_discussions():
    text = (
        "읽어 보세요.\n\n<!-- 강사: 여기서\n5분 쉽니다. -->\n\n"
        "<details><summary>생각해 보기: 왜 그럴까요?</summary>\n\n글자만 보기 때문입니다.\n\n</details>"
    )
    source = new_notebook(cells=[new_markdown_cell(text)])
    assert prose(make_edition(source, "learner")) == "읽어 보세요.\n\n> **생각해 보기** 왜 그럴까요?"
    instructor = prose(make_edition(source, "instructor"))
    assert "> **강사 메모** 여기서 5분 쉽니다." in instructor
    assert "<details open>" in instructor and "글자만 보기 때문입니다." in instructor
    assert prose(source) == text  # the source stays as it is
    with pytest.raises(ValueError, match="learner"):
        make_edition(source, "teacher")


@pytest.mark.parametrize("edition", EDITIONS)
def test_further_reading_stays(edition):
    text = '더 있습니다.\n\n<details class="more"><summary>더 읽기: 값</summary>\n\n글입니다.\n\n</details>'
    assert prose(make_edition(new_notebook(cells=[new_markdown_cell(text)]), edition)) == text


def test_slides_start_at_headings_and_run_nothing(tmp_path):
    output = new_output("stream", name="stdout", text="<script>alert(1)</script> 결과")
    noise = new_output("stream", name="stderr", text="noise")
    cells = [
        new_markdown_cell("# 제목\n\n첫 장\n\n## 둘째\n\n글"),
        new_code_cell("print('안녕')", outputs=[output, noise]),
        new_markdown_cell("### 셋째"),
    ]
    notebook = new_notebook(cells=cells)
    slides = list(slides_of(notebook))
    assert len(slides) == 3
    assert "제목" in slides[0] and "print(" in slides[1] and "결과" in slides[1] and "noise" not in slides[1]
    assert "<script>alert" not in slides[1]
    nbformat.write(notebook, tmp_path / "n.ipynb")
    assert write_slides(tmp_path / "n.ipynb", tmp_path / "s.html") == 3
    page = (tmp_path / "s.html").read_text(encoding="utf-8")
    assert page.count("<section>") == 3 and "://" not in page  # nothing is fetched
    assert page.count("<script") == 1 and "script-src 'nonce-keys'" in page  # the arrow keys' own
