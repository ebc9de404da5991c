"""How things are written down: particles, slips of the pen, and values with any digits."""

from __future__ import annotations

import re
from random import Random

from src.evaluation.fairness import ending

# How the last sign of a value is read aloud, as far as its final sound goes.
_READ = dict(zip("0123456789", "영일이삼사오육칠팔구", strict=True)) | {
    "W": "트",
    "L": "터",
    "m": "터",
    "g": "램",
    "B": "벨",
}
SLIP_SHARE = 0.08  # of questions that carry one slip
_MISTYPED = (
    ("인가요", "인가여"), ("주세요", "주세여"), ("얼마", "얼머"), ("어떻게", "어떻개"), ("무엇", "무었"), ("뭐", "모"),
    ("몇", "몃"), ("언제", "언재"), ("되나요", "돼나요"), ("예요", "에요"), ("하나요", "하나여"),
)  # fmt: skip


def _final(word: str) -> int:
    return ending(_READ.get(word[-1:], word))


def with_topic(word: str) -> str:
    """``무게`` -> ``무게는``, ``용량`` -> ``용량은``."""
    return word + ("는" if _final(word) == 0 else "은")


def with_subject(word: str) -> str:
    """``무게`` -> ``무게가``, ``용량`` -> ``용량이``."""
    return word + ("가" if _final(word) == 0 else "이")


def with_copula(value: str) -> str:
    """``5.2kg`` -> ``5.2kg이에요``, ``310W`` -> ``310W예요``."""
    return value + ("예요" if _final(value) == 0 else "이에요")


def with_direction(value: str) -> str:
    """``5.2kg`` -> ``5.2kg으로``, ``310W`` -> ``310W로``."""
    return value + ("로" if _final(value) in (0, 8) else "으로")


def slip(rng: Random, wording: str) -> str:
    """``wording`` of a question with one slip; ``{e}``, the place of the product's name, stays whole."""
    head, mark, tail = wording.rpartition("{e}")
    first, tail = tail[:1], tail[1:]  # a particle or the space behind the name
    spaces = [i for i, sign in enumerate(tail) if sign == " " and i > 1]
    letters = [i for i, sign in enumerate(tail) if "가" <= sign <= "힣"]
    typos = [pair for pair in _MISTYPED if pair[0] in tail]
    options = ["mark", "letter"] + ["space"] * bool(spaces) + ["typo"] * bool(typos)
    option = rng.choice(options)
    if option == "space":
        at = rng.choice(spaces)
        tail = tail[:at] + tail[at + 1 :]
    elif option == "typo":
        tail = tail.replace(*rng.choice(typos), 1)
    elif option == "letter":
        at = rng.choice(letters)
        tail = tail[:at] + tail[at] + tail[at:]
    else:
        tail = tail.rstrip("?.")
    return head + mark + first + tail


def any_digits(rng: Random, value: str) -> str:
    """``value`` with other digits in the same shape: a number may be a digit longer or shorter, and starts with no 0."""

    def other(match: re.Match[str]) -> str:
        whole, point, part = match.group().replace(",", "").partition(".")
        length = max(1, len(whole) + rng.choice((-1, 0, 0, 0, 1)))
        number = str(rng.randint(1 if length == 1 else 10 ** (length - 1), 10**length - 1))
        if "," in match.group():
            number = f"{int(number):,}"
        return number + point + re.sub(r"\d", lambda _: rng.choice("0123456789"), part)

    return re.sub(r"\d+(?:,\d{3})*(?:\.\d+)*", other, value)
