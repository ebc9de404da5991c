"""From the files people are really handed to validated samples in splits that do not leak.

``load_samples`` reads, ``validate_samples`` judges, ``split_by_group`` divides. No row is ever lost: what cannot
be read or accepted comes back as a ``Reject`` with its place and a reason.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from src.schemas import MAX_LENGTH, RawSample, Reject

# Column names seen in the wild -> our names; compared without white space and case.
ALIASES = {
    "id": ("id", "번호"),
    "group_id": ("group_id", "product", "제품"),
    "topic": ("topic", "category", "분류", "주제"),
    "question": ("question", "q", "질문"),
    "context": ("context", "doc", "document", "본문", "문서", "문맥"),
    "answer": ("answer", "a", "답변", "정답", "답"),
    "answer_start": ("answer_start",),
}
_NAME_OF = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
_TEXT_FIELDS = ("question", "context", "answer")

# --- Text ------------------------------------------------------------------------------------------------------

# Full-width ASCII to ASCII. Not NFKC: that also turns ㅋㅋㅋ into conjoining jamo, x² into x2 and ① into 1.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FILLERS = dict.fromkeys(
    map(ord, "\u115f\u1160\u3164\uffa0")
)  # invisible Hangul fillers, "letters" to Unicode


def normalize_text(text: str) -> str:
    """NFC, no invisible or control characters, ASCII for full-width ASCII, single spaces; idempotent.

    Question, context and answer all pass through here, so an answer that stood in its document still does.
    """
    text = text.translate(_FULL_WIDTH).translate(_FILLERS)
    text = re.sub(r"\s+", " ", text)
    text = "".join(char for char in text if unicodedata.category(char) not in ("Cf", "Cc"))
    # Removing a character can bring two spaces, or two parts of one syllable, together.
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", text).strip())


def _hangul(text: str) -> int:
    return sum("가" <= char <= "힣" for char in text)


def repair_mojibake(text: str) -> str | None:
    """``text`` with UTF-8 that was read as Latin-1 or CP1252 mended; None where mojibake is seen but not mended.

    ftfy mends only what it can prove; it worsens CP949 that was read as Latin-1, so its result is taken only
    where Hangul appears. The other two mix-ups of Korean files are recognised by reversing them, and refused:
    part of the bytes is usually gone, so a person should look.
    """
    import ftfy

    if text.isascii():
        return text
    mended = ftfy.fix_encoding(text)
    if mended != text and _hangul(mended) > _hangul(text) and "\ufffd" not in mended:
        return mended
    for wrong, right in (("latin-1", "cp949"), ("cp1252", "cp949"), ("cp949", "utf-8")):
        try:
            original = text.encode(wrong).decode(right)
        except UnicodeError:
            continue
        # Genuine Western text ("Café Müller") reverses too now and then, but not into mostly Hangul.
        if original != text and _hangul(original) >= max(2, len(re.sub(r"[\x00-\x7f]", "", original)) * 0.8):
            return None
    return text


# --- Reading ---------------------------------------------------------------------------------------------------


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


def load_samples(path: str | Path, *, fields: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Read a JSON array, JSON Lines, CSV or SQuAD-form JSON file; values stay as they are.

    Args:
        path: ``.csv``, ``.jsonl`` or ``.json``, in UTF-8 (with or without BOM) or CP949.
        fields: our names -> the file's own names, e.g. ``{"question": "문의 내용"}``, where they are not
            recognised by themselves (``ALIASES``).

    Returns:
        One dict a row with ``id, group_id, question, context, answer, topic, source, line`` and ``answer_start``
        where the file has them. A row that cannot be read keeps its raw text in ``row`` and the reason in ``error``.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds no rows in a form known here.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} 파일이 없습니다. 경로와 파일 이름을 확인해 주세요.")
    text = _decode(path.read_bytes())
    suffix = path.suffix.lower()
    if suffix == ".csv":
        rows = _read_csv(text)
    elif suffix in (".jsonl", ".ndjson"):
        rows = _read_json_lines(text)
    elif suffix == ".json":
        rows = _read_json(text, path.name)
    else:
        raise ValueError(f"{path.name}: .json, .jsonl, .csv 가운데 하나로 저장해 주세요.")
    name_of = _NAME_OF | {re.sub(r"\s+", "", own).lower(): name for name, own in (fields or {}).items()}
    return [_sample(row, line, path, name_of) for line, row in rows]


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


def _sample(row: Any, line: int, path: Path, name_of: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(row, dict):
        row = {"error": "이름 있는 칸({ … })으로 된 행이 아닙니다.", "row": row}
    if "error" in row and "row" in row:
        return row | {"source": path.name, "line": line}
    sample = {"id": f"{path.stem}-{line}", "group_id": None, "topic": None}
    for key, value in row.items():
        name = name_of.get(re.sub(r"\s+", "", key).lower())
        if name and (value is not None or name in _TEXT_FIELDS):
            sample[name] = value
    context = sample.get("context")
    if sample["group_id"] in (None, "") and isinstance(context, str):
        sample["group_id"] = document_key(context)
    if sample["group_id"] is None:
        sample["group_id"] = sample["id"]
    return {key: value for key, value in sample.items() if value is not None or key in _TEXT_FIELDS} | {
        "source": path.name,
        "line": line,
    }


def document_key(document: str) -> str:
    """A short name for a document's text: the same for copies that differ in white space or invisible signs."""
    compact = normalize_text(document).replace(" ", "")
    return hashlib.sha256(compact.encode("utf-8", "replace")).hexdigest()[:16]


# --- Judging ---------------------------------------------------------------------------------------------------

