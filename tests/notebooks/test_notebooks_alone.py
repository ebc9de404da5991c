"""A notebook alone in an empty work folder makes what the ones before it would have left.

00.01, 00 and 01 are the first of their lanes in the whole day, which begins in an empty folder too; what 03 would need,
04 makes by the same call, and its training as well.
"""

from __future__ import annotations

import pytest
from day import run_alone, same_numbers

NEEDING = ("04", "05", "02")  # the longest first


@pytest.mark.parametrize("key", NEEDING)
def test_a_notebook_runs_alone_in_an_empty_folder(tmp_path, tmp_path_factory, key):
    run_alone(key, tmp_path)
    if key == "04":
        same_numbers(tmp_path_factory, "alone", "whole", tmp_path)


def test_another_run_gives_the_same_numbers(tmp_path_factory):
    """Data, training and answers of notebook 04 alone against the whole day's."""
    same_numbers(tmp_path_factory, "alone", "whole")
