"""Exercises of notebook 03: bits a weight, labels, the number of steps, reading a loss."""

from typing import Any

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises
from src.qlora.memory import CONSTANT_BLOCK, NF4_BLOCK


@exercise("03-labels")
def _labels(answer: Any) -> Hints:
    labels, right = list(answer), [-100, -100, -100, 21, 22, 2]
    yield labels == [*right[:5], -100], "EOS가 라벨에 없어요. 이러면 모델이 멈추는 법을 배우지 못해요."
    yield labels[:3] == [11, 12, 13], "질문까지 학습해요. 프롬프트 자리는 손실이 무시하는 값으로 바꿔 보세요."
    yield labels[:3] == [0, 0, 0], "0은 0번 토큰을 가르치는 라벨이에요. 무시하는 값은 training.IGNORE예요."
    yield len(labels) != 6, f"길이가 {len(labels)}예요. labels는 input_ids와 길이가 같아야 해요."
    hint = "한 칸 밀렸어요. 미는 일은 모델이 손실을 계산할 때 하므로 input_ids와 같은 자리에 두세요."
    yield labels[2:5] == [21, 22, 2], hint
    yield labels != right, "프롬프트 자리는 -100, 답과 EOS 자리는 input_ids와 같은 번호여야 해요."


SINGLE, DOUBLE = 4 + 32 / NF4_BLOCK, 4 + 8 / NF4_BLOCK
number_exercises(
    {
        "03-nf4-bits": {
            DOUBLE + 32 / (NF4_BLOCK * CONSTANT_BLOCK): RIGHT,
            4: "가중치만 세었어요. 블록마다 하나씩 있는 양자화 상수의 비트를 가중치 수로 나누어 더해 보세요.",
            SINGLE: "이중 양자화를 쓰지 않을 때의 값이에요. 블록의 상수가 32비트가 아니라 8비트라면 얼마일까요?",
            DOUBLE: f"거의 다 왔어요. 상수 {CONSTANT_BLOCK}개마다 붙는 32비트 상수가 남았어요.",
            OTHER: "4비트에, 상수의 비트 수를 그 상수를 나누어 쓰는 가중치의 수로 나눈 값을 더해 보세요.",
        },
        "03-steps": {
            189: RIGHT,
            **dict.fromkeys((188, 187, 186), "자투리도 한 번의 갱신이에요. 에폭마다 올려 보세요."),
            187.5: "갱신 횟수는 정수예요. 에폭마다 올림해 보세요.",
            750: "기울기를 모으는 것을 빠뜨렸어요. 네 번 모아 한 번 갱신해요.",
            63: "한 에폭의 횟수예요. 에폭은 모두 몇 번인가요?",
            3000: "레코드마다 한 번씩 갱신하지는 않아요. 배치 크기와 누적 횟수로 나누어 보세요.",
            OTHER: "레코드 수 ÷ (배치 크기 × 누적 횟수)를 올림한 뒤 에폭 수를 곱해 보세요.",
        },
    }
)

DIAGNOSES = {"가": "학습률이 작음", "나": "과적합", "다": "정상"}
DIAGNOSIS_HINTS = {
    ("가", "정상"): "가의 손실은 처음과 끝이 거의 같아요. 배운 것이 있을까요?",
    ("가", "학습률이 큼"): "학습률이 크면 손실이 튀어 올라요. 가의 손실은 움직이지 않아요.",
    ("나", "정상"): "나의 학습 손실만 보면 좋아 보여요. 검증 손실의 마지막 점을 보세요.",
    ("나", "학습률이 큼"): "학습 손실은 튀지 않고 0까지 내려갔어요. 검증 손실과 견주어 보세요.",
    ("다", "과적합"): "과적합이면 검증 손실이 다시 올라가요. 다의 검증 손실은 어떤가요?",
}


@exercise("03-diagnose")
def _diagnose(answer: Any) -> Hints:
    whole = isinstance(answer, dict) and answer.keys() == DIAGNOSES.keys()
    yield not whole, '{"가": …, "나": …, "다": …}처럼 세 사람 모두의 답을 적어 주세요.'
    choices = {*DIAGNOSES.values(), "학습률이 큼"}
    unknown = ", ".join(sorted({str(value) for value in answer.values()} - choices))
    yield unknown, f"{unknown}은(는) 보기에 없어요. {', '.join(sorted(choices))} 가운데에서 골라 주세요."
    for name, right in DIAGNOSES.items():
        otherwise = f"{name}의 두 선이 어디에서 시작해 어디로 가는지 다시 보세요."
        yield answer[name] != right, DIAGNOSIS_HINTS.get((name, answer[name]), otherwise)
