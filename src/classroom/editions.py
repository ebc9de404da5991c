"""Learner's and instructor's editions of the notebooks, from the one source.

The committed notebooks are the source: exercises are empty cells, solutions and answers to discussion questions are
folded, and ``<!-- 강사: … -->`` holds what only an instructor reads. The learner's edition loses solutions and notes; the
instructor's has the solutions filled in and open, and the notes in sight. A fold that answers nothing
(``<details class="more">``: further reading) stays in all three, and so does code that is not an exercise.
"""

import re
from collections.abc import Sequence

import nbformat

from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.profiles import ROOT

EDITIONS = ("learner", "instructor")
NOTE = re.compile(r"\n*<!--\s*강사:\s*(.*?)\s*-->", re.DOTALL)
FOLDED = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
ANSWER = re.compile(r"^my_answer = None.*$", re.MULTILINE)


def make_edition(notebook: nbformat.NotebookNode, edition: str) -> nbformat.NotebookNode:
    """A copy of ``notebook`` for ``edition`` ("learner" or "instructor")."""
    if edition not in EDITIONS:
        raise ValueError(f"'{edition}' 판은 없습니다. {', '.join(EDITIONS)} 가운데에서 골라 주세요.")
    made = nbformat.from_dict(notebook)
    for position, cell in enumerate(made.cells):
        if cell.cell_type == "markdown":
            cell.source = (_for_learner if edition == "learner" else _for_instructor)(cell.source)
        elif edition == "instructor" and (solution := _solution(notebook.cells, position)):
            cell.source = ANSWER.sub(lambda _, code=solution: code, cell.source, count=1)
    made.cells = [cell for cell in made.cells if cell.source.strip()]
    return made


def _for_learner(text: str) -> str:
    def answer_gone(match: re.Match[str]) -> str:
        question = match[1].partition(":")[2].strip()  # "생각해 보기: 왜 그럴까요?" asks in its own title
        return f"> **생각해 보기** {question}" if question else ""

    return FOLDED.sub(answer_gone, NOTE.sub("", text)).strip()


def _for_instructor(text: str) -> str:
    shown = NOTE.sub(lambda m: "\n\n> **강사 메모** " + re.sub(r"\s*\n\s*", " ", m[1]), text)
    return shown.replace("<details>", "<details open>")


def _solution(cells: Sequence[nbformat.NotebookNode], position: int) -> str | None:
    """The folded code after an exercise cell; None where ``position`` is no exercise."""
    if not re.search(r'^check\("', cells[position].source, re.MULTILINE):
        return None
    after = "\n".join(c.source for c in cells[position + 1 : position + 3] if c.cell_type == "markdown")
    code = re.search(r"<details>.*?```python\n(.*?)```", after, re.DOTALL)
    return code and code[1].rstrip()


def main() -> None:
    """Write every notebook's editions below ``outputs/editions/<edition>``, in the same folders."""
    for edition in EDITIONS:
        folder = ROOT / "outputs" / "editions" / edition
        for source in [*NOTEBOOKS, *ELECTIVES]:
            path = folder / source.relative_to(ROOT)
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(make_edition(nbformat.read(source, as_version=4), edition), path)
        print(f"노트북 {len(NOTEBOOKS) + len(ELECTIVES)}개: {folder}")


if __name__ == "__main__":
    main()
