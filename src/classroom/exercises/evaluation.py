"""Exercises of notebook 04: overlap by hand, fooling a metric, searching, intervals."""

import re
import unicodedata
from typing import Any

from src.classroom.exercises.registry import OTHER, RIGHT, Hints, exercise, number_exercises


@exercise("04-rouge-recall", number=True)
def _rouge_recall(answer: float) -> Hints:
    from src.scoring.rouge import compute_rouge

    reference, prediction = "필터는 흐르는 물로 헹구고 그늘에서 말립니다.", "필터는 물로 헹구고 말립니다."

    def is_(measure: str, tokenizer: str = "mecab") -> bool:
        score = compute_rouge([prediction], [reference], measure=measure, tokenizer=tokenizer)["rouge1"]
        return abs(answer - score) < 0.005

    yield is_("precision"), "답의 토큰 수로 나누면 정밀도예요. 재현율은 정답의 토큰 수로 나눠요."
    yield is_("fmeasure"), "F1을 구했어요. 겹친 토큰 수를 정답의 토큰 수로 나누기만 하면 돼요."
    yield is_("recall", "eojeol"), "띄어쓰기로 세었어요. 출력된 형태소 토큰으로 세어 보세요."
    yield answer > 1, "개수가 아니라 비율이에요. 겹친 토큰 수 / 정답의 토큰 수를 적어 주세요."
    otherwise = "겹친 토큰 수를 다시 세어 보세요. 마침표도 토큰 하나이고, 정답에 두 번 나온 토큰은 답에도 두 번 있어야 두 번 세요."
    yield not is_("recall"), otherwise


@exercise("04-fool-f1")
def _fool_f1(answer: Any) -> Hints:
    from src.scoring.correctness import answer_contained, compute_char_f1

    reference = "문맥에 따르면 17,500원입니다."
    yield not isinstance(answer, str), "답을 따옴표로 감싼 글로 적어 주세요."
    f1 = compute_char_f1([answer], [reference])["char_f1"]
    bare = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", answer))
    true = answer_contained(answer, reference) or "17500" in bare  # "1 7,500원", "원17,500": the right amount
    yield true, f"금액이 맞는 답이에요(글자 F1 {f1:.3f}). 금액이 틀려야 해요."
    yield f1 < 1, f"금액은 틀렸지만 글자 F1이 {f1:.3f}이에요. 글자를 더하거나 빼지 말고 순서만 바꿔 보세요."


RECIPROCALS, ALL = (
    1 / 1 + 1 / 3 + 1 / 2,
    4,
)  # of the ranks of three found among all questions, as in the prose
number_exercises(
    {
        "04-mrr": {
            RECIPROCALS / ALL: RIGHT,
            RECIPROCALS
            / 3: "찾은 질문의 수로 나누었어요. 찾지 못한 질문도 0점으로 넣어 모든 질문의 수로 나눠요.",
            6 / 3: "순위를 그대로 평균했어요. 순위의 역수(1위는 1, 2위는 절반)를 평균해 주세요.",
            6 / ALL: "순위를 그대로 평균했어요. 순위의 역수(1위는 1, 2위는 절반)를 평균해 주세요.",
            3 / ALL: "그것은 찾은 질문의 비율(recall)이에요. 몇 위로 찾았는지도 점수에 넣어야 해요.",
            RECIPROCALS: "역수를 더하기만 했어요. 질문의 수로 나눠 주세요.",
            OTHER: "질문마다 1 / 순위를 구하고, 찾지 못한 질문은 0으로 두고 평균해 보세요.",
        }
    }
)


@exercise("04-how-many", number=True)
def _how_many(answer: float) -> Hints:
    from scipy.stats import binomtest

    def low(n: int) -> float:
        return float(binomtest(round(0.7 * n), n).proportion_ci(method="wilson").low)

    right = next(n for n in range(10, 500, 10) if low(n) > 0.5)
    yield answer < 10 or answer % 10, "10문항 단위의 수(10, 20, 30, …)를 적어 주세요."
    yield answer > right, f"{answer}문항도 되지만 더 적은 수도 있어요. 하한이 0.5를 넘는 첫 수를 찾아보세요."
    yield answer < right, f"{answer}문항이면 하한이 {low(answer):.3f}이라 0.5 이하예요. 문항을 늘려 보세요."


@exercise("04-read-interval")
def _read_interval(answer: Any) -> Hints:
    right, words = ["차이 불확실", "나아짐", "나빠짐"], [str(word).strip() for word in answer]
    known = len(words) == len(right) and set(words) <= set(right)
    yield not known, f"{', '.join(right)} 가운데에서 골라 지표의 차례대로 {len(right)}개를 적어 주세요."
    yield words[2] != right[2], "마지막 지표에는 ↓가 붙어 있어요. 낮아야 좋은 지표가 어떻게 되었나요?"
    yield words[0] != right[0], "첫째 지표는 차이가 크지만 구간이 0을 품어요. 하한과 상한의 부호를 보세요."
    yield words != right, "둘째 지표는 차이가 작아도 구간 전체가 0의 한쪽에 있어요."
