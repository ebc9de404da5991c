"""Exercises of notebook 05: what a mask misses, which runs can be compared, how to choose one."""

from typing import Any

from src.classroom.exercises.registry import Hints, exercise


@exercise("05-personal")
def _personal(answer: Any) -> Hints:
    text = str(answer).replace(" ", "")
    if any(word in text for word in ("이름", "성명", "실명", "김사서")):
        return
    left = "출력에서 가려지지 않고 남은 것을 다시 보세요."
    yield "전화" in text or "010" in text, f"전화번호는 형식이 정해져 있어서 찾아요. {left}"
    yield "메일" in text or "@" in text, f"이메일은 @가 있어서 찾아요. {left}"
    yield True, "출력에서 가려지지 않은 부분 가운데 한 사람을 가리키는 것은 무엇인가요?"


@exercise("05-one-change", choices="ABCD")
def _one_change(chosen: set[str]) -> Hints:
    yield "B" in chosen, "B는 학습률뿐 아니라 r도 달라요. 결과가 달라져도 어느 쪽 때문인지 알 수 없어요."
    yield "D" in chosen, "D는 데이터도 달라졌어요. 데이터가 다르면 학습률의 효과라고 말할 수 없어요."
    yield len(chosen) == 1, "하나 더 있어요. 기준 실행과 학습률만 다른 실행을 모두 골라 보세요."
    yield chosen != {"A", "C"}, "기준 실행과 한 줄씩 견주어, 학습률만 다른 것을 골라 보세요. 예: ['A', 'B']"


@exercise("05-choose", choices="ABC")
def _choose(chosen: set[str]) -> Hints:
    yield len(chosen) != 1, "A, B, C 가운데 글자 하나로 적어 주세요."
    yield "C" in chosen, "시험 점수가 가장 높은 것을 골랐어요. 시험 점수로 고르면 그 점수는 공정하지 않아요."
    yield "A" in chosen, "A는 어느 기준으로도 가장 좋지 않아요. 무엇을 보고 고르는지 먼저 정해 보세요."
