"""Exercises of elective 13: the calls of map-reduce, pieces that overlap."""

from itertools import pairwise
from typing import Any

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises

number_exercises(
    {
        "13-calls": {
            24 // 4 + 1: RIGHT,
            24 // 4: "조각마다 물은 것까지는 맞았어요. 서로 다른 답을 모아 다시 물은 것도 세어 주세요.",
            24 // 4 + 2: "답이 든 문서 둘은 한 프롬프트에 모았어요. 다시 물은 것은 한 번이에요.",
            24: "문서마다 묻지 않고 조각마다 물어요. 한 조각에 네 문서가 들어 있어요.",
            24 + 1: "문서마다 묻지 않고 조각마다 물어요. 한 조각에 네 문서가 들어 있어요.",
            1: "그것은 전부 넣기나 찾아서 넣기의 호출이에요. 나누어 묻기는 조각의 수만큼 물어요.",
            OTHER: "조각은 24 ÷ 4개예요. 조각마다 한 번씩 묻고, 모아서 다시 물은 것을 더해 보세요.",
        }
    }
)


def _cut(sentences: list[str], count: int, overlap: int) -> list[list[str]]:
    pieces, start = [], 0
    while True:
        pieces.append(sentences[start : start + count])
        if start + count >= len(sentences):
            return pieces
        start += count - overlap


@exercise("13-overlap", function="문장의 목록, 조각의 문장 수, 겹칠 문장 수를 받아 조각의 목록을")
def _overlap(answer: Any) -> Hints:
    for size, count, overlap in ((7, 3, 1), (6, 3, 0), (6, 4, 2), (2, 3, 1), (8, 3, 2)):
        sentences = [f"{number}." for number in range(1, size + 1)]
        given = answer(list(sentences), count, overlap)
        asked = f"문장 {size}개, 조각 {count}문장, 겹침 {overlap}문장에서"
        shaped = isinstance(given, list) and all(isinstance(piece, list) for piece in given)
        yield not shaped, "조각의 목록을 돌려주세요. 조각 하나하나도 문장의 목록이에요."
        longest = max(map(len, given), default=0)
        yield longest > count, f"{asked} 한 조각에 문장이 {longest}개 들어갔어요."
        lost = [sentence for sentence in sentences if not any(sentence in piece for piece in given)]
        yield lost, f"{asked} 어느 조각에도 없는 문장이 있어요: {', '.join(lost)}"
        right = _cut(sentences, count, overlap)
        spare = len(given) > len(right) and given[: len(right)] == right
        yield spare, f"{asked} 마지막 문장까지 담은 뒤에도 조각을 더 만들었어요."
        begin = overlap and any(a[-overlap:] != b[:overlap] for a, b in pairwise(given))
        yield (
            begin,
            f"{asked} 다음 조각이 앞 조각의 끝 {overlap}문장으로 시작하지 않아요. 얼마나 뒤에서 시작해야 할까요?",
        )
        yield given != right, f"{asked} {right}이어야 하는데 {given}이에요."
