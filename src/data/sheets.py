"""Sheets that people fill in: written so that nothing in them runs, read however a spreadsheet saved them."""

import csv
import io
import unicodedata
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

from src.data.csv_rows import iter_csv
from src.data.files import find_encoding
from src.data.json_rows import Unreadable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_sheet(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A CSV file that Excel opens (UTF-8 with BOM), without a cell that it would run as a formula."""
    text = io.StringIO()
    csv.writer(text).writerows([columns, *([safe_cell(cell) for cell in row] for row in rows)])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.getvalue().encode("utf-8-sig", "replace"))


def safe_cell(text: str) -> str:
    """``text`` with an apostrophe before it where a spreadsheet would read a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def read_sheet(
    path: Path, needed: Sequence[str], *, clear: Callable[[dict[str, str]], bool] = lambda row: False
) -> tuple[dict[int, dict[str, str]], list[str]]:
    """(rows by line, problems) of a sheet that came back, in any encoding of ``find_encoding``, with commas or tabs.

    Empty rows are not there. What is missing at a row's end is empty: Excel leaves out commas there. A row with more
    beyond its last column counts only where ``clear`` says that it leaves no doubt, as where a note holds commas.
    Every line that does not count is named in a Korean sentence; a quote that never closes costs its own row.

    Raises:
        ValueError: no such text, no line of names, or one of the ``needed`` columns is gone.
    """
    encoding, damaged = find_encoding(path)
    if damaged:
        raise ValueError(f"{path.name}: 읽을 수 없습니다. 'CSV UTF-8'로 다시 저장해 주세요.")
    text = path.read_bytes().decode(encoding, "replace")
    head = next(filter(str.strip, text.splitlines()), "")
    columns = next(csv.reader([head], delimiter="," if "," in head else "\t"), [])
    if columns and (missing := [name for name in needed if name not in columns]):
        raise ValueError(
            f"{path.name}: {', '.join(missing)} 칸이 없습니다. 칸의 이름을 처음 시트와 같게 되돌려 주세요."
        )
    rows: dict[int, dict[str, str]] = {}
    lost: dict[str, list[int]] = {}  # reason -> lines
    for line, row in iter_csv(io.StringIO(text, newline=""), path.name):
        if isinstance(row, Unreadable):
            row = _mended(row, columns, clear)
        if isinstance(row, str):
            lost.setdefault(row, []).append(line)
        elif any(map(str.strip, row.values())):
            rows[line] = row
    return rows, [f"{line_names(lines)}: {reason}" for reason, lines in lost.items()]


def _mended(
    broken: Unreadable, columns: Sequence[str], clear: Callable[[dict[str, str]], bool]
) -> dict[str, str] | str:
    """A row of too few or too many cells, or why it does not count."""
    values = broken.row
    if not isinstance(values, list) or len(values) == len(columns):
        return broken.reason
    row = dict(zip_longest(columns, values[: len(columns)], fillvalue=""))
    if not any(map(str.strip, values[len(columns) :])) or clear(row):
        return row
    return "칸의 수가 처음 시트와 다릅니다. 쉼표와 따옴표를 확인해 주세요."


def line_names(lines: Sequence[int]) -> str:
    """Lines as a reader finds them: "3, 5번째 줄"."""
    return f"{', '.join(map(str, lines))}번째 줄"


def plain(written: str) -> str:
    """What somebody wrote in a cell, without what leaves no doubt: "Ａ", "a." and "(A)" are "a", "예." is "예"."""
    return unicodedata.normalize("NFKC", written).strip(" \t\r\n.,:()[]'\"").casefold()
