"""Exercises of notebook 11: AUROC by hand, calibration by hand, the price of a right answer, a formula to execute."""

import re
from typing import Any

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises

ABOVE, BELOW = (
    (2.1, 0.4, -0.3),
    (0.9, -1.2),
)  # scores of questions with and without an answer, as in the notebook
_WINS = sum(a > b for a in ABOVE for b in BELOW)
_PAIRS = len(ABOVE) * len(BELOW)
_ACCURACY = (sum(a > 0 for a in ABOVE) + sum(b < 0 for b in BELOW)) / (len(ABOVE) + len(BELOW))
_YES, _NO = 0.6 / 0.75, 0.4 / 0.25
_EXTRA = 1000 * (900 - 300) / 1e6 * 2  # dollars more for 1,000 questions
_MORE = 1000 * (0.82 - 0.80)  # right answers more

number_exercises(
    {
        "11-auroc": {
            _WINS / _PAIRS: RIGHT,
            _ACCURACY: "문턱을 0에 두고 맞은 비율이에요. AUROC에는 문턱이 없어요. 짝을 지어 어느 쪽이 높은지만 세어 보세요.",
            _WINS: "이긴 짝의 수예요. 짝이 모두 몇 개인지로 나누어 주세요.",
            1 - _WINS / _PAIRS: "거꾸로예요. 답 없는 쪽이 높은 짝의 비율을 세었어요.",
            _WINS / (len(ABOVE) + len(BELOW)): "질문의 수로 나누었어요. 짝의 수는 3 × 2예요.",
            OTHER: "2.1은 0.9와 -1.2를 다 이겨요. 0.4와 -0.3은 무엇을 이기는지 세어, 모든 짝의 수로 나누어 보세요.",
        },
        "11-calibrate": {
            _YES / (_YES + _NO): RIGHT,
            _YES: "나누기까지는 맞았어요. 두 라벨의 값을 더하면 1이 되도록, 그 합으로 나누어 주세요.",
            _NO / (_YES + _NO): "그것은 '아니요'의 확률이에요.",
            0.6: "보정하기 전의 값이에요. 0.6을 내용 없을 때의 0.75로 나누는 데서 시작해 보세요.",
            0.6
            * 0.75
            / (0.6 * 0.75 + 0.4 * 0.25): "곱했어요. 버릇을 빼려면 내용 없을 때의 확률로 나누어야 해요.",
            0.6 - 0.75: "뺀 값이에요. 확률은 빼지 않고 나누어요. 로그 확률이라면 빼는 것이 맞아요.",
            0.75: "내용 없을 때의 값이에요. 0.6을 이 값으로 나누어 보세요.",
            OTHER: "'네'는 0.6 ÷ 0.75, '아니요'는 0.4 ÷ 0.25예요. 이 둘을 더해서 1이 되게 나누어 보세요.",
        },
        "11-cost": {
            _EXTRA / _MORE: RIGHT,
            _EXTRA: "질문 1,000개에 더 드는 돈이에요. 그 돈으로 더 맞힌 문제의 수로 나누어 주세요.",
            _MORE: "더 맞힌 문제의 수예요. 더 든 돈을 이 수로 나누어 주세요.",
            _MORE / _EXTRA: "거꾸로 나누었어요. 1달러로 더 맞히는 문제의 수예요.",
            1000
            * 900
            / 1e6
            * 2
            / _MORE: "B에 드는 돈 전부를 나누었어요. A보다 더 드는 만큼만 나누어 주세요.",
            _EXTRA
            / 1000: "질문 하나에 더 드는 돈이에요. 더 드는 600토큰의 값을, 더 맞히는 비율로 나누어 보세요.",
            OTHER: "더 드는 돈은 질문 1,000개 × 600토큰 ÷ 백만 × 2달러, 더 맞힌 것은 1,000 × 0.02문제예요.",
        },
    }
)


@exercise("11-formula")
def _formula(answer: Any) -> Hints:
    from src.generation.arithmetic import calculate

    yield not isinstance(answer, str), '계산한 값이 아니라 식을 따옴표 안에 적어 주세요. 예: "310 + 29"'
    yield "%" in answer, "%는 계산하지 못해요. 10%를 깎는 것은 0.9를 곱하는 것이에요."
    yield re.search("[가-힣A-Za-z]", answer), "단위와 말은 빼고 숫자와 + - * / ( )만 적어 주세요."
    try:
        value = calculate(answer)
    except ValueError as error:
        yield True, f"식을 계산하지 못했어요. {error}"
        return
    yield not re.search(r"\d\s*[-+*/×÷]", answer), "계산한 값이 아니라 식을 적어 주세요. 계산은 코드가 해요."
    yield (
        value == calculate("17,500 * 3 + 12,000 * 0.9"),
        "출장비만 깎였어요. 더한 것을 괄호로 묶은 뒤에 0.9를 곱해 주세요.",
    )
    yield value == 17_500 * 3 + 12_000, "깎기 전의 값이에요. 전체에 0.9를 곱해 주세요."
    yield (
        value == calculate("(17,500 * 3 + 12,000) * 0.1"),
        "깎아 주는 금액이에요. 내는 금액은 0.9를 곱한 것이에요.",
    )
    yield value == calculate("(17,500 + 12,000) * 0.9"), "부품이 3개예요. 17,500에 3을 곱해 주세요."
    yield value != 58_050, "부품값 3개와 출장비를 괄호로 묶어 더하고, 거기에 0.9를 곱해 보세요."
