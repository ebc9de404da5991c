"""Exercises of elective 10: patients and F1, a threshold, what must stay on one side of a split."""

from typing import Any

import numpy as np

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises

number_exercises(
    {
        "10-everyone-ill": {
            2 * 0.1 * 1 / (0.1 + 1): RIGHT,
            (0.1 + 1) / 2: "산술 평균이에요. 조화 평균은 2 × 정밀도 × 재현율 / (정밀도 + 재현율)이에요.",
            0.1: "그것은 정밀도예요. 재현율과 함께 조화 평균을 구해 주세요.",
            1.0: "그것은 재현율이에요. 정밀도와 함께 조화 평균을 구해 주세요.",
            0.1 * 1 / (0.1 + 1): "분자에 2를 곱하는 것을 잊었어요.",
            np.sqrt(0.1): "기하 평균이에요. 조화 평균은 2 × 정밀도 × 재현율 / (정밀도 + 재현율)이에요.",
            OTHER: "환자라고 한 사람은 모두 몇 명이고, 그 가운데 환자는 몇 명인지부터 세어 보세요.",
        }
    }
)


@exercise("10-ten-ill", choices="ABCD")
def _ten_ill(chosen: set[str]) -> Hints:
    yield "A" in chosen, "정확도는 이 모델을 칭찬해요. 건강한 사람이 거의 전부라 아무도 찾지 않아도 높거든요."
    yield "B" not in chosen, "환자 가운데 찾은 사람이 몇 명인지 세는 지표가 빠졌어요."
    yield "C" not in chosen, "찾은 환자가 없으면 정밀도와 재현율의 조화 평균은 얼마인가요?"
    yield "D" not in chosen, "모두에게 같은 점수를 주면 환자를 위로 올리지 못해요. 그때 AUROC는 얼마인가요?"
    yield chosen != {"B", "C", "D"}, "하나씩 값을 구해 보세요. 아무것도 모르는 모델의 값이면 드러낸 거예요."


def _cases() -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels and probabilities, some of them shared."""
    draw = np.random.default_rng(0)
    found = [(np.array([1, 0, 1, 1, 0]), np.array([0.9, 0.8, 0.7, 0.2, 0.1]))]
    for count in (10, 40):
        labels = np.arange(count) % 3 == 0
        found.append((labels.astype(int), np.round(np.clip(draw.normal(0.4 + 0.3 * labels, 0.2), 0, 1), 1)))
    return found


@exercise("10-threshold", function="라벨의 배열과 확률의 배열을 받아 문턱 하나를")
def _threshold(answer: Any) -> Hints:
    for labels, probabilities in _cases():
        given = float(answer(labels.copy(), probabilities.copy()))
        best = max(t for t in set(probabilities) if (probabilities[labels == 1] >= t).mean() >= 0.9)
        recall = (probabilities[labels == 1] >= given).mean()
        shown = f"라벨 {labels[:5].tolist()}…, 확률 {probabilities[:5].tolist()}…에서"
        yield recall < 0.9, f"{shown} 문턱 {given:g}의 재현율은 {recall:.2f}이에요. 더 낮춰야 해요."
        more = (probabilities >= given).sum() > (probabilities >= best).sum()
        yield more, f"{shown} 문턱 {given:g}보다 높여도 재현율 0.9를 지켜요. 더 높은 문턱을 찾아보세요."


@exercise("10-same-side", choices="BCDE")
def _same_side(chosen: set[str]) -> Hints:
    yield "E" in chosen, "E는 다른 제품의 문서와 다른 제품의 물음이에요. 시험에 나와도 새는 것이 없어요."
    yield "B" not in chosen, "B는 가설이 A와 글자까지 같아요. 라벨만 다른 형제를 학습에서 보게 돼요."
    yield "C" not in chosen, "C는 전제가 A와 같아요. 시험에 나올 문서를 학습에서 읽게 돼요."
    yield "D" not in chosen, "D도 같은 제품의 문서예요. 같은 값이 다시 나올 수 있어요."
