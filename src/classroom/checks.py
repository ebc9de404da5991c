"""Exercises that answer back: right, a hint for a typical mistake, or still empty. They never stop a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# name -> function that returns None when the answer is right, else a hint in Korean.
EXERCISES: dict[str, Callable[[Any], str | None]] = {}


def exercise(name: str) -> Callable[[Callable[[Any], str | None]], Callable[[Any], str | None]]:
    """Register the check of the exercise ``name`` (notebook number, dash, topic: ``01-golden-count``)."""

    def register(function: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        EXERCISES[name] = function
        return function

    return register


def hint_for(name: str, answer: Any) -> str | None:
    """``None`` when ``answer`` is right, else the hint."""
    try:
        return EXERCISES[name](answer)
    except Exception as error:  # an answer of any type may arrive here; a wrong type is a mistake like others
        return f"답의 형식을 확인해 주세요({type(error).__name__}: {error})."


def check(name: str, answer: Any) -> None:
    """Print what to make of ``answer``; ``None`` means: not tried yet."""
    if answer is None:
        print(f"✏️ 실습 {name}: 아직 비어 있어요. None을 자신의 답으로 바꾸고 셀을 다시 실행해 보세요.")
        return
    hint = hint_for(name, answer)
    print(f"✅ 실습 {name}: 맞았어요!" if hint is None else f"💡 실습 {name}: {hint}")


# --- 00.01 ----------------------------------------------------------------------------------------------------


@exercise("00.01-rows")
def _rows(answer: int) -> str | None:
    from src.preprocessing import load_samples
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
    from src.models import MODELS

    free = {key for key, spec in MODELS.items() if spec.licence == "Apache-2.0"}
    chosen = set(answer)
    if unknown := chosen - MODELS.keys():
        return f"{', '.join(sorted(map(str, unknown)))}은(는) 목록에 없습니다. list(MODELS)에 나온 이름으로 적어 주세요."
    if wrong := chosen - free:
        return f"{', '.join(sorted(wrong))}은(는) 상업적 이용이 안 됩니다. 라이선스의 NC가 무슨 뜻인지 확인해 주세요."
    return None if chosen == free else "더 있습니다. 라이선스가 같은 모델을 모두 골라 주세요."


# --- 03 --------------------------------------------------------------------------------------------------------


@exercise("03-nf4-bits")
def _nf4_bits(answer: Any) -> str | None:
    from src.qlora import CONSTANT_BLOCK, NF4_BLOCK

    value, single = float(answer), 4 + 32 / NF4_BLOCK
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


@exercise("03-steps")
def _steps(answer: Any) -> str | None:
    hints = {
        188: "에폭마다 남는 자투리도 한 번의 갱신이에요. 나눗셈의 올림을 에폭마다 해 보세요.",
        187: "에폭마다 남는 자투리도 한 번의 갱신이에요. 버리지 말고 올려 보세요.",
        186: "에폭마다 남는 자투리를 버렸어요. 내림이 아니라 올림이에요.",
        187.5: "갱신 횟수는 정수예요. 에폭마다 올림해 보세요.",
        750: "그래디언트를 모으는 것을 빠뜨렸어요. 네 번 모아 한 번 갱신해요.",
        63: "한 에폭의 횟수예요. 에폭은 모두 몇 번인가요?",
        3000: "레코드마다 한 번씩 갱신하지는 않아요. 배치 크기와 누적 횟수로 나누어 보세요.",
    }
    if answer == 189:
        return None
    return hints.get(answer, "레코드 수 ÷ (배치 크기 × 누적 횟수)를 올림한 뒤 에폭 수를 곱해 보세요.")


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
    chosen = {str(name).upper() for name in ([answer] if isinstance(answer, str) else answer)}
    if chosen == {"A", "C"}:
        return None
    if "B" in chosen:
        return "B는 학습률뿐 아니라 r도 달라요. 결과가 달라져도 어느 쪽 때문인지 알 수 없어요."
    if "D" in chosen:
        return "D는 데이터도 달라졌어요. 데이터가 다르면 학습률의 효과라고 말할 수 없어요."
    if len(chosen) == 1:
        return "하나 더 있어요. 기준 실행과 학습률만 다른 실행을 모두 골라 보세요."
    return "기준 실행과 한 줄씩 견주어, 학습률만 다른 것을 골라 보세요. 예: ['A', 'B']"


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


@exercise("01-golden-count")
def _golden_count(answer: Any) -> str | None:
    n, p = 250, 0.7  # as in the notebook's cell
    kept = round(n * p)
    if answer == kept:
        return "그것은 골든 문서가 남는 레코드의 수예요. 빠진 레코드의 수를 구해 주세요."
    if isinstance(answer, float) and 0 < answer < 1:
        return "비율이 아니라 레코드의 수를 구해 주세요."
    return None if answer == n - kept else "전체 n에서 골든 문서를 남기는 수(n × p)를 빼 보세요."


# --- 02: quality ------------------------------------------------------------------------------------------------


@exercise("02-near")
def _near(answer: Any) -> str | None:
    chosen = {str(name).strip().upper() for name in answer}
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


# --- 00 -------------------------------------------------------------------------------------------------------


@exercise("00-lora-count")
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


@exercise("00-alpha")
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


@exercise("00-bits")
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


@exercise("00-quiz")
def _quiz(answer: dict[int, str]) -> str | None:
    right = {1: "가", 2: "나", 3: "나", 4: "다", 5: "나"}
    hints = {
        1: "B의 첫 값이 무엇이었는지 2.2절의 코드를 봐 주세요.",
        2: "3.4절의 출력에서 줄어든 것이 가중치의 비트인지 상수의 비트인지 봐 주세요.",
        3: "4.3절의 표에서 QLoRA가 줄인 것과 내준 것을 봐 주세요.",
        4: "5.2절에서 슬라이드의 설정이 붙은 곳이 몇 개였는지 세어 보세요.",
        5: "7.3절의 회색 부분은 프롬프트입니다. 모델이 프롬프트를 못 본다면 답할 수 없습니다.",
    }
    if missing := sorted(right.keys() - answer.keys()):
        return f"{', '.join(map(str, missing))}번의 답이 없습니다."
    wrong = [number for number, choice in right.items() if answer[number] != choice]
    return None if not wrong else f"{len(right) - len(wrong)}개 맞았습니다. {wrong[0]}번: {hints[wrong[0]]}"


# --- 04 --------------------------------------------------------------------------------------------------------

ROUGE_PAIR = (
    "필터는 흐르는 물로 헹구고 그늘에서 말립니다.",
    "필터는 물로 헹구고 말립니다.",
)  # reference, answer


@exercise("04-rouge-recall")
def _rouge_recall(answer: Any) -> str | None:
    from src.scoring import compute_rouge

    reference, prediction = ROUGE_PAIR

    def rouge1(measure: str, tokenizer: str = "mecab") -> float:
        return compute_rouge([prediction], [reference], measure=measure, tokenizer=tokenizer)["rouge1"]

    def near(value: float) -> bool:
        return abs(float(answer) - value) < 0.005

    if near(rouge1("recall")):
        return None
    if near(rouge1("precision")):
        return "답의 토큰 수로 나누면 정밀도예요. 재현율은 정답의 토큰 수로 나눠요."
    if near(rouge1("fmeasure")):
        return "F1을 구했어요. 겹친 토큰 수를 정답의 토큰 수로 나누기만 하면 돼요."
    if near(rouge1("recall", "eojeol")):
        return "띄어쓰기로 세었어요. 출력된 형태소 토큰으로 세어 보세요."
    if float(answer) > 1:
        return "개수가 아니라 비율이에요. 겹친 토큰 수 / 정답의 토큰 수를 적어 주세요."
    return "겹친 토큰 수를 다시 세어 보세요. 마침표도 토큰 하나이고, 정답에 두 번 나온 토큰은 답에도 두 번 있어야 두 번 세요."


@exercise("04-fool-f1")
def _fool_f1(answer: Any) -> str | None:
    from src.scoring import answer_contained, compute_char_f1

    reference = "문맥에 따르면 17,500원입니다."
    if not isinstance(answer, str):
        return "답을 따옴표로 감싼 글로 적어 주세요."
    f1 = compute_char_f1([answer], [reference])["char_f1"]
    if answer_contained(answer, reference):
        return f"금액이 맞는 답이에요(글자 F1 {f1:.3f}). 금액이 틀려야 해요."
    if f1 < 1:
        return f"금액은 틀렸지만 글자 F1이 {f1:.3f}이에요. 글자를 더하거나 빼지 말고 순서만 바꿔 보세요."
    return None


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
