"""A class board from what learners' machines wrote."""

from __future__ import annotations

import json

from src.classroom import board
from src.classroom.exercises import EXERCISES


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "\n".join(json.dumps(row) if isinstance(row, dict) else row for row in rows), encoding="utf-8"
    )


def attempt(learner, exercise, result, minute=0):
    time = f"2026-11-21T10:{minute:02d}:00+09:00"
    return {"time": time, "learner": learner, "exercise": exercise, "result": result}


def test_standings_and_the_hardest_exercise(tmp_path):
    rows = [attempt("가", "01-leak", "hint", minute) for minute in range(3)]
    rows += [attempt("가", "02-near", "hint"), attempt("가", "02-near", "right", 9)]
    write(tmp_path / "a" / "progress.jsonl", rows)
    write(
        tmp_path / "b" / "나-progress.jsonl",
        [attempt("나", "01-leak", "right"), attempt("나", "02-near", "hint")],
    )
    found = board.standings(board.read_logs(tmp_path)[0])
    assert found == {
        "가": {"01-leak": "🆘", "02-near": "✅"},
        "나": {"01-leak": "✅", "02-near": "💡"},
    }
    assert board.hardest(found) == [("01-leak", 2, 1, 1), ("02-near", 2, 1, 0)]


def test_a_file_handed_in_twice_counts_once_and_damage_is_told(tmp_path):
    rows = [attempt("가", "01-leak", "hint")]
    write(tmp_path / "progress.jsonl", rows)
    write(
        tmp_path / "progress (1).jsonl",
        [*rows, "{broken", json.dumps([1]), json.dumps(attempt("가", "x", "?"))],
    )
    attempts, damaged = board.read_logs(tmp_path)
    assert attempts == rows
    assert damaged == [f"progress (1).jsonl:{line}" for line in (2, 3, 4)]


def test_the_page_shows_everyone_and_runs_nothing(tmp_path):
    write(tmp_path / "progress.jsonl", [attempt("<script>alert(1)</script>", "01-leak", "right")])
    page = board.board_page(tmp_path).read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page and "✅" in page
    assert all(name in page for name in EXERCISES)


def test_the_command_tells_what_is_missing(tmp_path):
    assert "폴더가 없습니다" in board.main([str(tmp_path / "none")])
    assert board.main([str(tmp_path)]) == 0
    assert "아직 기록이 없습니다" in (tmp_path / "board.html").read_text(encoding="utf-8")
