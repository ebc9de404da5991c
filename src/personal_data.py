"""Korean personal data, found by its form and masked."""

from __future__ import annotations

import re
from typing import Any

# Earlier patterns win where two match. A resident registration number is judged by its form alone: since October
# 2020 its digits are random, so a failed checksum proves nothing.
_PERSONAL = {
    "이메일": r"[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    "주민등록번호": r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[- ]?[1-8]\d{6}",
    "휴대전화": r"(?:\+82[- .]?)?0?1[016789][- .]?\d{3,4}[- .]?\d{4}",
    "유선전화": r"\(?0(?:2|[3-6][1-5]|70)\)?[- .]\d{3,4}[- .]\d{4}",
    "카드번호": r"\d{4}([- ]?)\d{4}\1\d{4}\1\d{4}",
    "계좌번호": r"(?=(?:\d-?){10,16}(?![\d-]))\d{2,6}-\d{2,6}-\d{2,8}(?:-\d{1,3})?",
}
_PERSONAL_PATTERNS = {
    kind: re.compile(rf"(?<![\w+-]){body}(?![\d-])", re.ASCII) for kind, body in _PERSONAL.items()
}


def find_personal_data(text: str) -> list[dict[str, Any]]:
    """Korean personal data in ``text``, by form: ``{"kind", "text", "masked", "start", "end"}`` in reading order.

    E-mail, resident registration number, mobile and landline phone, card and account number. A made-up or public
    number looks the same: a person decides. Names are not found.
    """
    found: list[dict[str, Any]] = []
    for kind, pattern in _PERSONAL_PATTERNS.items():
        for match in pattern.finditer(text):
            start, end = match.span()
            if all(end <= other["start"] or other["end"] <= start for other in found):
                masked = _mask(match.group())
                found.append(
                    {"kind": kind, "text": match.group(), "masked": masked, "start": start, "end": end}
                )
    return sorted(found, key=lambda hit: hit["start"])


def _mask(text: str) -> str:
    """The signs between stay, so that the form can be read; of the rest only the first two characters do."""
    body, at, domain = text.partition("@")
    return body[:2] + re.sub(r"\w", "*", body[2:]) + at + domain


def mask_personal_data(text: str) -> str:
    """``text`` with everything ``find_personal_data`` finds masked."""
    for hit in reversed(find_personal_data(text)):
        text = text[: hit["start"]] + hit["masked"] + text[hit["end"] :]
    return text
