"""What a run needs while it trains, and who else writes it down: peak memory, and trackers beside TensorBoard."""

import threading
from collections.abc import Sequence
from typing import Self

# Packages that transformers can report to. All of them may send the log to a service: only by name, never because the
# package happens to be there.
TRACKERS = ("wandb", "mlflow", "trackio", "comet_ml")


class PeakMemory:
    """``with PeakMemory() as peak: …`` and then ``peak.gib``: what torch held on the GPU at most, or, without one,
    this process in RAM (Python and libraries included), looked at every 50 ms."""

    gib: float = 0.0

    def __enter__(self) -> Self:
        import psutil
        import torch

        self._cuda = torch.cuda.is_available()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            return self
        self._process, self._done = psutil.Process(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while True:
            self.gib = max(self.gib, self._process.memory_info().rss / 2**30)
            if self._done.wait(0.05):
                return

    def __exit__(self, *error: object) -> None:
        import torch

        if self._cuda:
            self.gib = torch.cuda.max_memory_allocated() / 2**30
        else:
            self._done.set()
            self._thread.join()
        self.gib = round(self.gib, 2)


def installed_trackers() -> list[str]:
    """Those of ``TRACKERS`` whose package is installed here."""
    from importlib.util import find_spec

    return [name for name in TRACKERS if find_spec(name)]


def report_to(names: Sequence[str]) -> list[str]:
    """What ``TrainingArguments.report_to`` gets: TensorBoard always, and ``names`` of ``TRACKERS``.

    Raises:
        ValueError: a name not in ``TRACKERS``, or one whose package is not installed.
    """
    if unknown := [name for name in names if name not in TRACKERS]:
        raise ValueError(
            f"'{unknown[0]}'은 모르는 기록 도구입니다. {', '.join(TRACKERS)} 가운데에서 골라 주세요."
        )
    if missing := [name for name in names if name not in installed_trackers()]:
        raise ValueError(
            f"{missing[0]}이 설치되어 있지 않습니다. pip install {missing[0]}로 설치하거나 이름을 빼 주세요. "
            "TensorBoard 기록은 없어도 남습니다."
        )
    return ["tensorboard", *names]
