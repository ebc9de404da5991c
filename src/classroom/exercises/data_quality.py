"""Exercises of notebook 02: near duplicates, grounding, the sequence length, precision and recall of a check."""

from typing import Any

from src.classroom.exercises.registry import Hints, exercise


@exercise("02-near", choices="ABCD")
def _near(chosen: set[str]) -> Hints:
    yield "C" in chosen, "C는 모델명이 서로 달라요. 답도 다를 테니 하나를 지우면 사실 하나를 잃어요."
    yield "D" in chosen, "D는 '켜고'와 '끄고'가 달라요. 글자는 비슷해도 뜻이 반대예요."
    yield "B" in chosen, "B는 뜻은 같지만 말이 달라요. 여러 말로 묻는 법을 가르치는 레코드는 남겨 두세요."
    yield chosen != {"A"}, "인사말만 다른 쌍을 찾아보세요."


@exercise("02-grounded", function="문서와 값을 받아 True나 False를")
def _grounded(grounded: Any) -> Hints:
    document = "소비 전력은 310W, 값은 1500원입니다. 보증 기간은 2 년입니다."
    yield not grounded(document, "310W"), "문서에 그대로 있는 '310W'를 찾지 못했어요."
    yield not grounded(document, "2년"), "문서에는 '2 년'이에요. 두 쪽 모두에서 공백을 없애고 견주어 보세요."
    yield grounded(document, "10W"), "'10W'가 '310W' 안에서 나왔어요. 앞에 숫자가 없을 때만 인정해 주세요."
    yield grounded(document, "150"), "'150'이 '1500' 안에서 나왔어요. 뒤에 숫자가 없는지도 봐야 해요."
    yield grounded(document, "1.00"), "값의 점(.)이 아무 글자로나 읽혔어요. 먼저 re.escape를 써 보세요."
    yield grounded(document, "450W"), "문서에 없는 '450W'를 찾았다고 했어요."


@exercise("02-seq-length", function="길이의 목록을 받아 수를")
def _seq_length(length: Any) -> Hints:
    chosen = length([100] * 99 + [500])  # one record of a hundred is long
    yield chosen == 512, "가장 긴 것까지 담았어요. 99%가 잘리지 않으면 되므로 드문 긴 것은 넘쳐도 괜찮아요."
    yield chosen == 64, "64로 내림하면 대부분이 잘려요. 64의 배수로 올림해 주세요."
    yield chosen in (100, 104), "64의 배수가 아니에요. 올림해서 64의 배수로 맞춰 주세요."
    yield chosen != 128, f"100토큰 99개와 500토큰 1개에서 128이 나와야 하는데 {chosen!r}이(가) 나왔어요."
    yield length([100] * 98 + [500] * 2) != 512, "긴 레코드가 둘이면 98%만 담겨요. 99% 이상을 담아야 해요."
    yield length([64] * 10) != 64, "길이가 꼭 64인 레코드는 64에 담겨요. 부등호(<=)를 확인해 주세요."


PRECISION_RECALL = {  # as returned -> what was divided
    (0.5, 0.4): "둘의 순서가 바뀌었어요. 정밀도는 찾은 것의 수로, 재현율은 심은 것의 수로 나눠요.",
    (40, 50): "퍼센트가 아니라 0과 1 사이의 비율로 돌려주세요.",
    (2, 2): "맞은 것의 개수예요. 정밀도는 찾은 것의 수로, 재현율은 심은 것의 수로 나눠 주세요.",
    (1.25, 0.8): "개수끼리만 나누었어요. 심은 것과 찾은 것에 모두 있는 것(&)이 분자예요.",
    (0.8, 1.25): "개수끼리만 나누었어요. 심은 것과 찾은 것에 모두 있는 것(&)이 분자예요.",
    (0.2857, 0.2857): "둘을 합친 것(|)으로 나누면 자카드 유사도예요. 두 값은 분모가 서로 달라요.",
}


@exercise("02-precision", function="두 집합을 받아 (정밀도, 재현율)을")
def _precision(measure: Any) -> Hints:
    result = measure({"가", "나", "다", "라"}, {"다", "라", "마", "바", "사"})
    pair = isinstance(result, tuple | list) and len(result) == 2
    yield not pair, f"값 두 개를 return 정밀도, 재현율 꼴로 돌려주세요. 지금은 {result!r}이(가) 나왔어요."
    yield None in result, "두 집합이 비어 있지 않으면 두 값을 모두 정할 수 있어요."
    values = tuple(round(float(value), 4) for value in result)
    otherwise = "심은 것 4개, 찾은 것 5개, 둘 다에 있는 것 2개에서 정밀도 0.4, 재현율 0.5가 나와야 해요."
    yield values != (0.4, 0.5), PRECISION_RECALL.get(values, otherwise)
    try:
        (precision, none), (zero, recall) = measure({"가"}, set()), measure(set(), {"가"})
    except ZeroDivisionError:
        yield True, "집합이 비면 0으로 나누게 돼요. 나눌 것이 0개인 값은 None으로 돌려주세요."
    yield precision is not None, "아무것도 찾지 않았으면 정밀도를 정할 수 없어요. None으로 돌려주세요."
    yield none is None, "심은 것이 있는데 아무것도 찾지 않았으면 재현율은 0이에요. None이 아니에요."
    yield recall is not None, "심은 것이 없으면 재현율을 정할 수 없어요. None으로 돌려주세요."
    yield zero != 0 or none != 0, "맞은 것이 0개이고 나눌 것이 있으면 0이에요. 정할 수 없을 때만 None이에요."
