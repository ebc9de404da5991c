"""Exercises of notebook 00: LoRA, quantization, the training's options, and the quiz at its end."""

from typing import Any

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises

D, K, R = 14336, 4096, 16  # as in the notebook's prose
WHOLE, B_ALONE, A_ALONE, PRODUCT, BOTH = D * K, D * R, R * K, R * D * K, R * (D + K)
number_exercises(
    {
        "00-lora-count": {
            BOTH: RIGHT,
            WHOLE: "그것은 전체 파인튜닝의 개수입니다. LoRA는 B(d × r)와 A(r × k)만 학습합니다.",
            B_ALONE: "B의 개수입니다. A(r × k)도 더해 주세요.",
            A_ALONE: "A의 개수입니다. B(d × r)도 더해 주세요.",
            PRODUCT: "B와 A는 따로 저장합니다. 곱하지 말고 두 행렬의 크기를 더해 주세요.",
            65_536: "앞의 예(d=k=4096, r=8)의 답입니다. 이번에는 d=14336, r=16입니다.",
            OTHER: "B는 d × r, A는 r × k입니다. 두 개수를 더해 주세요.",
        },
        "00-alpha": {
            128: RIGHT,
            32: "alpha를 그대로 두면 alpha / r이 작아집니다. 처음의 alpha / r은 32 / 16입니다.",
            2: "그것은 alpha / r의 값입니다. r=64일 때 이 값이 되는 alpha를 구해 주세요.",
            64: "alpha = r이면 alpha / r은 1입니다. 처음 값은 32 / 16입니다.",
            8: "방향이 반대입니다. r이 커지면 alpha도 커져야 비율이 그대로입니다.",
            OTHER: "32 / 16과 alpha / 64가 같아지는 alpha를 구해 주세요.",
        },
        "00-bits": {
            4.25: RIGHT,
            4: "블록마다 하나씩 있는 32비트 상수도 저장해야 합니다.",
            0.25: "그것은 상수의 몫입니다. 가중치 자신의 4비트를 더해 주세요.",
            4.5: "블록이 64일 때의 값입니다. 블록이 128이면 상수를 128개가 나누어 갖습니다.",
            36: "32비트 상수는 가중치마다가 아니라 블록마다 하나입니다.",
            OTHER: "4비트 + (32비트 ÷ 블록 크기)를 계산해 주세요.",
        },
        "00-accumulation": {
            16: RIGHT,
            4: "배치만 줄이고 누적을 그대로 두면, 갱신 한 번에 쓰는 문제가 4분의 1이 됩니다.",
            1: "배치 1 × 누적 1이면 문제 하나로 한 번 갱신합니다. 처음에는 몇 문제였나요?",
            8: "배치가 반이 아니라 4분의 1이 되었습니다. 배치 × 누적을 처음과 견주어 보세요.",
            OTHER: "배치 × 누적이 4 × 4와 같아지는 누적을 구해 주세요.",
        },
    }
)


@exercise("00-rank", function="특이값 배열과 허용 오차를 받아 r을")
def _rank(rank: Any) -> Hints:
    import numpy as np

    s = np.array([4.0, 3.0])  # cut to r = 0, 1, 2, the relative error is 1, 0.6, 0
    half = rank(s, 0.5)
    hint = "[4, 3]을 r=1로 자르면 3이 남고 전체의 크기는 5라서 오차가 0.6이에요. 0.5를 넘으니 더 큰 r이 필요해요. "
    yield half == 1, hint + "제곱을 더한 뒤 제곱근을 씌웠는지 확인해 보세요."
    yield half != 2, f"[4, 3]과 0.5에서 2가 나와야 하는데 {half!r}이(가) 나왔어요."
    yield rank(s, 1.0) != 0, "오차를 100%까지 허용하면 r=0으로 충분해요. r을 0부터 찾아 보세요."
    yield rank(s, 0.6) != 1, "r=1의 오차가 꼭 0.6이에요. '이하'이므로 같을 때도 인정해 주세요."
    yield rank(s, 0.0) != 2, "오차를 허용하지 않으면 특이값을 모두 남겨야 해요. r을 len(s)까지 찾아 보세요."


QUIZ = {1: "가", 2: "다", 3: "나", 4: "나", 5: "가", 6: "다", 7: "나"}
QUIZ_HINTS = {
    (1, "나"): "A는 무작위이지만 B는 무엇에서 시작했나요? 2.2절의 코드를 봐 주세요.",
    (1, "다"): "0인 것은 어댑터가 더하는 몫입니다. 얼려 둔 W의 출력은 그대로 있습니다.",
    (2, "가"): "곱해지는 것은 alpha가 아니라 alpha / r입니다.",
    (2, "나"): "alpha / r에서 r은 분모에 있습니다.",
    (3, "가"): "3.4절의 출력에서 가중치의 비트는 그대로였습니다. 줄어든 것은 무엇인가요?",
    (3, "다"): "어댑터는 학습해야 하므로 양자화하지 않습니다.",
    (4, "가"): "4.5절의 표에서 QLoRA의 토큰/초가 어느 쪽이었는지 봐 주세요.",
    (4, "다"): "4비트는 W를 반올림한 것입니다. 더 정확해질 까닭이 있을까요?",
    (5, "나"): "길이를 줄이면 긴 문제가 빠집니다. 배우는 내용이 달라집니다.",
    (5, "다"): "모델이 달라지면 결과도 달라집니다. 4.2절에서 가장 먼저 바꾼 것은 무엇인가요?",
    (6, "가"): "PEFT는 이름이 하나도 맞지 않을 때만 오류를 냅니다.",
    (6, "나"): "5.2절에서 슬라이드의 설정이 붙은 곳이 몇 개였는지 세어 보세요.",
    (7, "가"): "모델이 프롬프트를 못 본다면 질문에 답할 수 없습니다.",
    (7, "다"): "7.3절의 그림에서 회색 부분도 자리를 차지하고 있습니다.",
}


@exercise("00-quiz")
def _quiz(answer: dict[int, str]) -> Hints:
    missing = sorted(QUIZ.keys() - answer.keys())
    yield missing, f"{', '.join(map(str, missing))}번의 답이 없습니다."
    wrong = [number for number, choice in QUIZ.items() if answer[number] != choice]
    unknown = "가, 나, 다 가운데 하나를 적어 주세요."
    lines = [f"{number}번: {QUIZ_HINTS.get((number, answer[number]), unknown)}" for number in wrong]
    yield wrong, "\n   ".join([f"{len(QUIZ)}개 가운데 {len(QUIZ) - len(wrong)}개 맞았습니다.", *lines])
