"""A notebook alone in an empty work folder makes what the ones before it would have left.

00.01, 00 and 01 are the first of their lanes in the whole day, which begins in an empty folder too; what 03 would need,
04 makes by the same call, and its training as well: the rehearsal's second day runs it alone and compares its numbers.
"""

from __future__ import annotations

import pytest
from day import run_alone


@pytest.mark.parametrize("key", ["05", "02"])  # the longest first
def test_a_notebook_runs_alone_in_an_empty_folder(tmp_path, key):
    run_alone(key, tmp_path)
