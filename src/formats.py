"""Files to rows and back: JSON, JSON Lines, CSV and SQuAD-form JSON, in the encodings Korean files come in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def read_rows(path: Path) -> list[tuple[int, Any]]:
    """(line, row) of a JSON, JSON Lines or CSV file; a row that cannot be read is ``{"error", "row"}``."""
    text = _decode(path.read_bytes())
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return list(_read_csv(text))
    if suffix in (".jsonl", ".ndjson"):
        return list(_read_json_lines(text))
    if suffix == ".json":
        return list(_read_json(text, path.name))
    raise ValueError(f"{path.name}: .json, .jsonl, .csv 가운데 하나로 저장해 주세요.")


def _decode(data: bytes) -> str:
    """UTF-8 with or without BOM, then CP949 (Korean Excel); else UTF-8 with U+FFFD, which validation refuses."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # Excel's "Unicode text"
        return data.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "cp949"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8-sig", errors="replace")


def _read_json_lines(text: str) -> Iterable[tuple[int, Any]]:
    # Not splitlines(): U+2028 and U+0085 may stand inside a JSON string.
    for line, raw in enumerate(text.split("\n"), start=1):
        if raw.strip():
            try:
                yield line, json.loads(raw)
            except ValueError:
                yield (
                    line,
                    {"error": "JSON 한 줄로 읽을 수 없습니다. 따옴표와 괄호를 확인해 주세요.", "row": raw},
                )


def _read_csv(text: str) -> Iterable[tuple[int, Any]]:
    reader = csv.reader(io.StringIO(text, newline=""))
    header: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, {"error": f"CSV 행으로 읽을 수 없습니다({error}).", "row": ""}
            continue
        if not values:
            continue
        if not header:
            header = values
        elif len(values) != len(header):
            reason = f"칸이 {len(header)}개여야 하는데 {len(values)}개입니다. 따옴표와 쉼표를 확인해 주세요."
            yield line, {"error": reason, "row": values}
        else:
            yield line, dict(zip(header, values, strict=True))


def _read_json(text: str, name: str) -> Iterable[tuple[int, Any]]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{name}: {error.lineno}번째 줄 {error.colno}번째 글자에서 JSON 형식이 깨졌습니다. "
            "그 앞뒤의 쉼표, 따옴표, 괄호를 확인해 주세요."
        ) from error
    if isinstance(data, dict):
        data = data.get("data")
    if not isinstance(data, list):
        raise ValueError(f"{name}: 행의 목록([ … ])이나 SQuAD 형식({{'data': [ … ]}})이어야 합니다.")
    if any(isinstance(item, dict) and "paragraphs" in item for item in data):
        data = list(_squad_rows(data))
    return list(enumerate(data, start=1))


def _squad_rows(articles: list[Any]) -> Iterable[Any]:
    """SQuAD 1.1: one row a question, with its first answer; the article's title is the group."""
    for article in articles:
        try:
            for paragraph in article["paragraphs"]:
                for qa in paragraph["qas"]:
                    row = {
                        "id": qa.get("id"),
                        "group_id": article.get("title"),
                        "question": qa.get("question"),
                    }
                    row["context"] = paragraph.get("context")
                    answers = qa.get("answers") or [{}]
                    yield row | {
                        "answer": answers[0].get("text"),
                        "answer_start": answers[0].get("answer_start"),
                    }
        except (AttributeError, KeyError, TypeError):
            yield {"error": "SQuAD 형식(paragraphs, qas)이 아닙니다.", "row": article}


def write_jsonl(path: str | Path, rows: Iterable[BaseModel | Mapping[str, Any]]) -> Path:
    """Write models or dicts, one JSON object a line, UTF-8; the folder is created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            data = row.model_dump() if isinstance(row, BaseModel) else dict(row)
            line = json.dumps(data, ensure_ascii=False, default=str)
            try:
                file.write(line + "\n")
            except UnicodeEncodeError:  # a lone surrogate in a refused row: keep it, escaped
                file.write(json.dumps(data, default=str) + "\n")
    return path


def read_jsonl(path: str | Path, model: type[BaseModel] | None = None) -> list[Any]:
    """Rows of ``write_jsonl``: dicts, or ``model`` objects where one is given."""
    with Path(path).open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    return [model.model_validate(row) for row in rows] if model else rows
