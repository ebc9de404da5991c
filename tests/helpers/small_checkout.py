"""A checkout with fewer rows in data/raw, for a run that shows the way through and not the numbers."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zlib import crc32

from src.profiles import ROOT

SHARE = 6  # one document of so many is kept, with all of its rows
DOCUMENT = ("doc", "context", "본문")  # its name in each of the files
# What a rehearsal writes into, or reads from elsewhere, is not taken along.
NOT_ALONG = {"data", "src", "outputs"}


def small_checkout(folder: Path) -> Path:
    """This checkout in ``folder``: its own copy of ``src``, a share of the corpus, links to everything else. Rows with a
    planted defect are all kept, and with copies what they repeat, so that every defect can still be found."""
    folder.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in NOT_ALONG and not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data" / "raw").mkdir(parents=True)
    for path in (ROOT / "data").iterdir():
        if path.name != "raw":
            (folder / "data" / path.name).symlink_to(path)
    planted = json.loads((ROOT / "tests" / "corpus_manifest.json").read_text(encoding="utf-8"))
    defects = {row["id"]: row["defect"] for row in planted}
    for path in (ROOT / "data" / "raw").iterdir():
        thin_out(path, folder / "data" / "raw" / path.name, defects)
    return folder


def thin_out(path: Path, target: Path, defects: dict[str, str]) -> None:
    """``path`` with a share of its rows at ``target``, in the same form."""
    if path.suffix == ".csv":
        with path.open(encoding="cp949", newline="") as file:
            head, *lines = csv.reader(file)
        kept = few([dict(zip(head, line, strict=False)) for line in lines], defects)
        with target.open("w", encoding="cp949", newline="") as file:
            csv.writer(file).writerows([head, *([*row.values()] for row in kept)])
    elif path.suffix == ".jsonl":
        lines = path.read_bytes().splitlines()  # of bytes: broken text holds further ends of lines
        kept = few(map(json.loads, lines), defects)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        target.write_text(text, encoding="utf-8")
    else:
        kept = few(json.loads(path.read_text(encoding="utf-8")), defects)
        target.write_text(json.dumps(kept, ensure_ascii=False, indent=1), encoding="utf-8")


def few(rows: Iterable[dict[str, Any]], defects: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of every ``SHARE``-th document, those in ``defects``, and of a repeated document all; in their order."""
    rows = [(next(iter(row.values())), _document(row), row) for row in rows]
    repeated = {text for name, text, _ in rows if defects.get(name, "").endswith("_duplicate")}
    return [
        row
        for name, text, row in rows
        if name in defects or text in repeated or crc32(text.encode()) % SHARE == 0
    ]


def _document(row: dict[str, Any]) -> str:
    return str(next((row[name] for name in DOCUMENT if name in row), None))
