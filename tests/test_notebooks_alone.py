"""Each notebook alone in an empty work folder."""

from __future__ import annotations

import pytest
from day import KEYS, assert_same_numbers, run_alone

LONGEST_FIRST = sorted(KEYS, key=lambda key: (key != "04", key != "03", key))


@pytest.mark.parametrize("key", LONGEST_FIRST)
def test_a_notebook_runs_alone_in_an_empty_folder(tmp_path, tmp_path_factory, key):
    run_alone(key, tmp_path)
    if key == "04":
        assert_same_numbers(tmp_path_factory, "alone", "whole", tmp_path)
