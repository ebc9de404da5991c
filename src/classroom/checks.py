"""Exercises that answer back: right, a hint for a typical mistake, or still empty. They never stop a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# name -> function that returns None when the answer is right, else a hint in Korean.
EXERCISES: dict[str, Callable[[Any], str | None]] = {}


def exercise(name: str) -> Callable[[Callable[[Any], str | None]], Callable[[Any], str | None]]:
    """Register the check of the exercise ``name`` (notebook number, dash, topic: ``01-golden-count``)."""

    def register(function: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        EXERCISES[name] = function
        return function

    return register


def check(name: str, answer: Any) -> bool:
    """Print what to make of ``answer``; True when it is right. ``None`` means: not tried yet."""
    if answer is None:
        print(f"✏️ 실습 {name}: 아직 비어 있어요. None을 자신의 답으로 바꾸고 셀을 다시 실행해 보세요.")
        return False
    try:
        hint = EXERCISES[name](answer)
    except Exception as error:  # an answer of any type may arrive here; a wrong type is a mistake like others
        hint = f"답의 형식을 확인해 주세요({type(error).__name__}: {error})."
    print(f"✅ 실습 {name}: 맞았어요!" if hint is None else f"💡 실습 {name}: {hint}")
    return hint is None
