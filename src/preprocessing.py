"""From the files people are really handed to validated samples in splits that do not leak.

``load_samples`` reads, ``validate_samples`` judges, ``split_by_group`` divides. No row is ever lost: what cannot
be read or accepted comes back as a ``Reject`` with its place and a reason.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from src.formats import read_rows
from src.schemas import MAX_LENGTH, RawSample, Reject
from src.text import document_key, normalize_text, repair_mojibake

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

# --- Reading ---------------------------------------------------------------------------------------------------


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
    name_of = _NAME_OF | {re.sub(r"\s+", "", own).lower(): name for name, own in (fields or {}).items()}
    return [_sample(row, line, path, name_of) for line, row in read_rows(path)]


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
