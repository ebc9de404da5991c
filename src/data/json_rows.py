"""JSON read row by row: JSON Lines, an array, or an object whose ``data`` is an array."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TextIO

MAX_DEPTH = 64  # brackets within brackets; Python's own limit depends on who called whom
MAX_DIGITS = 4000  # Python refuses to make an int of more than 4,300

_SPACE = re.compile(r"[ \t\r\n]*")
_BROKEN = "그 앞뒤의 쉼표, 따옴표, 괄호를 확인해 주세요."
_FORMS = (
    "행의 목록([ … ])이나 SQuAD 형식({'data': [ … ]})이어야 합니다. "
    "한 줄에 한 행씩 적은 파일이면 이름을 .jsonl로 바꾸어 주세요."
)
_TOO_DEEP = f"괄호가 {MAX_DEPTH}겹보다 깊이 겹쳐 있어 행으로 읽을 수 없습니다."


@dataclass(frozen=True)
class Unreadable:
    """What stands in a row's place where it cannot be read: the reason (in Korean) and what was there."""

    reason: str
    row: Any


class _Reader:
    """Where we are in a JSON text. It loses no number to its length and notices a name that stands twice."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_int=lambda digits: int(digits) if len(digits) <= MAX_DIGITS else Decimal(digits),
        )
        self.repeated: list[str] = []

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.repeated += repeated_names(pairs)
        return dict(pairs)

    def value(self) -> Any:
        """The JSON value here."""
        self.peek()
        self.repeated.clear()
        begin = self.at
        value, self.at = self.decoder.raw_decode(self.text, begin)
        if self.repeated:
            return Unreadable(repeated_reason(self.repeated[0]), self.text[begin : self.at])
        if _depth(value) > MAX_DEPTH:
            return Unreadable(_TOO_DEEP, self.text[begin : self.at])
        return value

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        self.at = _SPACE.match(self.text, self.at).end()
        return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> str:
        """Step over the next character, which must be one of ``expected``."""
        char = self.peek()
        if not char or char not in expected:
            raise json.JSONDecodeError(f"Expecting one of {expected}", self.text, self.at)
        self.at += 1
        return char

    def end(self) -> None:
        """Nothing may follow."""
        if self.peek():
            raise json.JSONDecodeError("Extra data", self.text, self.at)

    def array(self) -> Iterator[Any]:
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return

    def data_of_object(self, name: str) -> Iterator[Any]:
        self.take("{")
        found = False
        while self.peek() != "}":
            key = self.value()
            self.take(":")
            if key == "data" and self.peek() == "[":
                found = True
                yield from self.array()
            else:
                self.value()
            if self.peek() != "}":
                self.take(",")
        self.take("}")
        if not found:
            raise ValueError(f"{name}: 다른 형식입니다. {_FORMS}")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        insides = [v.values() if isinstance(v, dict) else v for v in level if isinstance(v, (dict, list))]
        level = [inner for inside in insides for inner in inside]
    return depth


def repeated_names(pairs: list[tuple[str, Any]]) -> list[str]:
    """Names that occur twice with different values; which one is meant nobody can tell."""
    first: dict[str, Any] = {}
    others = [(name, value) for name, value in pairs if first.setdefault(name, value) is not value]
    return [name for name, value in others if name and first[name] != value]


def repeated_reason(name: str) -> str:
    """What a learner reads about a repeated name."""
    return f"'{name}' 칸이 두 번 있고 값이 서로 다릅니다. 하나를 지우거나 이름을 다르게 지어 주세요."


def iter_json_lines(file: TextIO) -> Iterator[tuple[int, Any]]:
    """(line, value) of a file opened with ``newline="\\n"``: U+2028 or U+0085 may stand inside a JSON string."""
    for line, raw in enumerate(file, start=1):
        reader = _Reader(raw)
        if not reader.peek():
            continue
        try:
            value = reader.value()
            reader.end()
        except json.JSONDecodeError as error:
            reason = f"{error.pos + 1}번째 글자에서 JSON 형식이 깨졌습니다. {_BROKEN}"
            value = Unreadable(reason, raw.rstrip("\r\n"))
        except RecursionError:
            value = Unreadable(_TOO_DEEP, raw.rstrip("\r\n"))
        yield line, value


def iter_json(text: str, name: str) -> Iterator[Any]:
    """Items of ``[ … ]`` or ``{"data": [ … ]}``, one at a time; the text itself is in memory as a whole.

    Where the text breaks off or is no JSON, the rows before that place have been given, and one ``Unreadable``
    with the whole rest follows.

    Raises:
        ValueError: the file is empty or is JSON of another form.
    """
    reader = _Reader(text)
    try:
        opening = reader.peek()
        if opening == "[":
            yield from reader.array()
        elif opening == "{":
            yield from reader.data_of_object(name)
        else:
            problem = "다른 형식입니다" if opening else "파일이 비어 있습니다"
            raise ValueError(f"{name}: {problem}. {_FORMS}")
        reader.end()
    except (json.JSONDecodeError, RecursionError) as error:
        broken = isinstance(error, json.JSONDecodeError)
        place = error if broken else json.JSONDecodeError("", text, reader.at)
        reason = (
            f"{place.lineno}번째 줄 {place.colno}번째 글자에서 JSON 형식이 깨져 그 뒤를 읽지 못했습니다. "
        )
        yield Unreadable(reason + (_BROKEN if broken else _TOO_DEEP), text[reader.at :])