_REASONS = {
    "missing": "필수 칸이 없습니다.",
    "string_type": "글자(str)여야 하는데 다른 형입니다. 값을 따옴표로 감싸 주세요.",
    "string_too_short": "비어 있거나 너무 짧습니다({min_length}자 이상이어야 합니다).",
    "string_unicode": "깨진 글자(짝 없는 서로게이트)가 있습니다. 원본 파일의 인코딩을 확인해 주세요.",
}


def validate_samples(
    samples: Iterable[Mapping[str, Any]],
    *,
    max_length: int = MAX_LENGTH,
    max_context_length: int = MAX_LENGTH,
) -> tuple[list[RawSample], list[Reject]]:
    """Normalize the rows and check them with ``RawSample``; rows in = accepted + refused.

    Args:
        samples: rows of ``load_samples``, or dicts of the same keys.
        max_length, max_context_length: characters, after normalization, of question and answer, and of context.
    """
    limits = {"max_length": max_length, "max_context_length": max_context_length}
    accepted: list[RawSample] = []
    rejects: list[Reject] = []
    for original in samples:
        row = dict(original)
        try:
            if isinstance(row.get("error"), str):
                raise _Refused("", row["error"] or "읽을 수 없는 행입니다.")
            accepted.append(RawSample.model_validate(_clean(row), context=limits))
        except (_Refused, ValidationError) as error:
            field, reason = error.args if isinstance(error, _Refused) else _explain(error)
            line = row.get("line") if isinstance(row.get("line"), int) else 0
            source = str(row.get("source") or "").encode("utf-8", "replace").decode()
            rejects.append(Reject(source=source, line=line, field=field, reason=reason, row=row))
    return accepted, rejects


class _Refused(Exception):
    """(field, reason)"""


def _clean(row: dict[str, Any]) -> dict[str, Any]:
    cleaned = dict(row)
    for name in _TEXT_FIELDS:
        if isinstance(row.get(name), str):
            mended = repair_mojibake(row[name])
            if mended is None:
                raise _Refused(
                    name, "글자가 깨져 있습니다(인코딩이 뒤섞임). 원본 파일에서 다시 저장해 주세요."
                )
            cleaned[name] = normalize_text(mended)
    context, answer, start = cleaned.get("context"), cleaned.get("answer"), row.get("answer_start")
    if isinstance(start, int) and isinstance(context, str) and isinstance(answer, str) and answer:
        # Normalization moved the offset: the occurrence nearest to where the offset now points is the one meant.
        target = len(normalize_text(row["context"][: max(start, 0)]))
        places = [match.start() for match in re.finditer(f"(?={re.escape(answer)})", context)]
        cleaned["answer_start"] = min(places, key=lambda place: abs(place - target), default=None)
    return cleaned


def _explain(error: ValidationError) -> tuple[str, str]:
    first = error.errors(include_url=False)[0]
    reason = _REASONS.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return str(first["loc"][0]) if first["loc"] else "", reason.removeprefix("Value error, ")


# --- Dividing --------------------------------------------------------------------------------------------------


def split_by_group(
    samples: Sequence[RawSample], *, validation_ratio: float, test_ratio: float, seed: int
) -> dict[str, list[RawSample]]:
    """Divide whole groups into train, validation and test; neither a group nor a document is ever on two sides.

    The ratios are of samples. Groups are whole, so the realised shares differ a little: report them. Groups that
    share a document move together; the largest such bundle always goes to train.

    Raises:
        ValueError: impossible ratios, or too few independent groups for the sides asked for.
    """
    if min(validation_ratio, test_ratio) < 0 or validation_ratio + test_ratio >= 1:
        raise ValueError("validation_ratio와 test_ratio는 0 이상이고 합이 1보다 작아야 합니다.")
    bundles = sorted(_bundles(samples), key=len, reverse=True)
    largest, rest = bundles[:1], bundles[1:]
    random.Random(seed).shuffle(rest)
    targets = {"test": test_ratio * len(samples), "validation": validation_ratio * len(samples)}
    sides: dict[str, list[int]] = {
        "train": [i for bundle in largest for i in bundle],
        "validation": [],
        "test": [],
    }
    for bundle in rest:
        for side, target in targets.items():
            # A side takes its first bundle at any size, then only what brings it nearer to its target.
            if target and (not sides[side] or len(sides[side]) + len(bundle) / 2 <= target):
                sides[side].extend(bundle)
                break
        else:
            sides["train"].extend(bundle)
    empty = [side for side, target in targets.items() if target and not sides[side]]
    if empty and samples:
        raise ValueError(
            f"서로 독립인 묶음이 {len(bundles)}개뿐이라 {', '.join(empty)} 쪽이 비었습니다. "
            "문서를 더하거나 그 비율을 0으로 정해 주세요."
        )
    return {side: [samples[i] for i in sorted(rows)] for side, rows in sides.items()}


def _bundles(samples: Sequence[RawSample]) -> list[list[int]]:
    """Positions of samples that are linked by a common group or document (connected components)."""
    import numpy as np
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    nodes: dict[tuple[str, str], int] = {}
    edges = []
    for sample in samples:
        group = nodes.setdefault(("group", sample.group_id), len(nodes))
        edges.append((group, nodes.setdefault(("document", document_key(sample.context)), len(nodes))))
    if not edges:
        return []
    rows, columns = np.array(edges).T
    graph = coo_matrix((np.ones(len(edges)), (rows, columns)), shape=(len(nodes), len(nodes)))
    labels = connected_components(graph, directed=False)[1][rows]
    bundles: dict[int, list[int]] = {}
    for position, label in enumerate(labels.tolist()):
        bundles.setdefault(label, []).append(position)
    return list(bundles.values())


# --- Passing on ------------------------------------------------------------------------------------------------


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
