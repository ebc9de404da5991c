"""The log of runs: one row an experiment, as JSON lines and as a table that a spreadsheet opens."""

import hashlib
import json
import os
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from src.data.files import append_jsonl, read_jsonl, write_jsonl
from src.data.text import fingerprint
from src.profiles import ROOT, Profile
from src.qlora.registry import MODELS

# What a run turns out to be; everything else in a row is what it was started with and makes it that experiment.
WORDS = ("remark", "observation", "next")  # a person's: why it was run, what was seen, what to try now
OUTCOME = ("run", "date", "steps", "metrics", "minutes", "peak_memory_gib", *WORDS)


def log_experiment(folder: str | Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``row`` to ``experiments.jsonl`` and make ``experiments.csv`` anew with every column any run had.

    ``date`` (local time with its offset) and ``commit`` are added where ``row`` has none, and ``run``, a hash of everything but
    ``OUTCOME``. A row whose ``run`` is in the log already is the same experiment once more: it takes the old row's
    place, and a printed line says so and whether the metrics came out the same. The JSON lines are the log; the CSV
    (with a byte order mark, so that Excel reads the Hangul) is made from them and may be deleted.

    Returns:
        The row as it was written.
    """
    lines_file = Path(folder) / "experiments.jsonl"
    stamped = {"date": datetime.now().astimezone().isoformat(timespec="seconds"), "commit": current_commit()}
    entry = _plain(stamped | dict(row))
    entry = {"run": _run_id(entry), **entry}
    damaged: list[tuple[int, bytes]] = []
    rows = read_jsonl(lines_file, damaged=damaged) if lines_file.exists() else []
    place = next((n for n, old in enumerate(rows) if old.get("run") == entry["run"]), None)
    if place is None:
        append_jsonl(lines_file, [entry])
    else:
        rows[place] = entry = _again(rows[place], entry)
        partial = write_jsonl(lines_file.with_suffix(".jsonl.partial"), rows)
        with partial.open("ab") as file:  # what cannot be read may still tell a person something
            file.writelines(line for _, line in damaged)
        os.replace(partial, lines_file)
    table_file, partial = lines_file.with_suffix(".csv"), lines_file.with_suffix(".csv.partial")
    read_experiments(folder).to_csv(partial, index=False, encoding="utf-8-sig")
    try:
        os.replace(partial, table_file)
    except PermissionError:  # Windows, while a spreadsheet shows it
        warnings.warn(
            f"{table_file.name}이(가) 다른 프로그램에 열려 있어 고치지 못했습니다. 닫고 다시 기록하면 함께 반영됩니다. "
            f"기록은 {lines_file.name}에 남아 있습니다.",
            stacklevel=2,
        )
    return entry


def _again(old: Mapping[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """``new`` in the place of ``old``: metrics and words that only the old row has are kept."""
    before, now = old.get("metrics") or {}, new.get("metrics") or {}
    moved = [
        f"{name} {before[name]} → {now[name]}" for name in now if name in before and before[name] != now[name]
    ]
    told = "지표는 그때와 같습니다." if not moved else f"지표가 그때와 다릅니다: {', '.join(moved)}."
    if added := [name for name in now if name not in before]:
        told = f" 두 번 다 잰 {told}" if len(added) < len(now) else ""
        told = f"새로 잰 지표 {len(added)}개를 더했습니다.{told}"
    print(f"이미 기록된 실험({new['run']})이라 줄을 더하지 않고 그 줄을 바꾸었습니다. {told}")
    merged = {
        **old,
        **new,
        **{name: new.get(name) or old.get(name, "") for name in WORDS if name in {*old, *new}},
    }
    return merged | ({"metrics": {**before, **now}} if before or now else {})


def read_experiments(folder: str | Path) -> Any:
    """Every logged run as a pandas table, oldest first; nested values become columns like ``metrics.rougeL``.
    Empty where nothing was logged; a line that is not JSON is left out with a warning."""
    import pandas as pd

    lines_file = Path(folder) / "experiments.jsonl"
    damaged: list[tuple[int, bytes]] = []
    rows = read_jsonl(lines_file, damaged=damaged) if lines_file.exists() else []
    for number, _ in damaged:
        warnings.warn(
            f"{lines_file.name} {number}번째 줄을 읽을 수 없어 건너뛰었습니다. 파일을 열어 그 줄을 지워 주세요.",
            stacklevel=2,
        )
    return pd.json_normalize(rows)


def experiment_row(
    profile: Profile,
    log: Mapping[str, Any],
    data: Mapping[str, Any],
    *,
    metrics: Mapping[str, float] | None = None,
    remark: str = "",
    observation: str = "",
    next_step: str = "",
) -> dict[str, Any]:
    """A run as one row for ``log_experiment``: ``log`` is what ``pipeline.train_adapter`` returned, ``data``
    ``describe_data`` of the files, ``metrics`` scores beside the lowest validation loss, ``remark`` why it was run,
    ``observation`` what was seen, ``next_step`` what to try now."""
    return {
        "data": {**data, "train_records": log["train_records"]},
        "model": log["model"],
        "base_revision": log.get("base_revision"),
        # The profile as a whole, so that a setting which is not spelled out below makes another experiment too.
        "settings": fingerprint(asdict(profile))[:12],
        "raft": {
            "num_distractors": profile.num_distractors,
            "golden_probability": profile.golden_probability,
            "max_context_tokens": profile.max_context_tokens,
        },
        "lora": {
            "r": profile.lora_r,
            "alpha": profile.lora_alpha,
            "dropout": profile.lora_dropout,
            "targets": ", ".join(MODELS[profile.model].lora_targets) if profile.model in MODELS else None,
        },
        "training": {
            "learning_rate": profile.learning_rate,
            "epochs": profile.epochs,
            "patience": profile.early_stopping_patience,
            "batch": profile.batch_size * profile.gradient_accumulation_steps,
            "max_seq_length": profile.max_seq_length,
            "seed": profile.seed,
        },
        "steps": log["steps"],
        "metrics": {"eval_loss": log["best_eval_loss"], **(metrics or {})},
        "minutes": round(log["seconds"] / 60, 2),
        "peak_memory_gib": log.get("peak_memory_gib"),
        "remark": remark,
        "observation": observation,
        "next": next_step,
    }


def describe_data(*paths: str | Path, rows: int | None = None) -> dict[str, Any]:
    """``{"files", "bytes", "sha256"}``: names, size and the first 12 hex digits of a hash of the contents in order; and
    ``rows``, how many were read, where they were counted.

    A name alone does not tell whether it was the same data.
    """
    digest, size = hashlib.sha256(), 0
    for path in map(Path, paths):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
        size += path.stat().st_size
    told = {"files": ", ".join(Path(p).name for p in paths), "bytes": size, "sha256": digest.hexdigest()[:12]}
    return told if rows is None else told | {"rows": rows}


def current_commit() -> str:
    """The checkout's short commit, with ``-dirty`` where files differ from it; "unknown" where git or the history is
    missing."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude", "*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _run_id(entry: Mapping[str, Any]) -> str:
    return fingerprint({key: value for key, value in entry.items() if key not in OUTCOME})[:12]


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values only: numpy and torch values unpacked, NaN and infinity as words, sets in order, else text."""

    def unpacked(value: Any) -> Any:
        if isinstance(value, set | frozenset):
            return sorted(value, key=str)
        return value.tolist() if hasattr(value, "tolist") else str(value)

    text = json.dumps(dict(row), default=unpacked)
    return json.loads(text, parse_constant=lambda word: str(float(word)))
