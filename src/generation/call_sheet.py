"""Answers kept in one CSV file that a spreadsheet opens: what was asked under which name, and how many tokens it took.

It is an ``AnswerCache`` of another form, with the same keys. All models, settings and prompts share the file; each row
ends with the key of its own, so that a row which was cut while it was written is known by the key that it lacks.
"""

import codecs
import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.data.sheets import safe_cell
from src.data.text import fingerprint
from src.generation.answer_cache import AnswerCache

COLUMNS = ("이름", "모델", "입력 토큰", "출력 토큰", "답", "프롬프트", "열쇠")
_HEAD = (
    ",".join(COLUMNS).encode("utf-8-sig") + b"\n"
)  # with a byte order mark, so that Excel reads the Hangul
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}  # a row is one line: a torn one spoils no other


@dataclass(frozen=True)
class CallSheet:
    """What a CSV file holds: its rows by column, and the numbers of the lines that are none."""

    rows: list[dict[str, str]]
    damaged: list[int]
    empty: bool = False  # the file is there, with nothing in it


def read_call_sheet(path: str | Path) -> CallSheet:
    """The rows of a file that ``generate_answers`` wrote; no file, or an empty one, has none.

    Raises:
        ValueError: the file is something else, or a spreadsheet saved it in another encoding. It is left as it is.
    """
    path = Path(path)
    raw = path.read_bytes() if path.exists() else b""
    if _nothing(raw):
        return CallSheet([], [], empty=path.exists())
    head, *lines = map(_decoded, raw.removeprefix(codecs.BOM_UTF8).split(b"\n"))
    if tuple(_cells(head)) != COLUMNS:
        raise ValueError(
            f"{path.name}: 답을 모으는 파일이 아니라서 쓰지 않았습니다(첫 줄의 칸이 다릅니다). 파일은 그대로 있습니다. "
            "표 프로그램에서 저장했다면 'CSV UTF-8'로 다시 저장하고, 아니라면 다른 이름을 정해 주세요."
        )
    rows, damaged = [], []
    for number, line in enumerate(lines, start=2):
        cells = _cells(line)
        row = dict(zip(COLUMNS, cells, strict=False))
        whole = len(cells) == len(COLUMNS) and len(row["열쇠"]) == len(fingerprint())
        if whole:
            rows.append(row | {"답": _unescape(row["답"])})
        elif line.strip():
            damaged.append(number)
    return CallSheet(rows, damaged)


def open_cache(place: str | Path, identity: Mapping[str, Any], label: str) -> AnswerCache:
    """The cache of a folder, or of a ``.csv`` file."""
    if Path(place).suffix.lower() == ".csv":
        return CsvAnswerCache(Path(place), identity, label)
    return AnswerCache(place, identity)


class CsvAnswerCache(AnswerCache):
    """``AnswerCache`` in a CSV file; ``label`` is written beside each answer that is added.

    Rows are only ever added, in one write that is flushed to the disk. Whatever stands in the file stays there.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], label: str) -> None:
        self.identity, self.path, self.label = dict(identity), path, label
        self.key = fingerprint(self.identity)
        rows = read_call_sheet(path).rows
        self.answers = {row["프롬프트"]: row["답"] for row in rows if row["열쇠"] == self.key}

    def _append(self, new: Mapping[str, str], sizes: Mapping[str, tuple[int, int]]) -> None:
        model = Path(str(self.identity.get("model") or "")).name
        model += " + 어댑터" if self.identity.get("adapter") else ""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        for prompt, answer in new.items():
            size = sizes.get(prompt, ("", ""))
            writer.writerow([_safe(self.label), model, *size, _safe(_escape(answer)), prompt, self.key])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            before = file.read()
            if _nothing(before):
                file.truncate(0)
                before = _HEAD
                file.write(_HEAD)
            torn = b"" if before.endswith(b"\n") else b"\n"
            file.write(torn + text.getvalue().encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())


def answer_tokens(tokenizer: Any, answer: str) -> int:
    """Tokens that writing ``answer`` takes, the one that ends it included."""
    return len(tokenizer(answer, add_special_tokens=False)["input_ids"]) + 1


def _nothing(raw: bytes) -> bool:
    """Blank, or cut within the first line: no answer is in it."""
    return not raw.strip() or (len(raw) < len(_HEAD) and _HEAD.startswith(raw))


def _decoded(line: bytes) -> str:
    """The line, or where it was cut within a letter something that is no row."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return "?"


def _cells(line: str) -> Sequence[str]:
    try:
        return next(csv.reader([line.rstrip("\r")], strict=True), [])
    except csv.Error:  # a quote that never closes
        return []


def _safe(text: str) -> str:
    """No formula to a spreadsheet; undone by dropping one apostrophe."""
    return f"'{text}" if text.startswith("'") else safe_cell(text)


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescape(cell: str) -> str:
    back = {shown: plain for plain, shown in _ESCAPES.items()}
    text, rest = "", cell.removeprefix("'")
    while rest:
        pair = rest[:2]
        text += back.get(pair, rest[0])
        rest = rest[2 if pair in back else 1 :]
    return text
