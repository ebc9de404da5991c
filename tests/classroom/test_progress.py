"""The learner's own log: what stands in it, under which name, and that it never stops a notebook."""

from __future__ import annotations

import json

import pytest

from src.classroom import board, progress
from src.classroom.exercises import check


@pytest.fixture
def own_log(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    monkeypatch.setattr(progress, "log_file", lambda: tmp_path / "progress.jsonl")
    return tmp_path


def test_check_logs_attempts_but_never_the_answer(own_log, capsys):
    progress.set_learner("하늘")
    check("01-golden-count", None)  # not tried: nothing to log
    check("01-golden-count", "비밀 답")
    rows = [
        json.loads(line) for line in (own_log / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [(row["learner"], row["exercise"], row["result"]) for row in rows] == [
        ("하늘", "01-golden-count", "hint")
    ]
    assert "비밀" not in (own_log / "progress.jsonl").read_text(encoding="utf-8")
    assert board.read_logs(own_log)[0] == rows


def test_the_environment_names_the_learner_first(own_log, monkeypatch):
    progress.set_learner("하늘")
    monkeypatch.setenv("WORKSHOP_LEARNER", "바다")
    assert progress.learner() == "바다"
    with pytest.raises(ValueError, match="이름"):
        progress.set_learner("  ")


def test_a_log_that_cannot_be_written_stops_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(progress, "log_file", lambda: tmp_path / "file" / "progress.jsonl")
    progress.record("01-leak", True)
    assert (tmp_path / "file").read_text(encoding="utf-8") == ""
