"""Files to rows and back: JSON, JSON Lines, CSV, TSV, Parquet and SQuAD-form JSON, in Korean files' encodings.

JSON Lines, CSV and Parquet stream: a file of any size needs the memory of its longest row (of one row group). Of a
JSON array the whole text is in memory, for Hangul two bytes a character: save larger ones as JSON Lines."""

import codecs
import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from src.data.csv_rows import iter_csv, named_row
from src.data.json_rows import Unreadable, iter_json, iter_json_lines

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

_NO_SQUAD = "SQuAD 형식(paragraphs, qas)이 아닙니다."
_ESCAPED = re.compile("[\udc80-\udcff]")  # what errors="surrogateescape" makes of a byte it cannot decode


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, row) of a file, one at a time; ``Unreadable`` in place of a row that cannot be read.

    The line is that of a text file, and the position of the row, from 1, for JSON and Parquet.

    Raises:
        ValueError: an unknown kind of file, or one that holds no rows in a form known here.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path.name}: {', '.join(SUFFIXES)} 가운데 하나로 저장해 주세요.")
    if suffix == ".parquet":
        yield from _read_parquet(path)
        return
    encoding, damaged = find_encoding(path)
    newline = "\n" if suffix in (".jsonl", ".ndjson") else ""
    errors = "replace" if encoding == "utf-16" else "surrogateescape"
    with path.open(encoding=encoding, errors=errors, newline=newline) as file:
        if suffix == ".json":
            items = iter_json(file.read(), path.name)
            rows = enumerate(chain.from_iterable(map(_rows, items)), start=1)
        elif suffix in (".jsonl", ".ndjson"):
            rows = iter_json_lines(file)
        else:
            rows = iter_csv(file, path.name, "\t" if suffix == ".tsv" else ",")
        for line, row in rows:
            yield line, _check_bytes(row, encoding) if damaged else row


# --- Encodings -------------------------------------------------------------------------------------------------


def find_encoding(path: Path) -> tuple[str, bool]:
    """The encoding of a text file and whether some of its bytes do not fit it.

    UTF-8 with or without BOM, then CP949 (Korean Excel); UTF-16 only with BOM. Where neither fits the whole file,
    the one that fails on fewer lines: only those lines' rows are then lost to review, not the file.
    """
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):  # Excel's "Unicode text"
            return "utf-16", False
    failures = {}  # encoding -> how many lines, and how many bytes, it cannot decode
    for encoding in ("utf-8-sig", "cp949"):
        with path.open("rb") as file:
            found = (_ESCAPED.findall(line.decode(encoding, "surrogateescape")) for line in file)
            damaged = [len(escaped) for escaped in found if escaped]
        if not damaged:
            return encoding, False
        failures[encoding] = (len(damaged), sum(damaged))
    return min(failures, key=failures.get), True


def _check_bytes(row: Any, encoding: str) -> Any:
    if isinstance(row, Unreadable):
        return row
    found = _ESCAPED.search(json.dumps(row, ensure_ascii=False, default=str))
    if found is None:
        return row
    name = "CP949" if encoding == "cp949" else "UTF-8"
    reason = f"{name}로 읽을 수 없는 바이트(0x{ord(found[0]) - 0xDC00:02x})가 있습니다. "
    return Unreadable(reason + "원본 파일에서 이 행을 확인해 다시 저장해 주세요.", row)


# --- Parquet and SQuAD -----------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name}: Parquet 파일로 읽을 수 없습니다. 파일을 다시 받아 주세요.") from error
    with file:
        end = 0
        for group in range(file.num_row_groups):  # one at a time: pyarrow keeps in memory what it has begun
            line, end = end, end + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(batch_size=256, row_groups=[group]):
                    for row in range(batch.num_rows):
                        line += 1
                        yield line, _parquet_row(batch, row)
            except (pa.ArrowException, OSError) as error:
                reason = f"Parquet 파일이 여기서 깨져 {end}번째 행까지 {end - line}행을 읽지 못했습니다."
                yield line + 1, Unreadable(f"{reason} 파일을 다시 받아 주세요.", str(error))


