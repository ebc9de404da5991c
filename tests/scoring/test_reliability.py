"""Said probabilities against what came."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.scoring import calibration_error, reliability_table


def test_known_values():
    said, came = [0.9, 0.9, 0.9, 0.9, 0.1, 0.1], [1, 1, 1, 0, 0, 0]
    table = reliability_table(said, came, bins=2)
    assert table["count"].tolist() == [2, 4] and table["happened"].tolist() == [0.0, 0.75]
    assert calibration_error(said, came, bins=2) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert calibration_error([1.0, 0.0, 1.0], [1, 0, 1]) == 0  # 1 belongs to the last range


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_shares_that_are_what_was_said_have_no_error(said):
    assert calibration_error(said, said) == pytest.approx(0, abs=1e-12)
    assert reliability_table(said, said)["count"].sum() == len(said)


def test_lengths_are_compared():
    with pytest.raises(ValueError):
        calibration_error([0.5], [1, 0])
