"""Who is where, and which exercise stops people: a board for the class from the learners' logs.

``python -m src.classroom.board FOLDER`` reads every log below FOLDER (``progress.py`` says what stands in one) and
writes one HTML page.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from src.classroom.exercises import EXERCISES
from src.classroom.progress import HINT, RIGHT
from src.profiles import outputs_dir
from src.templates import write_page

STUCK = 3  # wrong attempts without a right one, from which on the board marks an exercise
SOLVED, STOPPED, TRIED = "✅", "🆘", "💡"


def read_logs(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(attempts in order of time, unreadable lines as ``file:line``) of every ``*progress*.jsonl`` below ``folder``.

    Raises:
        FileNotFoundError: no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} 폴더가 없습니다. 진행 기록을 모은 폴더를 적어 주세요.")
    attempts, damaged = {}, []
    for path in sorted(folder.rglob("*progress*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                row = json.loads(line.decode("utf-8"))
                row = {name: str(row[name]) for name in ("time", "learner", "exercise", "result")}
                time = datetime.fromisoformat(row["time"]).timestamp()
                if row["result"] not in (RIGHT, HINT):
                    raise ValueError(row["result"])
                attempts[tuple(row.values())] = (time, row)  # the same file handed in twice counts once
            except (ValueError, KeyError, TypeError):
                damaged.append(f"{path.relative_to(folder)}:{number}")
    return [row for _, row in sorted(attempts.values(), key=lambda timed: timed[0])], damaged


def standings(attempts: Iterable[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """learner -> exercise -> ``SOLVED``, ``STOPPED`` or ``TRIED``."""
    results: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in attempts:
        results[row["learner"]][row["exercise"]].append(row["result"])

    def sign(told: list[str]) -> str:
        return SOLVED if RIGHT in told else STOPPED if len(told) >= STUCK else TRIED

    return {learner: {name: sign(told) for name, told in own.items()} for learner, own in results.items()}


def hardest(board: dict[str, dict[str, str]]) -> list[tuple[str, int, int, int]]:
    """(exercise, tried by, solved by, stuck) of every exercise someone tried; most people stuck first, then the
    smallest share solved."""
    rows = []
    for exercise in {name for row in board.values() for name in row}:
        signs = [row[exercise] for row in board.values() if exercise in row]
        rows.append((exercise, len(signs), signs.count(SOLVED), signs.count(STOPPED)))
    return sorted(rows, key=lambda row: (-row[3], row[2] / row[1], row[0]))


def board_page(folder: Path) -> Path:
    """Write ``folder/board.html``, the board of the logs below ``folder``, and return its path."""
    attempts, damaged = read_logs(folder)
    board = standings(attempts)
    return write_page(
        folder / "board.html",
        "board.html.j2",
        title="진행 상황",
        stuck=STUCK,
        exercises=sorted(EXERCISES.keys() | {row["exercise"] for row in attempts}),
        board=sorted(board.items()),
        last={row["learner"]: row["time"][11:16] for row in attempts},
        hardest=hardest(board),
        damaged=damaged,
    )


def main(arguments: Sequence[str] | None = None) -> int | str:
    """Write the page; 0, or what went wrong, for ``SystemExit`` to print."""
    parser = argparse.ArgumentParser(prog="python -m src.classroom.board", description="수업 진행 보드")
    told = "progress.jsonl을 모은 폴더(기본: 내 outputs)"
    parser.add_argument("folder", nargs="?", type=Path, default=outputs_dir(), help=told)
    try:
        print(f"진행 보드: {board_page(parser.parse_args(arguments).folder)}")
    except OSError as error:
        return str(error)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
