"""Exercises that answer back: right, a hint for a typical mistake, or still empty. They never stop a notebook."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from numbers import Integral
from typing import Any

from src.classroom.progress import record

# name -> function that returns None when the answer is right, else a hint in Korean.
EXERCISES: dict[str, Callable[[Any], str | None]] = {}
NUMERIC: set[str] = set()  # the exercises whose check gets a finite int or float, whatever the learner wrote


def exercise(
    name: str, *, number: bool = False
) -> Callable[[Callable[[Any], str | None]], Callable[[Any], str | None]]:
    """Register the check of the exercise ``name`` (notebook number, dash, topic: ``01-golden-count``)."""

    def register(function: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        EXERCISES[name] = function
        if number:
            NUMERIC.add(name)
        return function

    return register


def hint_for(name: str, answer: Any) -> str | None:
    """``None`` when ``answer`` is right, else the hint."""
    if name in NUMERIC and (answer := as_number(answer)) is None:
        return "답을 숫자 하나로 적어 주세요. 따옴표 없이 20, 0.75, 3 / 4처럼 쓰면 돼요."
    try:
        return EXERCISES[name](answer)
    except Exception as error:  # an answer of any type may arrive here; a wrong type is a mistake like others
        told = f"({type(error).__name__}: {error})"
        if callable(answer):
            return f"넣은 함수가 오류를 내거나 알맞은 값을 돌려주지 않았어요{told}. 작은 예로 함수를 직접 불러 보고 고쳐 주세요."
        return f"답의 형식이 문제와 달라요{told}. 문제의 예처럼 글은 따옴표, 목록은 [ ], 번호가 붙은 답은 {{ }}로 감싸 주세요."


def as_number(answer: Any) -> int | float | None:
    """A finite number as int where it is whole, else as float: from Python, NumPy or a text such as "10/14"."""
    if isinstance(answer, Integral):
        return int(answer)
    try:
        if isinstance(answer, str):
            top, *bottom = answer.replace(",", "").split("/")
            value = float(top) / math.prod(map(float, bottom))
        else:
            value = float(answer)
    except (TypeError, ValueError, ArithmeticError):
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value


def _letters(answer: Any) -> set[str]:
    """The letters chosen, from a list of them or from one text such as "A, E"."""
    if isinstance(answer, str):
        answer = re.findall(r"\w", answer)
    return {str(letter).strip().upper() for letter in answer}


def check(name: str, answer: Any) -> None:
    """Print what to make of ``answer`` and log the attempt; ``None`` means: not tried yet."""
    if answer is None:
        print(f"✏️ 실습 {name}: 아직 비어 있어요. None을 자신의 답으로 바꾸고 셀을 다시 실행해 보세요.")
        return
    hint = hint_for(name, answer)
    record(name, right=hint is None)
    print(f"✅ 실습 {name}: 맞았어요!" if hint is None else f"💡 실습 {name}: {hint}")


# --- 00.01 ----------------------------------------------------------------------------------------------------


@exercise("00.01-rows", number=True)
def _rows(answer: int) -> str | None:
    from src.data.reading import load_samples
    from src.profiles import ROOT, active_profile

    counts = [len(load_samples(ROOT / name)) for name in active_profile().data_files]
    if answer == sum(counts):
        return None
    if answer in counts:
        return "한 파일의 행만 세었습니다. 세 파일을 모두 더해 주세요."
    if answer == sum(counts) + 1:
        return "하나가 많습니다. CSV의 첫 줄은 머리글이라 행이 아닙니다."
    return "len(samples)를 출력해 보세요. samples에는 세 파일의 모든 행이 들어 있습니다."


@exercise("00.01-licence")
def _licence(answer: list[str]) -> str | None:
    from src.qlora.registry import MODELS

    free = {key for key, spec in MODELS.items() if spec.licence == "Apache-2.0"}
    chosen = {answer} if isinstance(answer, str) else set(answer)
    if unknown := chosen - MODELS.keys():
        return f"{', '.join(sorted(map(str, unknown)))}은(는) 목록에 없습니다. list(MODELS)에 나온 이름으로 적어 주세요."
    if wrong := chosen - free:
        return f"{', '.join(sorted(wrong))}은(는) 상업적 이용이 안 됩니다. 라이선스의 NC가 무슨 뜻인지 확인해 주세요."
    return None if chosen == free else "더 있습니다. 라이선스가 같은 모델을 모두 골라 주세요."


# --- 03 --------------------------------------------------------------------------------------------------------


@exercise("03-nf4-bits", number=True)
def _nf4_bits(answer: float) -> str | None:
    from src.qlora.memory import CONSTANT_BLOCK, NF4_BLOCK

    value, single = answer, 4 + 32 / NF4_BLOCK
    right = 4 + 8 / NF4_BLOCK + 32 / (NF4_BLOCK * CONSTANT_BLOCK)
    if abs(value - right) < 0.0015:
        return None
    if value == 4:
        return "가중치만 세었어요. 블록마다 하나씩 있는 양자화 상수의 비트를 가중치 수로 나누어 더해 보세요."
    if abs(value - single) < 1e-6:
        return "이중 양자화를 쓰지 않을 때의 값이에요. 블록의 상수가 32비트가 아니라 8비트라면 얼마일까요?"
    if abs(value - (4 + 8 / NF4_BLOCK)) < 1e-6:
        return f"거의 다 왔어요. 상수 {CONSTANT_BLOCK}개마다 붙는 32비트 상수가 남았어요."
    return "4비트에, 상수의 비트 수를 그 상수를 나누어 쓰는 가중치의 수로 나눈 값을 더해 보세요."


@exercise("03-labels")
def _labels(answer: Any) -> str | None:
    labels = list(answer)
    if labels == [-100, -100, -100, 21, 22, 2]:
        return None
    if labels == [-100, -100, -100, 21, 22, -100]:
        return "EOS가 라벨에 없어요. 이렇게 학습하면 모델이 멈추는 법을 배우지 못해요."
    if labels == [11, 12, 13, 21, 22, 2]:
        return "질문까지 모두 학습하는 라벨이에요. 프롬프트 자리는 손실이 무시하는 값으로 바꿔 보세요."
    if labels[:3] == [0, 0, 0]:
        return "0은 0번 토큰을 가르치라는 뜻이에요. 손실이 무시하는 값은 training.IGNORE예요."
    if len(labels) != 6:
        return f"길이가 {len(labels)}예요. labels는 input_ids와 길이가 같아야 해요."
    if labels[2:5] == [21, 22, 2]:
        return "한 칸 밀렸어요. 미는 일은 모델이 손실을 계산할 때 하므로 input_ids와 같은 자리에 두세요."
    return "프롬프트 자리는 -100, 답과 EOS 자리는 input_ids와 같은 번호여야 해요."


@exercise("03-steps", number=True)
def _steps(answer: float) -> str | None:
    hints = {
        188: "에폭마다 남는 자투리도 한 번의 갱신이에요. 나눗셈의 올림을 에폭마다 해 보세요.",
        187: "에폭마다 남는 자투리도 한 번의 갱신이에요. 버리지 말고 올려 보세요.",
        186: "에폭마다 남는 자투리를 버렸어요. 내림이 아니라 올림이에요.",
        187.5: "갱신 횟수는 정수예요. 에폭마다 올림해 보세요.",
        750: "기울기를 모으는 것을 빠뜨렸어요. 네 번 모아 한 번 갱신해요.",
        63: "한 에폭의 횟수예요. 에폭은 모두 몇 번인가요?",
        3000: "레코드마다 한 번씩 갱신하지는 않아요. 배치 크기와 누적 횟수로 나누어 보세요.",
    }
    if answer == 189:
        return None
    return hints.get(answer, "레코드 수 ÷ (배치 크기 × 누적 횟수)를 올림한 뒤 에폭 수를 곱해 보세요.")


@exercise("03-diagnose")
def _diagnose(answer: Any) -> str | None:
    right = {"가": "학습률이 작음", "나": "과적합", "다": "정상"}
    choices = {*right.values(), "학습률이 큼"}
    if not isinstance(answer, dict) or answer.keys() != right.keys():
        return '{"가": …, "나": …, "다": …}처럼 세 사람 모두의 답을 적어 주세요.'
    if unknown := {str(value) for value in answer.values()} - choices:
        return f"{', '.join(sorted(unknown))}은(는) 보기에 없어요. {', '.join(sorted(choices))} 가운데에서 골라 주세요."
    hints = {
        ("가", "정상"): "가의 손실은 처음과 끝이 거의 같아요. 배운 것이 있을까요?",
        ("가", "학습률이 큼"): "학습률이 크면 손실이 튀어 올라요. 가의 손실은 움직이지 않아요.",
        ("나", "정상"): "나의 학습 손실만 보면 좋아 보여요. 검증 손실의 마지막 점을 보세요.",
        ("나", "학습률이 큼"): "학습 손실은 튀지 않고 0까지 내려갔어요. 검증 손실과 견주어 보세요.",
        ("다", "과적합"): "과적합이면 검증 손실이 다시 올라가요. 다의 검증 손실은 어떤가요?",
    }
    for name, value in right.items():
        if answer[name] != value:
            return hints.get(
                (name, answer[name]), f"{name}의 두 선이 어디에서 시작해 어디로 가는지 다시 보세요."
            )
    return None


# --- 05 --------------------------------------------------------------------------------------------------------


@exercise("05-personal")
def _personal(answer: Any) -> str | None:
    text = str(answer).replace(" ", "")
    if any(word in text for word in ("이름", "성명", "실명", "김사서")):
        return None
    if any(word in text for word in ("전화", "010")):
        return "전화번호는 형식이 정해져 있어서 찾아요. 출력에서 가려지지 않고 남은 것을 다시 보세요."
    if any(word in text for word in ("메일", "@")):
        return "이메일은 @가 있어서 찾아요. 출력에서 가려지지 않고 남은 것을 다시 보세요."
    return "출력에서 가려지지 않은 부분 가운데 한 사람을 가리키는 것은 무엇인가요?"


@exercise("05-one-change")
def _one_change(answer: Any) -> str | None:
    chosen = _letters(answer)
    if chosen == {"A", "C"}:
        return None
    if "B" in chosen:
        return "B는 학습률뿐 아니라 r도 달라요. 결과가 달라져도 어느 쪽 때문인지 알 수 없어요."
    if "D" in chosen:
        return "D는 데이터도 달라졌어요. 데이터가 다르면 학습률의 효과라고 말할 수 없어요."
    if len(chosen) == 1:
        return "하나 더 있어요. 기준 실행과 학습률만 다른 실행을 모두 골라 보세요."
    return "기준 실행과 한 줄씩 견주어, 학습률만 다른 것을 골라 보세요. 예: ['A', 'B']"


@exercise("05-choose")
def _choose(answer: Any) -> str | None:
    hints = {
        "C": "시험 점수가 가장 높은 것을 골랐어요. 시험 점수로 고르면 그 점수는 더는 공정하지 않아요.",
        "A": "A는 어느 기준으로도 가장 좋지 않아요. 무엇을 보고 고르는지 먼저 정해 보세요.",
    }
    chosen = str(answer).strip().upper()
    return None if chosen == "B" else hints.get(chosen, "A, B, C 가운데 글자 하나로 적어 주세요.")


# --- 01: preprocessing ------------------------------------------------------------------------------------------


@exercise("01-decode")
def _decode(answer: Any) -> str | None:
    if not callable(answer):
        return "바이트를 받아 글자를 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
    text = "번호,질문\n1,무게는 얼마인가요?"
    # These two words are valid CP949 as well: 臾닿쾶 and 吏덈Ц.
    if any(answer(text.encode("utf-8")) != text for text in ("무게", "질문", text)):
        return "UTF-8 바이트를 잘못 읽었어요. 느슨한 cp949보다 utf-8-sig를 먼저 시도해야 해요."
    with_bom = answer(text.encode("utf-8-sig"))
    if with_bom == "\ufeff" + text:
        return "맨 앞에 BOM(U+FEFF)이 남았어요. 'utf-8' 대신 'utf-8-sig'로 읽어 보세요."
    if with_bom != text:
        return "BOM이 붙은 UTF-8을 잘못 읽었어요. 'utf-8-sig'를 먼저 시도해 보세요."
    try:
        cp949 = answer(text.encode("cp949"))
    except UnicodeDecodeError:
        return "CP949 바이트에서 오류가 났어요. UnicodeDecodeError를 잡고 다음 인코딩을 시도해 보세요."
    if cp949 != text:
        return "CP949 바이트를 잘못 읽었어요. errors='ignore'나 'replace'를 쓰면 글자가 사라져요."
    try:
        broken = answer(b"\xff\x81 \x81")
    except UnicodeDecodeError:
        return "둘 다 아닌 바이트에서는 오류를 내지 말고 None을 돌려주세요."
    return None if broken is None else "둘 다 아닌 바이트에서는 글자를 지어내지 말고 None을 돌려주세요."


@exercise("01-leak")
def _leak(answer: Any) -> str | None:
    if not callable(answer):
        return "두 목록을 받아 비율을 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
    train, test = ["가", "나", "나", "다", "라"], ["가", "가", "가", "마"]
    rate = answer(train, test)
    if rate == 3:
        return "개수를 돌려주었어요. 시험 질문의 수로 나누어 주세요."
    if rate == 75:
        return "퍼센트가 아니라 0과 1 사이의 비율로 돌려주세요."
    if rate == 0.5:
        return "시험 문서를 set으로 바꾸어 세었어요. 같은 문서를 묻는 질문도 하나하나 세어야 해요."
    if rate in (0.25, 0.2, 0.6):
        return "분모나 방향을 확인해 주세요. 시험 질문 가운데 학습에서 본 것의 비율이에요."
    if rate != 0.75:
        return f"{train}와 {test}에서 0.75가 나와야 하는데 {rate!r}가 나왔어요."
    return None if answer(train, ["마", "바"]) == 0 else "겹치는 문서가 없으면 0이어야 해요."


@exercise("01-distractors")
def _distractors(answer: Any) -> str | None:
    chosen = _letters(answer)
    if unknown := chosen - set("ABCDE"):
        return f"보기는 A, B, C, D, E예요. {', '.join(sorted(unknown))}은(는) 없어요."
    if "B" in chosen:
        return "B의 '31 W'는 띄어쓰기만 다른 정답이에요. 답이 든 문서는 방해 문서가 아니에요."
    if "C" in chosen:
        return "C는 골든 문서에 인사말만 더한 복사본이라 답이 들어 있어요."
    if "D" in chosen:
        return "D에는 답이 없지만 시험 쪽의 문서예요. 학습에 보여 주면 어떤 일이 생길까요?"
    if "A" not in chosen:
        return "A의 '310W'는 '31W'와 다른 값이에요. 숫자의 일부가 겹친다고 답이 든 것은 아니에요."
    return None if "E" in chosen else "하나 더 있어요. 같은 제품의 문서라도 답이 없으면 좋은 방해 문서예요."


@exercise("01-golden-count", number=True)
def _golden_count(answer: float) -> str | None:
    n, p = 250, 0.7  # as in the notebook's cell
    kept = round(n * p)
    if answer == kept:
        return "그것은 골든 문서가 남는 레코드의 수예요. 빠진 레코드의 수를 구해 주세요."
    if 0 < answer < 1:
        return "비율이 아니라 레코드의 수를 구해 주세요."
    return None if answer == n - kept else "전체 n에서 골든 문서를 남기는 수(n × p)를 빼 보세요."


# --- 02: quality ------------------------------------------------------------------------------------------------


@exercise("02-near")
def _near(answer: Any) -> str | None:
    chosen = _letters(answer)
    if unknown := chosen - set("ABCD"):
        return f"쌍의 이름은 A, B, C, D예요. {', '.join(sorted(unknown))}은(는) 없어요."
    if "C" in chosen:
        return "C는 모델명이 서로 달라요. 답도 다를 테니 하나를 지우면 사실 하나를 잃어요."
    if "D" in chosen:
        return "D는 '켜고'와 '끄고'가 달라요. 글자는 비슷해도 뜻이 반대예요."
    if "B" in chosen:
        return "B는 뜻은 같지만 말이 달라요. 여러 말로 묻는 법을 가르치는 레코드는 남겨 두는 편이 좋아요."
    return None if chosen == {"A"} else "인사말만 다른 쌍을 찾아보세요."


@exercise("02-grounded")
def _grounded(answer: Any) -> str | None:
    if not callable(answer):
        return "문서와 값을 받아 True나 False를 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
    document = "소비 전력은 310W입니다. 보증 기간은 2 년입니다."
    if not answer(document, "310W"):
        return "문서에 그대로 있는 '310W'를 찾지 못했어요."
    if not answer(document, "2년"):
        return "문서에는 '2 년'이라고 띄어 썼어요. 두 쪽 모두에서 공백을 없애고 견주어 보세요."
    if answer(document, "10W"):
        return "'10W'가 '310W' 안에서 발견되었어요. 값의 앞에 숫자가 없을 때만 인정해 주세요."
    if answer("모델 번호는 4500입니다.", "450"):
        return "'450'이 '4500' 안에서 발견되었어요. 값의 뒤에 숫자가 없는지도 봐야 해요."
    if answer("가격은 1500원입니다.", "1.00"):
        return "값의 점(.)이 아무 글자로나 읽혔어요. 정규식에 넣기 전에 re.escape를 써 보세요."
    return "문서에 없는 '450W'를 찾았다고 했어요." if answer(document, "450W") else None


@exercise("02-seq-length")
def _seq_length(answer: Any) -> str | None:
    if not callable(answer):
        return "길이의 목록을 받아 수를 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
    rare = [100] * 99 + [500]  # one record of a hundred is long
    chosen = answer(rare)
    if chosen == 512:
        return "가장 긴 것까지 담았어요. 99%가 잘리지 않으면 되므로 드문 긴 것은 넘쳐도 괜찮아요."
    if chosen == 64:
        return "64로 내림하면 대부분이 잘려요. 64의 배수로 올림해 주세요."
    if chosen in (100, 104):
        return "64의 배수가 아니에요. 올림해서 64의 배수로 맞춰 주세요."
    if chosen != 128:
        return f"100토큰 99개와 500토큰 1개에서 128이 나와야 하는데 {chosen!r}이(가) 나왔어요."
    if answer([100] * 98 + [500] * 2) != 512:
        return "긴 레코드가 둘이면 98%만 담겨요. 99% 이상을 담아야 해요."
    return (
        None
        if answer([64] * 10) == 64
        else "길이가 꼭 64인 레코드는 64에 담겨요. 부등호(<=)를 확인해 주세요."
    )


@exercise("02-precision")
def _precision(answer: Any) -> str | None:
    if not callable(answer):
        return "두 집합을 받아 (정밀도, 재현율)을 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
    result = answer({"가", "나", "다", "라"}, {"다", "라", "마", "바", "사"})
    if not isinstance(result, tuple | list) or len(result) != 2:
        return f"값 두 개를 return 정밀도, 재현율 꼴로 돌려주세요. 지금은 {result!r}이(가) 나왔어요."
    if None in result:
        return "두 집합이 비어 있지 않으면 두 값을 모두 정할 수 있어요."
    precision, recall = (round(float(value), 4) for value in result)
    hints = {
        (0.5, 0.4): "둘의 순서가 바뀌었어요. 정밀도는 찾은 것의 수로, 재현율은 심은 것의 수로 나눠요.",
        (40, 50): "퍼센트가 아니라 0과 1 사이의 비율로 돌려주세요.",
        (2, 2): "맞은 것의 개수예요. 정밀도는 찾은 것의 수로, 재현율은 심은 것의 수로 나눠 주세요.",
        (1.25, 0.8): "개수끼리만 나누었어요. 심은 것과 찾은 것에 모두 있는 것(&)이 분자예요.",
        (0.8, 1.25): "개수끼리만 나누었어요. 심은 것과 찾은 것에 모두 있는 것(&)이 분자예요.",
        (0.2857, 0.2857): "둘을 합친 것(|)으로 나누면 자카드 유사도예요. 두 값은 분모가 서로 달라요.",
    }
    if (precision, recall) != (0.4, 0.5):
        return hints.get(
            (precision, recall),
            "심은 것 4개, 찾은 것 5개, 둘 다에 있는 것 2개에서 정밀도 0.4, 재현율 0.5가 나와야 해요.",
        )
    try:
        nothing_found, nothing_planted = tuple(answer({"가"}, set())), tuple(answer(set(), {"가"}))
    except ZeroDivisionError:
        return "집합이 비면 0으로 나누게 돼요. 나눌 것이 0개인 값은 None으로 돌려주세요."
    if nothing_found[0] is not None:
        return "아무것도 찾지 않았으면 정밀도를 정할 수 없어요. 0이나 1이 아니라 None으로 돌려주세요."
    if nothing_found[1] is None:
        return "심은 것이 있는데 아무것도 찾지 않았으면 재현율은 0이에요. None이 아니에요."
    if nothing_planted[1] is not None:
        return "심은 것이 없으면 재현율을 정할 수 없어요. None으로 돌려주세요."
    if nothing_planted[0] != 0 or nothing_found[1] != 0:
        return "맞은 것이 0개이고 나눌 것이 있으면 0이에요. 정할 수 없을 때만 None이에요."
    return None


# --- 00 -------------------------------------------------------------------------------------------------------


@exercise("00-lora-count", number=True)
def _lora_count(answer: int) -> str | None:
    d, k, r = 14336, 4096, 16
    hints = {
        d * k: "그것은 전체 파인튜닝의 개수입니다. LoRA는 B(d × r)와 A(r × k)만 학습합니다.",
        d * r: "B의 개수입니다. A(r × k)도 더해 주세요.",
        k * r: "A의 개수입니다. B(d × r)도 더해 주세요.",
        r * d * k: "B와 A는 따로 저장합니다. 곱하지 말고 두 행렬의 크기를 더해 주세요.",
        65_536: "앞의 예(d=k=4096, r=8)의 답입니다. 이번에는 d=14336, r=16입니다.",
    }
    return (
        None
        if answer == r * (d + k)
        else hints.get(answer, "B는 d × r, A는 r × k입니다. 두 개수를 더해 주세요.")
    )


@exercise("00-alpha", number=True)
def _alpha(answer: float) -> str | None:
    hints = {
        32: "alpha를 그대로 두면 alpha / r이 작아집니다. 처음의 alpha / r은 32 / 16입니다.",
        2: "그것은 alpha / r의 값입니다. r=64일 때 이 값이 되는 alpha를 구해 주세요.",
        64: "alpha = r이면 alpha / r은 1입니다. 처음 값은 32 / 16입니다.",
        8: "방향이 반대입니다. r이 커지면 alpha도 커져야 비율이 그대로입니다.",
    }
    return (
        None if answer == 128 else hints.get(answer, "32 / 16과 alpha / 64가 같아지는 alpha를 구해 주세요.")
    )


@exercise("00-bits", number=True)
def _bits(answer: float) -> str | None:
    hints = {
        4: "블록마다 하나씩 있는 32비트 상수도 저장해야 합니다.",
        0.25: "그것은 상수의 몫입니다. 가중치 자신의 4비트를 더해 주세요.",
        4.5: "블록이 64일 때의 값입니다. 블록이 128이면 상수를 128개가 나누어 갖습니다.",
        36: "32비트 상수는 가중치마다가 아니라 블록마다 하나입니다.",
    }
    return (
        None if answer == 4 + 32 / 128 else hints.get(answer, "4비트 + (32비트 ÷ 블록 크기)를 계산해 주세요.")
    )


@exercise("00-rank")
def _rank(answer: Any) -> str | None:
    if not callable(answer):
        return "특이값 배열과 허용 오차를 받아 r을 돌려주는 함수를 넣어 주세요. 함수 이름 뒤에 괄호는 붙이지 않아요."
    import numpy as np

    s = np.array([4.0, 3.0])  # cut to r = 0, 1, 2, the relative error is 1, 0.6, 0
    half = answer(s, 0.5)
    if half == 1:
        return (
            "[4, 3]을 r=1로 자르면 3이 남고 전체의 크기는 5라서 오차가 0.6이에요. 0.5를 넘으니 더 큰 r이 필요해요. "
            "제곱을 더한 뒤 제곱근을 씌웠는지 확인해 보세요."
        )
    if half != 2:
        return f"[4, 3]과 0.5에서 2가 나와야 하는데 {half!r}이(가) 나왔어요."
    if answer(s, 1.0) != 0:
        return "오차를 100%까지 허용하면 아무것도 남기지 않는 r=0으로 충분해요. r을 0부터 찾아 보세요."
    if answer(s, 0.6) != 1:
        return "r=1의 오차가 꼭 0.6이에요. '이하'이므로 같을 때도 인정해 주세요."
    if answer(s, 0.0) != 2:
        return "오차를 허용하지 않으면 특이값을 모두 남겨야 해요. r이 len(s)일 때까지 찾아 보세요."
    return None


@exercise("00-accumulation", number=True)
def _accumulation(answer: int) -> str | None:
    hints = {
        4: "배치만 줄이고 누적을 그대로 두면, 갱신 한 번에 쓰는 문제가 4분의 1이 됩니다.",
        1: "배치 1 × 누적 1이면 문제 하나로 한 번 갱신합니다. 처음에는 몇 문제였나요?",
        8: "배치가 반이 아니라 4분의 1이 되었습니다. 배치 × 누적을 처음과 견주어 보세요.",
    }
    return None if answer == 16 else hints.get(answer, "배치 × 누적이 4 × 4와 같아지는 누적을 구해 주세요.")


@exercise("00-quiz")
def _quiz(answer: dict[int, str]) -> str | None:
    right = {1: "가", 2: "다", 3: "나", 4: "나", 5: "가", 6: "다", 7: "나"}
    hints = {
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
    if missing := sorted(right.keys() - answer.keys()):
        return f"{', '.join(map(str, missing))}번의 답이 없습니다."
    wrong = [number for number, choice in right.items() if answer[number] != choice]
    if not wrong:
        return None
    lines = [f"{n}번: {hints.get((n, answer[n]), '가, 나, 다 가운데 하나를 적어 주세요.')}" for n in wrong]
    return "\n   ".join([f"{len(right)}개 가운데 {len(right) - len(wrong)}개 맞았습니다.", *lines])


# --- 04 --------------------------------------------------------------------------------------------------------

ROUGE_PAIR = (
    "필터는 흐르는 물로 헹구고 그늘에서 말립니다.",
    "필터는 물로 헹구고 말립니다.",
)  # reference, answer


@exercise("04-rouge-recall", number=True)
def _rouge_recall(answer: float) -> str | None:
    from src.scoring.rouge import compute_rouge

    reference, prediction = ROUGE_PAIR

    def rouge1(measure: str, tokenizer: str = "mecab") -> float:
        return compute_rouge([prediction], [reference], measure=measure, tokenizer=tokenizer)["rouge1"]

    def near(value: float) -> bool:
        return abs(answer - value) < 0.005

    if near(rouge1("recall")):
        return None
    if near(rouge1("precision")):
        return "답의 토큰 수로 나누면 정밀도예요. 재현율은 정답의 토큰 수로 나눠요."
    if near(rouge1("fmeasure")):
        return "F1을 구했어요. 겹친 토큰 수를 정답의 토큰 수로 나누기만 하면 돼요."
    if near(rouge1("recall", "eojeol")):
        return "띄어쓰기로 세었어요. 출력된 형태소 토큰으로 세어 보세요."
    if answer > 1:
        return "개수가 아니라 비율이에요. 겹친 토큰 수 / 정답의 토큰 수를 적어 주세요."
    return "겹친 토큰 수를 다시 세어 보세요. 마침표도 토큰 하나이고, 정답에 두 번 나온 토큰은 답에도 두 번 있어야 두 번 세요."


@exercise("04-fool-f1")
def _fool_f1(answer: Any) -> str | None:
    from src.scoring.correctness import answer_contained, compute_char_f1

    reference = "문맥에 따르면 17,500원입니다."
    if not isinstance(answer, str):
        return "답을 따옴표로 감싼 글로 적어 주세요."
    f1 = compute_char_f1([answer], [reference])["char_f1"]
    bare = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", answer))
    if answer_contained(answer, reference) or "17500" in bare:  # "1 7,500원", "원17,500": the right amount
        return f"금액이 맞는 답이에요(글자 F1 {f1:.3f}). 금액이 틀려야 해요."
    if f1 < 1:
        return f"금액은 틀렸지만 글자 F1이 {f1:.3f}이에요. 글자를 더하거나 빼지 말고 순서만 바꿔 보세요."
    return None


@exercise("04-mrr", number=True)
def _mrr(answer: float) -> str | None:
    ranks = [1, 3, None, 2]  # as in the notebook's prose

    def near(other: float) -> bool:
        return abs(answer - other) < 0.005

    found = [rank for rank in ranks if rank]
    if near(sum(1 / rank for rank in found) / len(ranks)):
        return None
    if near(sum(1 / rank for rank in found) / len(found)):
        return "찾은 질문의 수로 나누었어요. 찾지 못한 질문도 0점으로 넣어 모든 질문의 수로 나눠요."
    if near(sum(found) / len(found)) or near(sum(found) / len(ranks)):
        return "순위를 그대로 평균했어요. 순위의 역수(1위는 1, 2위는 절반)를 평균해 주세요."
    if near(len(found) / len(ranks)):
        return "그것은 찾은 질문의 비율(recall)이에요. 몇 위로 찾았는지도 점수에 넣어야 해요."
    if near(sum(1 / rank for rank in found)):
        return "역수를 더하기만 했어요. 질문의 수로 나눠 주세요."
    return "질문마다 1 / 순위를 구하고, 찾지 못한 질문은 0으로 두고 평균해 보세요."


@exercise("04-how-many", number=True)
def _how_many(answer: float) -> str | None:
    from scipy.stats import binomtest

    def low(n: int) -> float:
        return float(binomtest(round(0.7 * n), n).proportion_ci(method="wilson").low)

    right = next(n for n in range(10, 500, 10) if low(n) > 0.5)
    if answer == right:
        return None
    if not isinstance(answer, int) or answer < 10 or answer % 10:
        return "10문항 단위의 수(10, 20, 30, …)를 적어 주세요."
    if answer > right:
        return f"{answer}문항이면 되지만 더 적은 수도 있어요. 하한이 처음으로 0.5를 넘는 수를 찾아보세요."
    return f"{answer}문항이면 하한이 {low(answer):.3f}이라 0.5를 넘지 않아요. 문항을 늘려 보세요."


@exercise("04-read-interval")
def _read_interval(answer: Any) -> str | None:
    words = [str(word).strip() for word in answer]
    right = ["차이 불확실", "나아짐", "나빠짐"]
    if words == right:
        return None
    if len(words) != len(right) or not set(words) <= set(right):
        return f"{', '.join(right)} 가운데에서 골라 지표의 차례대로 {len(right)}개를 목록에 적어 주세요."
    if words[2] != right[2]:
        return "마지막 지표에는 ↓가 붙어 있어요. 낮아야 좋은 지표가 어떻게 되었나요?"
    if words[0] != right[0]:
        return "첫째 지표는 차이가 크지만 구간이 0을 품어요. 구간의 하한과 상한의 부호를 보세요."
    return "둘째 지표는 차이가 작아도 구간 전체가 0의 한쪽에 있어요."
