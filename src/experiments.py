"""The log of runs: one JSON line a run, and the same as a table that a spreadsheet opens."""

from __future__ import annotations

import json
import math
import os
import subprocess
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from src.profiles import ROOT


def log_experiment(path: str | Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """Append ``row`` to ``experiments.jsonl`` and rewrite ``experiments.csv`` with every column any run had.

    ``path`` is a folder, or a file ``NAME.jsonl`` or ``NAME.csv`` whose sibling is then written too. ``date`` (local
    time with its offset) and ``commit`` are added where ``row`` has none. The JSON lines are the log; the CSV (with
    a byte order mark, so that Excel reads the Hangul) is made from them and may be deleted.

    Returns:
        The row as it was written.
    """
    lines_file = _lines_file(path)
    lines_file.parent.mkdir(parents=True, exist_ok=True)
    stamped = {"date": datetime.now().astimezone().isoformat(timespec="seconds"), "commit": current_commit()}
    entry = _plain(stamped | dict(row))
    line = json.dumps(entry, ensure_ascii=False, allow_nan=False)
    with lines_file.open("a+b") as file:
        if file.tell() and not _ends_line(file):  # an earlier run was cut off in the middle of its line
            file.write(b"\n")
        file.write(line.encode("utf-8") + b"\n")
    table_file, partial = lines_file.with_suffix(".csv"), lines_file.with_suffix(".csv.partial")
    read_experiments(lines_file).to_csv(partial, index=False, encoding="utf-8-sig")
    try:
        os.replace(partial, table_file)
    except PermissionError:  # Windows, while a spreadsheet shows it
        warnings.warn(
            f"{table_file.name}이(가) 다른 프로그램에 열려 있어 고치지 못했습니다. 닫고 다시 기록하면 함께 반영됩니다. "
            f"기록은 {lines_file.name}에 남아 있습니다.",
            stacklevel=2,
        )
    return entry


def read_experiments(path: str | Path) -> Any:
    """Every logged run as a pandas table, oldest first; nested values become columns like ``metrics.rougeL``.
    Empty where nothing was logged; a line that is not JSON is left out with a warning."""
    import pandas as pd

    lines_file = _lines_file(path)
    if not lines_file.exists():
        return pd.DataFrame()
    rows = []
    for number, line in enumerate(
        lines_file.read_text(encoding="utf-8", errors="replace").split("\n"), start=1
    ):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            warnings.warn(
                f"{lines_file.name} {number}번째 줄을 읽을 수 없어 건너뛰었습니다. 파일을 열어 그 줄을 지워 주세요.",
                stacklevel=2,
            )
    return pd.json_normalize(rows) if rows else pd.DataFrame()


def current_commit() -> str:
    """The checkout's short commit, or "unknown" where git or the history is missing."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _lines_file(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix(".jsonl") if path.suffix in {".jsonl", ".csv"} else path / "experiments.jsonl"


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _plain(value: Any) -> Any:
    """JSON values only: numpy and torch values unpacked, NaN and infinity as words, anything else as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if not isinstance(value, float) and callable(getattr(value, "tolist", None)):
        return _plain(value.tolist())  # numpy and torch: a scalar gives a number, an array a list
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)