def _parquet_row(batch: Any, row: int) -> Any:
    values, broken = [], False
    for cell in (column[row] for column in batch.columns):
        try:
            values.append(cell.as_py())
        except ValueError as error:  # bytes that are no UTF-8, a date that Python lacks
            raw = cell.as_buffer().to_pybytes() if hasattr(cell, "as_buffer") else str(error).encode()
            values.append(raw.decode("utf-8", "surrogateescape"))
            broken = True
    if broken:
        pairs = [list(pair) for pair in zip(batch.schema.names, values, strict=True)]
        return Unreadable("읽을 수 없는 값이 있습니다. 원본을 확인해 주세요.", pairs)
    return named_row(batch.schema.names, values)


def _rows(article: Any) -> Iterator[Any]:
    """A row as it is, and a SQuAD article (1.1, 2.0, KLUE) as one row a question."""
    if not isinstance(article, dict) or "paragraphs" not in article:
        yield article
        return
    for paragraph in _parts(article, "paragraphs"):
        for qa in _parts(paragraph, "qas"):
            if isinstance(qa, dict):
                yield {"title": article.get("title"), "context": paragraph.get("context"), **qa}
            else:
                yield qa if isinstance(qa, Unreadable) else Unreadable(_NO_SQUAD, qa)


def _parts(whole: Any, name: str) -> list[Any]:
    parts = whole.get(name) if isinstance(whole, dict) else None
    if isinstance(parts, list):
        return parts
    return [whole if isinstance(whole, Unreadable) else Unreadable(_NO_SQUAD, whole)]


# --- Our own files ---------------------------------------------------------------------------------------------


def write_jsonl(path: str | Path, rows: Iterable[Any]) -> Path:
    """Write models, dicts or what has a ``to_json``, one JSON object a line, UTF-8; the folder is created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.writelines(map(_line, rows))
    return path


def append_jsonl(path: str | Path, rows: Iterable[Any]) -> Path:
    """Add ``rows`` to what ``write_jsonl`` would have written: one write, flushed to the disk, so that a process that
    is killed leaves at most its last line torn. Such a line is closed first and spoils none of the new ones."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        file.seek(max(file.tell() - 1, 0))
        torn = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(torn + b"".join(map(_line, rows)))
        file.flush()
        os.fsync(file.fileno())
    return path


def _line(row: Any) -> bytes:
    # dict, shallow: model_dump refuses a refused row that is nested too deeply.
    data = row.to_json() if hasattr(row, "to_json") else dict(row)
    try:
        return json.dumps(data, ensure_ascii=False, default=str).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate in a refused row: keep it, escaped
        return json.dumps(data, default=str).encode() + b"\n"


def read_jsonl(
    path: str | Path, model: type[BaseModel] | None = None, *, damaged: list[tuple[int, bytes]] | None = None
) -> list[Any]:
    """Rows of ``write_jsonl``: dicts, or ``model`` objects where one is given; blank lines are passed over.

    Args:
        damaged: where given, a line that is no such row (torn, no UTF-8, no object, not of ``model``) is passed over
            and (its number from 1, its bytes) added to this list.

    Raises:
        ValueError: without ``damaged``, for the first such line.
    """
    path = Path(path)
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
                if not isinstance(row, dict):
                    raise ValueError("not an object")
                rows.append(model.model_validate(row) if model else row)
            except (ValueError, RecursionError) as error:
                if damaged is None:
                    raise ValueError(
                        f"{path.name} {number}번째 줄을 읽을 수 없습니다. 그 줄을 지우거나, 이 파일을 만든 노트북을 "
                        "다시 실행해 주세요."
                    ) from error
                damaged.append((number, line))
    return rows
