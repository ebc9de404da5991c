"""Exercises of elective 12: a threshold, what confident learning finds, whose fault it is, votes as shares."""

from typing import Any

import numpy as np

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises

number_exercises(
    {
        "12-threshold": {
            (0.9 + 0.4 + 0.8) / 3: RIGHT,
            3.6 / 6: "모든 행의 평균이에요. '답 있음'이라는 라벨이 붙은 행만 평균해 주세요.",
            (0.9 + 0.8)
            / 2: "모델이 동의한 행만 평균했어요. 라벨이 '답 있음'인 행은 틀려 보이는 것도 넣어요.",
            0.5: "절반도, '답 없음'이 붙은 행의 평균도 아니에요. '답 있음'이 붙은 행들의 평균 확률이에요.",
            0.9 + 0.4 + 0.8: "더하기만 했어요. 행의 수로 나누어 주세요.",
            OTHER: "라벨이 '답 있음'인 행을 고르고, 그 행들의 '답 있음' 확률을 평균해 주세요.",
        }
    }
)


@exercise("12-found", choices="ABCDEF")
def _found(chosen: set[str]) -> Hints:
    calm = ", ".join(sorted(chosen & set("AEF")))
    yield calm, f"{calm}에서는 라벨과 모델의 생각이 같아요. 다른 라벨의 문턱에는 닿지 못해요."
    yield "C" in chosen, "C에서 모델은 라벨과 다른 쪽으로 조금 기울었을 뿐이에요. 그 라벨의 문턱에 닿나요?"
    yield (
        "B" not in chosen,
        "B의 라벨은 답 있음인데 답 없음의 확률이 얼마인가요? 답 없음의 문턱과 견주어 보세요.",
    )
    yield (
        "D" not in chosen,
        "D의 라벨은 답 없음인데 답 있음의 확률이 얼마인가요? 답 있음의 문턱과 견주어 보세요.",
    )


@exercise("12-whose-fault", choices="ABCD")
def _fault(chosen: set[str]) -> Hints:
    yield (
        "B" in chosen,
        "B처럼 한 모양에 몰려 있으면 사람이 거기서만 틀렸거나 모델이 그 모양을 못 읽는 거예요. 눈이 다른 규칙이 라벨 편이니 모델부터 의심해요.",
    )
    yield "D" in chosen, "D는 모델이 망설이고 있어요. 망설임은 증거가 아니라 사람에게 물을 까닭이에요."
    yield (
        "A" not in chosen,
        "A는 서로 다른 베이스에서 나온 두 판단이 함께 라벨과 달라요. 무엇을 더 의심해야 할까요?",
    )
    yield "C" not in chosen, "C에서는 사람 둘이 라벨을 보지 않고 읽었는데 둘 다 다른 라벨을 적었어요."


@exercise("12-shares", function="표의 배열(행 × 사람)과 라벨의 수를 받아 몫의 배열(행 × 라벨)을")
def _shares(answer: Any) -> Hints:
    for votes in (np.array([[0, 0, 2], [1, 1, 1]]), np.random.default_rng(0).integers(0, 3, (6, 5))):
        given = np.asarray(answer(votes.copy(), 3), dtype=float)
        right = np.stack([(votes == label).mean(axis=1) for label in range(3)], axis=1)
        shown = f"표 {votes[0].tolist()}에서"
        shape = f"{given.shape[0]}행 {given.shape[1]}칸" if given.ndim == 2 else f"{given.ndim}차원"
        yield given.shape != right.shape, f"행마다 라벨마다 한 칸이어야 해요. 지금은 {shape}이에요."
        counted = np.allclose(given, right * votes.shape[1])
        yield counted, "센 수 그대로예요. 사람의 수로 나누어 더해서 1이 되게 해 주세요."
        hard = np.allclose(given, np.eye(3)[right.argmax(axis=1)])
        yield (
            hard and not np.allclose(given, right),
            "다수결로 하나만 골랐어요. 갈린 표를 버리지 말고 몫으로 남겨 주세요.",
        )
        yield (
            not np.allclose(given, right),
            f"{shown} {given[0].round(2).tolist()}이 나왔어요. {right[0].round(2).tolist()}이어야 해요.",
        )
