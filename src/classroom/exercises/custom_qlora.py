"""Exercises of notebook 05: what a mask misses, which runs can be compared, how to choose one, what to ask before
shipping."""

from typing import Any

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises


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


@exercise("05-feedback", choices="ABCDE")
def _feedback(chosen: set[str]) -> Hints:
    yield "B" in chosen, "B의 21일은 문서에 없어요. 여러 사람이 눌러도 근거가 생기지는 않아요."
    yield "C" in chosen, "C는 맞는 답이지만 시험 데이터의 문서예요. 학습하면 시험이 새요."
    yield "E" in chosen, "E는 답이 없다는 답이에요. 정말 문서에 없는지는 사람이 읽어야 알 수 있어요."
    yield (
        "D" not in chosen and "A" in chosen,
        "하나 더 있어요. 👎라도 고친 답이 있고 그 답이 문서에 있으면 쓸 수 있어요.",
    )
    yield (
        chosen != {"A", "D"},
        "문서에 근거가 있는지, 시험 데이터가 아닌지 하나씩 따져 보세요. 예: ['A', 'B']",
    )


number_exercises(
    {
        "05-false-alarms": {
            52 * 0.05: RIGHT,
            0.05: "그것은 한 번 볼 때의 비율이에요. 한 해에 몇 번 보는지 곱해 보세요.",
            5: "5%는 100번에 5번이에요. 52번이면 그보다 적어요.",
            52: "52번은 보는 횟수예요. 그 가운데 잘못 울리는 비율을 곱해 보세요.",
            12 * 0.05: "달마다 볼 때의 답이에요. 주마다 보면 더 자주 봐요.",
            OTHER: "보는 횟수 × 한 번에 잘못 울리는 비율이에요.",
        },
        "05-spot": {
            0.8 * 1.5: RIGHT,
            0.8: "시간이 늘지 않았다면 맞아요. 끊겨서 1.5배 걸린 것도 곱해 보세요.",
            1.5: "시간만 늘었네요. 한 시간의 값이 싼 것도 곱해 보세요.",
            0.8 / 1.5: "나누지 말고 곱해 보세요. 오래 걸리면 더 비싸져요.",
            0.3: "빼지 말고 곱해 보세요. 0에 가까울 만큼 싸지지는 않아요.",
            OTHER: "비용 = 시간 × 한 시간의 값이에요. 두 비율을 곱해 보세요.",
        },
    }
)
