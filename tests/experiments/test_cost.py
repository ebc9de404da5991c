"""The sum that is done by hand once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.experiments.cost import Bill

# A day of 24 hours is interrupted 4 times: a sixth of an hour's chance, each costs 0.5/2 + 0.25 = 0.5 hours.
BILL = Bill(
    training_hours=11, on_demand=1000, spot=400, interruptions_a_day=4, checkpoint_hours=0.5,
    restart_hours=0.25, forgotten_hours=9, disk=10,
)  # fmt: skip


def test_known_values():
    assert BILL.lost_hours == pytest.approx(1.0)  # 11 × (1/12) / (11/12)
    sums = {name: (hours, total) for name, hours, total in BILL.rows()}
    assert sums["정가, 끄는 것을 잊음"] == pytest.approx((20, 20_200))
    assert sums["정가, 끝나면 저절로 꺼짐"] == pytest.approx((11, 11_110))
    assert sums["스팟, 끄는 것을 잊음"] == pytest.approx((21, 8_610))
    assert sums["스팟, 끝나면 저절로 꺼짐"] == pytest.approx((12, 4_920))
    assert BILL.break_even == pytest.approx(11 / 12)


def test_no_interruption_costs_no_time():
    calm = replace(BILL, interruptions_a_day=0)
    assert calm.lost_hours == 0 and calm.break_even == 1


def test_a_machine_that_never_gets_done():
    with pytest.raises(ValueError, match="끝나지 않습니다"):
        _ = replace(BILL, interruptions_a_day=48).lost_hours


@pytest.mark.parametrize("changes", [{"spot": -1}, {"training_hours": 0}, {"checkpoint_hours": 0}])
def test_impossible_prices_and_times(changes):
    with pytest.raises(ValueError, match="0보다"):
        replace(BILL, **changes)
