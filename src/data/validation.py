"""Rows become validated samples. No row is ever lost: what cannot be accepted comes back as a ``Reject`` with its
place and a reason."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from src.data.reading import TEXT_FIELDS
from src.data.schemas import MAX_LENGTH, RawSample, Reject
from src.data.text import normalize_text, repair_mojibake

# Lengths in characters outside of which a row is kept but a person should look at it.
USUAL_LENGTHS = {"question": ("질문이", 8, 200), "context": ("문서가", 20, 2000), "answer": ("답이", 1, 300)}

_REASONS = {
    "missing": "필수 칸이 없습니다.",
    "string_type": "글자(str)여야 하는데 다른 형입니다. 값을 따옴표로 감싸 주세요.",
    "string_too_short": "비어 있거나 너무 짧습니다({min_length}자 이상이어야 합니다).",
    "string_unicode": "깨진 글자(짝 없는 서로게이트)가 있습니다. 원본 파일의 인코딩을 확인해 주세요.",
    "other": "값의 형이 맞지 않습니다. 그 칸의 값을 확인해 주세요.",
}


def validate_samples(
    samples: Iterable[Mapping[str, Any]], *, max_context_length: int = MAX_LENGTH
) -> tuple[list[RawSample], list[Reject]]:
    """Normalize the rows and check them with ``RawSample``; rows in = accepted + refused.

    What is only suspicious (``USUAL_LENGTHS``, an answer longer than its document, an ``answer_start`` that points
    elsewhere, an id that came before) stays, with a sentence in ``RawSample.warnings``.

    Args:
        samples: rows of ``load_samples``, or dicts of the same keys.
        max_context_length: characters of a context after normalization; ``MAX_LENGTH`` for question and answer.
    """
    limits = {"max_length": MAX_LENGTH, "max_context_length": max_context_length}
    accepted: list[RawSample] = []
    rejects: list[Reject] = []
    first_with: dict[str, RawSample] = {}
    for original in samples:
        try:
            sample = RawSample.model_validate(_clean(original), context=limits)
        except (_Refused, ValidationError) as error:
            field, reason = error.args if isinstance(error, _Refused) else explain(error)
            place = original if isinstance(original, Mapping) else {}
            line = place["line"] if isinstance(place.get("line"), int) else 0
            source = str(place.get("source") or "").encode("utf-8", "replace").decode()
            rejects.append(Reject(source=source, line=line, field=field, reason=reason, row=original))
        else:
            first = first_with.setdefault(sample.id, sample)
            if first is not sample:
                sample.warnings.append(f"id가 {first.source} {first.line}번째 행과 같습니다.")
            accepted.append(sample)
    return accepted, rejects


class _Refused(Exception):
    """(field, reason)"""


@lru_cache(maxsize=64)  # rows of one document usually stand together
def _clean_text(text: str) -> str | None:
    mended = repair_mojibake(text)
    return None if mended is None else normalize_text(mended)


def _clean(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise _Refused("", "이름 있는 칸으로 된 행이 아닙니다.")
    if isinstance(row.get("error"), str):
        raise _Refused("", row["error"] or "읽을 수 없는 행입니다.")
    cleaned = {**row, "warnings": []}
    for name in TEXT_FIELDS:
        if isinstance(row.get(name), str):
            cleaned[name] = _clean_text(row[name])
            if cleaned[name] is None:
                raise _Refused(
                    name, "글자가 깨져 있습니다(인코딩이 뒤섞임). 원본 파일에서 다시 저장해 주세요."
                )
    start = row.get("answer_start")
    if isinstance(start, str):  # everything in a CSV file is text
        cleaned["answer_start"] = start = int(start) if start.strip().isdecimal() else start.strip() or None
    texts = {name: cleaned.get(name) for name in TEXT_FIELDS}
    if all(isinstance(text, str) and text for text in texts.values()):
        warnings = cleaned["warnings"]
        if isinstance(start, int):
            cleaned["answer_start"] = _locate(row, texts["context"], texts["answer"], start, warnings)
        for name, (title, low, high) in USUAL_LENGTHS.items():
            length = len(texts[name])
            if not low <= length <= high:
                much = "짧습니다" if length < low else "깁니다"
                warnings.append(f"{title} {length:,}자로 {much}(보통 {low:,}~{high:,}자).")
        if len(texts["answer"]) > len(texts["context"]):
            warnings.append("답이 문서보다 깁니다. 두 칸이 바뀌지 않았는지 확인해 주세요.")
    return cleaned


def _locate(row: Mapping[str, Any], context: str, answer: str, start: int, warnings: list[str]) -> int | None:
    """The occurrence of the answer nearest to where the offset points after normalization."""
    start = max(start, 0)
    target = len(normalize_text(row["context"][:start]))
    before, after = context.rfind(answer, 0, target + len(answer)), context.find(answer, target)
    places = [place for place in (before, after) if place >= 0]
    if not places:
        warnings.append("answer_start가 있지만 답이 문서에 그대로 나오지 않습니다.")
        return None
    if normalize_text(row["context"][start : start + len(row["answer"])]) != answer:
        warnings.append("answer_start가 가리키는 곳에 답이 없어 가장 가까운 곳으로 고쳤습니다.")
    return min(places, key=lambda place: abs(place - target))


def explain(error: ValidationError) -> tuple[str, str]:
    """(field, reason in Korean) of the first thing that pydantic found wrong."""
    first = error.errors(include_url=False)[0]
    reason = _REASONS.get(first["type"], _REASONS["other"]).format(**first.get("ctx", {}))
    if first["type"] == "value_error":
        reason = first["msg"].removeprefix("Value error, ")
    return str(first["loc"][0]) if first["loc"] else "", reason
