"""Exercises of notebook 01: encodings, leaks between splits, distractors, the share of golden documents."""

from typing import Any

from src.classroom.exercises.registry import Hints, exercise


@exercise("01-decode", function="바이트를 받아 글자를")
def _decode(decode: Any) -> Hints:
    text = "번호,질문\n1,무게는 얼마인가요?"
    # These two words are valid CP949 as well: 臾닿쾶 and 吏덈Ц.
    misread = any(decode(text.encode("utf-8")) != text for text in ("무게", "질문", text))
    yield misread, "UTF-8 바이트를 잘못 읽었어요. 느슨한 cp949보다 utf-8-sig를 먼저 시도해야 해요."
    with_bom = decode(text.encode("utf-8-sig"))
    yield with_bom == "\ufeff" + text, "앞에 BOM(U+FEFF)이 남았어요. 'utf-8' 대신 'utf-8-sig'로 읽어 보세요."
    yield with_bom != text, "BOM이 붙은 UTF-8을 잘못 읽었어요. 'utf-8-sig'를 먼저 시도해 보세요."
    try:
        cp949 = decode(text.encode("cp949"))
    except UnicodeDecodeError:
        yield True, "CP949 바이트에서 오류가 났어요. UnicodeDecodeError를 잡고 다음 인코딩을 시도해 보세요."
    yield cp949 != text, "CP949 바이트를 잘못 읽었어요. errors='ignore'나 'replace'를 쓰면 글자가 사라져요."
    try:
        broken = decode(b"\xff\x81 \x81")
    except UnicodeDecodeError:
        yield True, "둘 다 아닌 바이트에서는 오류를 내지 말고 None을 돌려주세요."
    yield broken is not None, "둘 다 아닌 바이트에서는 글자를 지어내지 말고 None을 돌려주세요."


@exercise("01-leak", function="두 목록을 받아 비율을")
def _leak(leak: Any) -> Hints:
    train, test = ["가", "나", "나", "다", "라"], ["가", "가", "가", "마"]
    rate = leak(train, test)
    yield rate == 3, "개수를 돌려주었어요. 시험 질문의 수로 나누어 주세요."
    yield rate == 75, "퍼센트가 아니라 0과 1 사이의 비율로 돌려주세요."
    yield rate == 0.5, "시험 문서를 set으로 바꾸어 세었어요. 같은 문서를 묻는 질문도 하나하나 세어야 해요."
    yield rate in (0.25, 0.2, 0.6), "분모와 방향을 보세요. 시험 질문 가운데 학습에서 본 것의 비율이에요."
    yield rate != 0.75, f"{train}와 {test}에서 0.75가 나와야 하는데 {rate!r}가 나왔어요."
    yield leak(train, ["마", "바"]) != 0, "겹치는 문서가 없으면 0이어야 해요."


@exercise("01-distractors", choices="ABCDE")
def _distractors(chosen: set[str]) -> Hints:
    yield "B" in chosen, "B의 '31 W'는 띄어쓰기만 다른 정답이에요. 답이 든 문서는 방해 문서가 아니에요."
    yield "C" in chosen, "C는 골든 문서에 인사말만 더한 복사본이라 답이 들어 있어요."
    yield "D" in chosen, "D에는 답이 없지만 시험 쪽의 문서예요. 학습에 보여 주면 어떤 일이 생길까요?"
    yield "A" not in chosen, "A의 '310W'는 '31W'와 달라요. 숫자의 일부가 겹친다고 답이 든 것은 아니에요."
    yield "E" not in chosen, "하나 더 있어요. 같은 제품의 문서라도 답이 없으면 좋은 방해 문서예요."


@exercise("01-golden-count", number=True)
def _golden_count(answer: float) -> Hints:
    n, p = 250, 0.7  # as in the notebook's cell
    kept = round(n * p)
    yield answer == kept, "그것은 골든 문서가 남는 레코드의 수예요. 빠진 레코드의 수를 구해 주세요."
    yield 0 < answer < 1, "비율이 아니라 레코드의 수를 구해 주세요."
    yield answer != n - kept, "전체 n에서 골든 문서를 남기는 수(n × p)를 빼 보세요."
