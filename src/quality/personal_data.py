"""Korean personal data, found by its form and masked.

A made-up or public number looks the same as a real one, so a person decides. Names and addresses have no form and
are not found; numbers that serve the public (1588-0000, 080) or a company (a valid business number) are left.
"""

import re
from typing import Any

_SEP = r"(?: ?[-–.] ?| )?"  # between the parts of a number: a hyphen or dot, a space, or nothing
# Not inside a longer number or code ("AB-110-234-567890"). ASCII only: Hangul may stand on either side.
_FRONT, _BACK = r"(?<!\w)(?<!\w-)", r"(?!-?\d)"

# Earlier kinds win where two match. A resident registration number is judged by its form alone: since October 2020
# its digits are random, so a failed checksum proves nothing. Where a pattern names a word, the group is the hit.
_PATTERNS = {
    kind: re.compile(pattern, re.ASCII)
    for kind, pattern in {
        "이메일": r"(?<![\w.+-])[\w.+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}",
        "주민등록번호": rf"{_FRONT}\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?: ?[-–] ?| )?[1-4]\d{{6}}{_BACK}",
        "외국인등록번호": rf"{_FRONT}\d{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?: ?[-–] ?| )?[5-8]\d{{6}}{_BACK}",
        # Also after a word and a hyphen ("HP-010-…"): nothing else looks like it.
        "휴대전화": rf"(?<!\w)(?<!\d-)(?:\+?82[-– .]?\(?0?\)?|\(?0)1[016789]\)?{_SEP}\d{{3,4}}{_SEP}\d{{4}}{_BACK}",
        "유선전화": rf"{_FRONT}\(?0(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[2-8])(?:\) ?|[-–. ])\d{{3,4}}[-–. ]\d{{4}}{_BACK}",
        "카드번호": rf"{_FRONT}(?:\d{{4}}([- ]?)\d{{4}}\1\d{{4}}\1\d{{4}}|3[47]\d\d([- ]?)\d{{6}}\2\d{{5}}){_BACK}",
        "운전면허번호": rf"{_FRONT}(?:1[1-9]|2[0-68])-\d{{2}}-\d{{6}}-\d{{2}}{_BACK}",
        "여권번호": r"여권[^\n\d]{0,12}?\b([A-Z](?:\d{8}|\d{3}[A-Z]\d{4}))\b",
        # Three or four groups, 10-16 digits in all, no year in front, no 080 number; or any run of digits after the word.
        "계좌번호": rf"{_FRONT}(?!(?:19|20)\d\d-|080-\d{{3,4}}-\d{{4}}\b)(?=(?:\d-?){{10,16}}(?![\d-]))\d{{2,6}}-\d{{2,6}}-\d{{2,8}}(?:-\d{{1,3}})?{_BACK}"
        r"|(?:계좌|은행|뱅크|농협|수협|신협|우체국)[^\n\d]{0,12}(?<![\w-])(\d{10,16})(?!\w)",
    }.items()
}  # fmt: skip


def find_personal_data(text: str) -> list[dict[str, Any]]:
    """Korean personal data in ``text``, by form: ``{"kind", "text", "masked", "start", "end"}`` in reading order.

    E-mail; resident and foreigner registration number; mobile, landline and relayed (050x) phone; card, driver's
    licence, passport and account number. ``start`` and ``end`` are characters; hits never overlap.
    """
    found: list[dict[str, Any]] = []
    for kind, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            group = match.lastindex if kind in ("여권번호", "계좌번호") and match.lastindex else 0
            start, end = match.span(group)
            number = match.group(group)
            free = all(end <= other["start"] or other["end"] <= start for other in found)
            if free and _plausible(kind, number):
                hit = {"kind": kind, "text": number, "masked": _mask(number), "start": start, "end": end}
                found.append(hit)
    return sorted(found, key=lambda hit: hit["start"])


def _plausible(kind: str, number: str) -> bool:
    """What the form alone cannot tell: a bare run of digits is a card only with the right check digit (ISO/IEC
    7812, Luhn), and a valid business number (3-2-5 digits) belongs to a company, not to an account."""
    digits = [int(char) for char in number if char.isdigit()]
    if kind == "카드번호" and number.isdigit():
        doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
        return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
    if kind == "계좌번호" and re.fullmatch(r"\d{3}-\d{2}-\d{5}", number):
        weighted = sum(d * w for d, w in zip(digits, (1, 3, 7, 1, 3, 7, 1, 3, 5), strict=False))
        return (10 - (weighted + digits[8] * 5 // 10) % 10) % 10 != digits[9]
    return True


def _mask(text: str) -> str:
    """The signs between stay, so that the form can be read; of the rest at most the first two characters do."""
    body, at, domain = text.partition("@")
    if at:
        shown = min(2, len(body) // 2)
        return body[:shown] + "*" * (len(body) - shown) + at + domain
    return body[:2] + re.sub(r"\w", "*", body[2:])


def mask_personal_data(text: str) -> str:
    """``text`` with everything that ``find_personal_data`` finds masked; as long as before, and idempotent."""
    while hits := find_personal_data(text):  # again where a mask has freed a number that stood beside it
        for hit in hits:
            text = text[: hit["start"]] + hit["masked"] + text[hit["end"] :]
    return text
