"""Where exercises are registered, and how an answer is checked."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from numbers import Integral
from typing import Any

from src.classroom.progress import record

# (is it this mistake?, its hint in Korean), in the order in which they are told; none holds: the answer is right.
Hints = Iterator[tuple[Any, str]]
Mistakes = Callable[[Any], Hints]
Registers = Callable[[Mistakes], Mistakes]
RIGHT, OTHER = "", math.nan  # in a table of numbers: nothing to hint at; the key that equals no number
EXERCISES: dict[str, Mistakes] = {}
NUMERIC: set[str] = set()  # the exercises whose check gets a finite int or float, whatever the learner wrote


def exercise(name: str, *, number: bool = False, function: str = "", choices: str = "") -> Registers:
    """Register the mistakes of the exercise ``name`` (notebook number, dash, topic: ``01-golden-count``).

    Args:
        number: the answer is a number.
        function: the answer is a function; says in Korean what it takes and gives.
        choices: the answer is some of these letters, a list or one text such as "A, E"; its check gets their set.
    """

    def register(mistakes: Mistakes) -> Mistakes:
        def of_its_form(answer: Any) -> Hints:
            if function:
                hint = f"{function} 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
                yield not callable(answer), hint
            if choices:
                listed = re.findall(r"\w", answer) if isinstance(answer, str) else answer
                answer = {str(letter).strip().upper() for letter in listed}
                unknown = ", ".join(sorted(answer - set(choices)))
                yield unknown, f"보기는 {', '.join(choices)}예요. {unknown}은(는) 없어요."
            yield from mistakes(answer)

        EXERCISES[name] = of_its_form
        if number:
            NUMERIC.add(name)
        return mistakes

    return register


def number_exercises(tables: Mapping[str, Mapping[float, str]]) -> None:
    """Register exercises whose answer is a number: name -> value -> its hint, ``RIGHT`` beside the right value, and
    the hint for any ``OTHER`` one. An answer is the nearest value, where that is nearer than 0.002: rounding is fine."""

    def mistakes(table: Mapping[float, str], answer: float) -> Hints:
        far, value = min((abs(answer - value), value) for value in table if not math.isnan(value))
        hint = table[value if far < 0.002 else OTHER]
        yield hint != RIGHT, hint

    for name, table in tables.items():
        exercise(name, number=True)(partial(mistakes, table))


def hint_for(name: str, answer: Any) -> str | None:
    """``None`` when ``answer`` is right, else the hint."""
    if name in NUMERIC and (answer := as_number(answer)) is None:
        return "답을 숫자 하나로 적어 주세요. 따옴표 없이 20, 0.75, 3 / 4처럼 쓰면 돼요."
    try:
        return next((hint for mistaken, hint in EXERCISES[name](answer) if mistaken), None)
    except Exception as error:  # an answer of any type may arrive here; a wrong type is a mistake like others
        told = f"({type(error).__name__}: {error})"
        if callable(answer):
            return f"넣은 함수가 오류를 내거나 알맞은 값을 돌려주지 않았어요{told}. 작은 예로 함수를 직접 불러 보고 고쳐 주세요."
        return f"답의 형식이 문제와 달라요{told}. 문제의 예처럼 글은 따옴표, 목록은 [ ], 번호가 붙은 답은 {{ }}로 감싸 주세요."


def as_number(answer: Any) -> int | float | None:
    """A finite number as int where it is whole, else as float: from Python, NumPy or a text such as "10/14"."""
    if isinstance(answer, Integral):
        return int(answer)
    try:
        if isinstance(answer, str):
            top, *bottom = answer.replace(",", "").split("/")
            value = float(top) / math.prod(map(float, bottom))
        else:
            value = float(answer)
        return int(value) if int(value) == value else value  # int refuses what is not finite
    except (TypeError, ValueError, ArithmeticError):
        return None


def check(name: str, answer: Any) -> None:
    """Print what to make of ``answer`` and log the attempt; ``None`` means: not tried yet."""
    if answer is None:
        print(f"✏️ 실습 {name}: 아직 비어 있어요. None을 자신의 답으로 바꾸고 셀을 다시 실행해 보세요.")
        return
    hint = hint_for(name, answer)
    record(name, right=hint is None)
    print(f"✅ 실습 {name}: 맞았어요!" if hint is None else f"💡 실습 {name}: {hint}")
