"""Peak memory is a run's own, and other trackers come by name only."""

from __future__ import annotations

import numpy as np
import pytest

from src.training import monitoring
from src.training.monitoring import TRACKERS, PeakMemory, installed_trackers, report_to


def test_a_peak_that_is_gone_again_is_still_seen():
    with PeakMemory() as small:
        pass
    with PeakMemory() as large:
        block = np.ones(2**26)  # 0.5 GiB, written
        del block
    with PeakMemory() as after:
        pass
    assert large.gib > small.gib + 0.3 and after.gib < large.gib - 0.2


def test_an_error_stops_the_watching():
    with pytest.raises(RuntimeError), PeakMemory() as peak:
        raise RuntimeError
    assert peak.gib > 0 and not peak._thread.is_alive()


def test_a_tracker_must_be_known_and_installed(monkeypatch):
    assert report_to([]) == ["tensorboard"]
    with pytest.raises(ValueError, match="모르는 기록 도구"):
        report_to(["notebook"])
    monkeypatch.setattr(monitoring, "installed_trackers", list)
    with pytest.raises(ValueError, match="pip install wandb"):
        report_to(["wandb"])
    monkeypatch.setattr(monitoring, "installed_trackers", lambda: ["wandb"])
    assert report_to(["wandb"]) == ["tensorboard", "wandb"]


def test_transformers_knows_every_tracker():
    from transformers.integrations import get_reporting_integration_callbacks

    assert len(get_reporting_integration_callbacks(list(TRACKERS))) == len(TRACKERS)
    assert set(installed_trackers()) <= set(TRACKERS)
