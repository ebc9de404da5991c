"""What a training costs with prices of one's own: on demand, on spot machines, and with a machine left running."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bill:
    """Prices an hour in any currency, times in hours. There is no default price: they change, and yours is not ours."""

    training_hours: float  # measured, without an interruption
    on_demand: float  # price of an hour
    spot: float  # price of the same hour where the machine may be taken away
    interruptions_a_day: float  # how often that happens, by your provider's figures or your own log
    checkpoint_hours: float  # between two saved checkpoints
    restart_hours: float  # until a new machine trains again
    forgotten_hours: float  # until somebody notices that the training is over
    disk: float = 0.0  # price of an hour of the disk, which is billed while the machine is off too

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0 or not (self.training_hours and self.checkpoint_hours):
            raise ValueError("가격과 시간은 0 이상이고, 학습 시간과 체크포인트 간격은 0보다 커야 합니다.")

    @property
    def lost_hours(self) -> float:
        """What interruptions are expected to cost in time: half a checkpoint's interval and a restart, each. A longer run
        is interrupted more often, hence the division.

        Raises:
            ValueError: interrupted so often that it never ends.
        """
        each = self.checkpoint_hours / 2 + self.restart_hours
        share = self.interruptions_a_day / 24 * each  # of every hour
        if share >= 1:
            raise ValueError(
                "끊기는 일이 너무 잦아 학습이 끝나지 않습니다. 체크포인트를 더 자주 저장하거나 끊기지 않는 기계를 쓰세요."
            )
        return self.training_hours * share / (1 - share)

    def rows(self) -> list[tuple[str, float, float]]:
        """(way, hours that are billed, sum) with and without switching the machine off by itself."""
        spot_hours = self.training_hours + self.lost_hours
        ways = (
            ("정가, 끄는 것을 잊음", self.training_hours + self.forgotten_hours, self.on_demand),
            ("정가, 끝나면 저절로 꺼짐", self.training_hours, self.on_demand),
            ("스팟, 끄는 것을 잊음", spot_hours + self.forgotten_hours, self.spot),
            ("스팟, 끝나면 저절로 꺼짐", spot_hours, self.spot),
        )
        return [(name, hours, hours * (price + self.disk)) for name, hours, price in ways]

    @property
    def break_even(self) -> float:
        """Share of the full price below which spot pays, for this many interruptions (disks aside)."""
        return self.training_hours / (self.training_hours + self.lost_hours)
