"""Each notebook alone in an empty work folder."""

from __future__ import annotations

import pytest
from day import KEYS, run_alone, same_numbers

LONGEST_FIRST = sorted(KEYS, key=lambda key: (key != "04", key != "03", key))


@pytest.mark.parametrize("key", LONGEST_FIRST)
def test_a_notebook_runs_alone_in_an_empty_folder(tmp_path, tmp_path_factory, key):
    run_alone(key, tmp_path)
    if key == "04":
        same_numbers(tmp_path_factory, "alone", "whole", tmp_path)


def test_another_run_gives_the_same_numbers(tmp_path_factory):
    """Data, training and answers of notebook 04 alone against the whole day's."""
    same_numbers(tmp_path_factory, "alone", "whole")
