"""Notebooks are committed as written: no outputs, no counts, no traces of an editor."""

from __future__ import annotations

import nbformat
import pytest

from src.classroom.lanes import HANDS_OVER, key_of
from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.profiles import ROOT

FOLDERS = (ROOT / "prerequisites", ROOT / "main-practice")
SHIPPED = sorted(
    {path for folder in FOLDERS for path in folder.rglob("*.ipynb") if "." not in path.parent.name}
)
# What a notebook may say about itself and a cell about itself; everything else comes from an editor or a run.
NOTEBOOK_METADATA = {"kernelspec", "language_info", "title"}
CELL_METADATA = {"tags"}


def test_the_runner_knows_every_notebook():
    assert SHIPPED == sorted([*NOTEBOOKS, *ELECTIVES])
    keys = [key_of(path) for path in [*NOTEBOOKS, *ELECTIVES]]
    assert len(keys) == len({*keys}) and all(10 <= int(key_of(path)) <= 20 for path in ELECTIVES)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_committed_clean(path):
    nb = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(nb)
    assert nb.nbformat == 4
    assert set(nb.metadata) <= NOTEBOOK_METADATA
    # A kernel's version or name is the writer's machine; "python3" is everybody's.
    assert set(nb.metadata.get("language_info", {})) <= {"name"}
    assert nb.metadata.get("kernelspec", {"name": "python3"})["name"] == "python3"
    for index, cell in enumerate(nb.cells):
        assert set(cell.metadata) <= CELL_METADATA, index
        assert "attachments" not in cell, index
        assert cell.source.strip(), f"cell {index} is empty"
        if cell.cell_type == "code":
            assert cell.outputs == [], index
            assert cell.execution_count is None, index


def test_the_only_cell_that_hands_over_is_the_one_that_saves_the_adapter():
    """What 04 reads is written by then; the runner starts it there, beside the rest of 03."""
    tagged = [
        (path.stem[:2], cell.source)
        for path in NOTEBOOKS
        for cell in nbformat.read(path, as_version=4).cells
        if HANDS_OVER in cell.metadata.get("tags", [])
    ]
    assert [key for key, _ in tagged] == ["03"] and "save_training(" in tagged[0][1]
