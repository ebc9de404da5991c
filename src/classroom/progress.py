"""Who is where, and which exercise stops people: a log a learner, and a board for the class.

``check`` writes one line an attempt: when, who, which exercise, right or not; never the answer. The file stays on
the learner's machine until it is handed in (shared folder, upload). ``python -m src.classroom.progress FOLDER`` reads
every such file below FOLDER and writes the board as one HTML page.
"""

from __future__ import annotations

import argparse
import getpass
import html
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from src.profiles import outputs_dir

RIGHT, HINT = "right", "hint"
STUCK = 3  # wrong attempts in a row, without a right one, after which the board marks an exercise


def log_file() -> Path:
    """Where this machine's attempts are written."""
    return outputs_dir() / "progress.jsonl"


def set_learner(name: str) -> None:
    """Remember the name that stands in the log (notebook 00.01); ``WORKSHOP_LEARNER`` goes before it."""
    if not name.strip():
        raise ValueError("이름이 비어 있습니다. 보드에 보일 이름이나 별명을 적어 주세요.")
    path = outputs_dir() / "learner.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"learner": name.strip()}, ensure_ascii=False), encoding="utf-8")


def learner() -> str:
    """``WORKSHOP_LEARNER``, else the name that ``set_learner`` kept, else the account's."""
    try:
        kept = json.loads((outputs_dir() / "learner.json").read_text(encoding="utf-8"))["learner"]
    except (OSError, ValueError, KeyError, TypeError):
        kept = ""
    try:
        account = getpass.getuser()
    except (KeyError, OSError, ImportError):
        account = "이름 없음"
    return os.environ.get("WORKSHOP_LEARNER") or kept or account


def record(exercise: str, right: bool) -> None:
    """Append one attempt. A log that cannot be written never stops a notebook."""
    row = {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "learner": learner(),
        "exercise": exercise,
        "result": RIGHT if right else HINT,
    }
    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        with log_file().open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError:
        return


# --- The board -------------------------------------------------------------------------------------------------


@dataclass
class Standing:
    """One learner at one exercise."""

    attempts: int = 0
    wrong_in_a_row: int = 0
    solved: bool = False

    @property
    def sign(self) -> str:
        if self.solved:
            return "✅"
        return "🆘" if self.wrong_in_a_row >= STUCK else "💡" if self.attempts else ""


def read_logs(folder: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    """(attempts in order of time, unreadable lines as ``file:line``) of every ``*progress*.jsonl`` below ``folder``.

    Raises:
        FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} 폴더가 없습니다. 진행 기록을 모은 폴더를 적어 주세요.")
    attempts, damaged = [], []
    for path in sorted(folder.rglob("*progress*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                row = json.loads(line.decode("utf-8"))
                row = {name: str(row[name]) for name in ("time", "learner", "exercise", "result")}
                datetime.fromisoformat(row["time"])
                if row["result"] not in (RIGHT, HINT):
                    raise ValueError(row["result"])
            except (ValueError, KeyError, TypeError):
                damaged.append(f"{path.relative_to(folder)}:{number}")
            else:
                attempts.append(row)
    # The same file handed in twice counts once.
    unique = {tuple(row.values()): row for row in attempts}
    return sorted(unique.values(), key=lambda row: datetime.fromisoformat(row["time"]).timestamp()), damaged


def standings(attempts: Iterable[dict[str, Any]]) -> dict[str, dict[str, Standing]]:
    """learner -> exercise -> ``Standing``."""
    board: dict[str, dict[str, Standing]] = {}
    for row in attempts:
        at = board.setdefault(row["learner"], {}).setdefault(row["exercise"], Standing())
        at.attempts += 1
        at.solved |= row["result"] == RIGHT
        at.wrong_in_a_row = 0 if row["result"] == RIGHT else at.wrong_in_a_row + 1
    return board


def hardest(board: dict[str, dict[str, Standing]]) -> list[tuple[str, int, int, int]]:
    """(exercise, tried by, solved by, stuck) of every exercise someone tried; most people stuck first, then the
    smallest share solved."""
    rows = []
    for exercise in {name for row in board.values() for name in row}:
        tried = [row[exercise] for row in board.values() if exercise in row]
        solved = sum(at.solved for at in tried)
        stuck = sum(not at.solved and at.wrong_in_a_row >= STUCK for at in tried)
        rows.append((exercise, len(tried), solved, stuck))
    return sorted(rows, key=lambda row: (-row[3], row[2] / row[1], row[0]))


STYLE = """body{font:18px/1.5 system-ui,sans-serif;margin:2rem;color:#1f2933}table{border-collapse:collapse;margin:1rem 0}
th,td{border:1px solid #cbd2d9;padding:.35rem .6rem;text-align:center}th:first-child,td:first-child{text-align:left;
position:sticky;left:0;background:#fff}thead th{background:#f5f7fa;font-weight:600;white-space:nowrap}.scroll{overflow-x:auto}"""


def board_page(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the board of the logs below ``folder`` (default: ``folder/board.html``) and return its path."""
    attempts, damaged = read_logs(folder)
    board = standings(attempts)
    from src.classroom.checks import EXERCISES

    exercises = sorted(EXERCISES.keys() | {row["exercise"] for row in attempts})
    last = {row["learner"]: row["time"][11:16] for row in attempts}
    head = "".join(f"<th>{html.escape(name)}</th>" for name in exercises)
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{sum(at.solved for at in row.values())}/{len(exercises)}</td>"
        f"<td>{last[name]}</td>"
        + "".join(f"<td>{row[exercise].sign if exercise in row else ''}</td>" for exercise in exercises)
        + "</tr>"
        for name, row in sorted(board.items(), key=lambda item: item[0])
    )
    hard = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{tried}</td><td>{solved}</td><td>{stuck}</td></tr>"
        for name, tried, solved, stuck in hardest(board)
    )
    notes = f"<p>읽지 못한 줄 {len(damaged)}개: {html.escape(', '.join(damaged[:10]))}</p>" if damaged else ""
    empty = "" if board else "<p>아직 기록이 없습니다. 수강생의 progress.jsonl을 이 폴더에 모아 주세요.</p>"
    page = (
        f'<!doctype html><html lang="ko"><meta charset="utf-8"><title>진행 상황</title><style>{STYLE}</style>'
        f"<h1>진행 상황</h1><p>✅ 풀었음 · 💡 시도 중 · 🆘 {STUCK}번 넘게 막힘 · 빈칸은 아직</p>{empty}{notes}"
        f'<div class="scroll"><table><thead><tr><th>이름</th><th>푼 것</th><th>마지막</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div><h2>도움이 필요한 실습</h2><table><thead><tr><th>실습</th><th>시도한 사람</th>"
        f"<th>푼 사람</th><th>막힌 사람</th></tr></thead><tbody>{hard}</tbody></table></html>\n"
    )
    path = Path(path) if path else Path(folder) / "board.html"
    path.write_text(page, encoding="utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m src.classroom.progress", description="수업 진행 보드")
    parser.add_argument(
        "folder", nargs="?", default=None, help="progress.jsonl을 모은 폴더(기본: 내 outputs)"
    )
    parser.add_argument("--output", help="만들 HTML 파일(기본: 폴더의 board.html)")
    options = parser.parse_args(arguments)
    try:
        print(f"진행 보드: {board_page(options.folder or outputs_dir(), options.output)}")
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
