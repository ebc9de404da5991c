"""Each notebook alone in an empty work folder (04 is with the whole day, whose numbers it must repeat)."""

from __future__ import annotations

import pytest
from day import KEYS, run_alone


@pytest.mark.parametrize("key", [key for key in KEYS if key != "04"])
def test_a_notebook_runs_alone_in_an_empty_folder(tmp_path, key):
    run_alone(key, tmp_path)
