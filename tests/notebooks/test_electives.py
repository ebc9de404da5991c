"""Every elective that is there runs for itself; in one outputs folder, so that what they need of the day is made once."""

from __future__ import annotations

import pytest
from day import assert_no_warning, run_workshop

from src.classroom.lanes import key_of
from src.classroom.run import ELECTIVES


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Empty at first: nobody has run the day."""
    return tmp_path_factory.mktemp("electives")


@pytest.mark.parametrize("path", ELECTIVES, ids=lambda path: path.stem)
def test_an_elective_runs_alone(outputs, path):
    run = run_workshop(outputs, "--only", key_of(path))
    assert run["notebooks"] == []
    (entry,) = [entry for entry in run["electives"]["notebooks"] if entry["name"] == path.stem]
    assert (entry["status"], entry["warnings"]) == ("ok", [])
    assert_no_warning(outputs / "tiny" / "html" / f"{path.stem}.html")
