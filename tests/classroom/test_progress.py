"""A class board from what learners' machines wrote."""

from __future__ import annotations

import json

import pytest

from src.classroom import progress
from src.classroom.checks import EXERCISES, check


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "\n".join(json.dumps(row) if isinstance(row, dict) else row for row in rows), encoding="utf-8"
    )


def attempt(learner, exercise, result, minute=0):
    time = f"2026-11-21T10:{minute:02d}:00+09:00"
    return {"time": time, "learner": learner, "exercise": exercise, "result": result}


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
    assert progress.read_logs(own_log)[0] == rows


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


def test_standings_and_the_hardest_exercise(tmp_path):
    rows = [attempt("가", "01-leak", "hint", minute) for minute in range(3)]
    rows += [attempt("가", "02-near", "hint"), attempt("가", "02-near", "right", 9)]
    write(tmp_path / "a" / "progress.jsonl", rows)
    write(
        tmp_path / "b" / "나-progress.jsonl",
        [attempt("나", "01-leak", "right"), attempt("나", "02-near", "hint")],
    )
    board = progress.standings(progress.read_logs(tmp_path)[0])
    assert {name: {e: at.sign for e, at in row.items()} for name, row in board.items()} == {
        "가": {"01-leak": "🆘", "02-near": "✅"},
        "나": {"01-leak": "✅", "02-near": "💡"},
    }
    assert progress.hardest(board) == [("01-leak", 2, 1, 1), ("02-near", 2, 1, 0)]


def test_a_file_handed_in_twice_counts_once_and_damage_is_told(tmp_path):
    rows = [attempt("가", "01-leak", "hint")]
    write(tmp_path / "progress.jsonl", rows)
    write(
        tmp_path / "progress (1).jsonl",
        [*rows, "{broken", json.dumps([1]), json.dumps(attempt("가", "x", "?"))],
    )
    attempts, damaged = progress.read_logs(tmp_path)
    assert attempts == rows
    assert damaged == [f"progress (1).jsonl:{line}" for line in (2, 3, 4)]


def test_the_page_shows_everyone_and_runs_nothing(tmp_path):
    write(tmp_path / "progress.jsonl", [attempt("<script>alert(1)</script>", "01-leak", "right")])
    page = progress.board_page(tmp_path).read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page and "✅" in page
    assert all(name in page for name in EXERCISES)


def test_the_command_tells_what_is_missing(tmp_path, capsys):
    assert progress.main([str(tmp_path / "none")]) == 1
    assert "폴더가 없습니다" in capsys.readouterr().err
    assert progress.main([str(tmp_path)]) == 0
    assert "아직 기록이 없습니다" in (tmp_path / "board.html").read_text(encoding="utf-8")
