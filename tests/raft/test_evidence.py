from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.reading import load_samples
from src.data.text import sentence_spans, split_sentences
from src.profiles import ROOT
from src.raft.answers import (
    ABSTENTION,
    QUOTE_BEGIN,
    QUOTE_END,
    answer_cores,
    format_answer,
    is_abstention,
    reasoning,
    says_yes,
    strip_answer_form,
)
from src.raft.evidence import find_core, find_evidence, holds_answer, letters, trim_around

# --- The answer's form -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "formatted"),
    [
        ("310W", "문맥에 따르면 310W입니다."),
        ("310W입니다.", "문맥에 따르면 310W입니다."),
        ("310W입니다", "문맥에 따르면 310W입니다."),
        ("캐나다", "문맥에 따르면 캐나다입니다."),  # ends in 다, yet is no sentence
        ("물로 헹굽니다. 하루 말립니다.", "문맥에 따르면 물로 헹굽니다. 하루 말립니다."),
        ("문맥에 따르면 310W입니다.", "문맥에 따르면 310W입니다."),
        (ABSTENTION, ABSTENTION),
    ],
)
def test_format_answer(answer, formatted):
    assert format_answer(answer) == formatted
    assert format_answer(formatted) == formatted
    assert answer_cores(formatted) == answer_cores(answer)


def test_strip_answer_form_drops_prefix_and_reasoning():
    reasoning = f"답은 [문서 1]에 있습니다. {QUOTE_BEGIN}전력은 310W입니다.{QUOTE_END}\n"
    assert strip_answer_form(reasoning + "문맥에 따르면 310W입니다.") == "310W입니다."
    assert strip_answer_form("설명서에 따르면 310W입니다.") == "설명서에 따르면 310W입니다."


REFUSALS = [
    ABSTENTION,
    ABSTENTION[:-2],  # cut at the limit of new tokens
    "문맥에서 답을 찾지 못했습니다.",
    "제공된 문서만으로는 확인이 불가능합니다.",
    "주어진 정보로는 답변하기 어렵습니다.",
    "문서에는 관련 정보가 없는 것으로 보입니다.",
    "답변 드릴 수 없습니다.",
    "알 수 없습니다",
    "문맥에 답이 없습니다.",
    "제공된 문맥에는 해당 정보가 없습니다.",
    "문서에 나와 있지 않습니다.",
    "아니요, 나오지 않습니다.",  # the tiny base's own way
    "문서에 나오지 않습니다.",
    "모르겠습니다.",
    "주어진 문맥에서 답을 찾을 수 없습니다.",
    "문맥에서 답을 찾을 수 없어요",
    "답을 알 수 없습니다.",
    "답을찾을수없습니다",
    "문맥에 따르면 답을 찾을 수 없습니다.",
    "잘 모르겠습니다.",
    "죄송하지만, 제공된 문서에서 보증 기간에 대한 정보를 찾을 수 없습니다.",
    "죄송합니다. 문맥에 답이 없습니다. 고객센터(1588-0000)로 문의해 주세요.",
    "보증 기간은 알 수 없습니다.",
    "보증 기간은 문서에 명시되어 있지 않습니다.",
    "보증 기간은 명시되어 있지 않습니다.",
    "문서에는 2년이라고 나와 있습니다. 하지만 색상에 대한 정보는 없습니다.",
    "문서에는 그 내용이 포함되어 있지 않습니다.",
    "해당 정보는 제공되지 않았습니다.",
    "문맥에서 확인할 수 없습니다.",
    "정보가 없습니다.",
    "답이 없습니다",
    "답변할 수 없습니다.",
    "문서에 없는 내용입니다.",
    "주어진 문맥만으로는 알 수 없습니다.",
    "정보가 부족하여 답변할 수 없습니다.",
    "제공된 문서에는 보증 기간이 없습니다.",
    "질문에 대한 답을 문맥에서 찾을 수 없습니다.",
    "질문에 대한 답변은 문맥에 없습니다.",
    "**알 수 없습니다.**",
    "문맥에는 색상에 대한 언급이 없습니다.",
    "이 질문에 대한 답은 주어진 문맥에 포함되어 있지 않습니다.",
    "주어진 문맥에는 무게가 나와 있지 않습니다.",
    "문맥에 정보가 없어 답할 수 없습니다.",
    "제공된 정보로는 알 수 없습니다.",
    "주어진 정보만으로는 확인할 수 없습니다.",
    "문맥에서는 보증 기간을 언급하지 않습니다.",
    "정답을 알 수 없음",
    "관련 내용이 없습니다.",
    "해당 내용은 문서에 없습니다.",
    "정확한 정보를 찾을 수 없습니다.",
    "확인할 수 없는 정보입니다.",
    "문맥에서 답을 찾을 수 없습니다. 문서에는 보증 기간만 설명되어 있습니다.",
]
ANSWERS = [
    "",
    "별도의 문서는 없습니다.",
    "확인이 불가능하면 전원을 끕니다.",
    "어린이가 열기 어렵습니다.",
    "정보를 확인할 수 없습니다만 310W입니다",
    "해당 정보를 확인할 수 없습니다만, 310W입니다.",
    "정보를 확인할 수 없지만 310W로 추정됩니다.",
    "알 수 없습니다. 310W입니다.",
    "답을 찾을 수 없습니다만 물로 헹굽니다.",
    "답을 찾을 수 없습니다. 문서에는 310W로 나와 있습니다.",
    "비밀번호를 모르겠으면 재설정 버튼을 누릅니다.",
    "소음이 없습니다.",
    "소리가 나오지 않습니다.",
    "물이 나오지 않습니다. 필터를 갈아 주세요.",
    "버튼이 없습니다. 화면을 누릅니다.",
    "보증 기간이 없습니다.",
    "앱에서 제품을 찾을 수 없습니다.",
    "기기의 응답이 없습니다.",
    "매장에서 찾을 수 없는 제품은 온라인으로 주문합니다.",
    "이 앱에 저장되는 개인정보가 없습니다.",
    "310W입니다. 그 밖의 정보는 찾을 수 없습니다.",
    "문맥에 따르면 소음이 없습니다.",
    "주어진 문맥에 따르면 소음이 없습니다.",
    "설명서에 따르면 보증 기간이 없습니다.",
    "배터리는 포함되어 있지 않습니다.",
    "포장에 배터리는 포함되어 있지 않습니다.",
    "전원을 끄면 잔량을 알 수 없습니다.",
    "전원이 꺼진 뒤에는 위치를 알 수 없습니다.",
    "모르는 번호입니다.",
    "문서를 인쇄할 수 없습니다.",
    "답장은 메일로 보냅니다.",
    "정답은 310W입니다.",
    "310W입니다.",
    "없습니다.",
    "자료는 3일 뒤에 삭제되고 되살릴 수 없습니다.",
    "설명서가 없으면 누리집에서 내려받습니다.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_is_abstention(text):
    assert is_abstention(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_is_not_abstention(text):
    assert not is_abstention(text)


def test_no_answer_of_the_corpus_abstains():
    rows = [row for path in sorted((ROOT / "data/raw").glob("support_qa.*")) for row in load_samples(path)]
    answers = {row["answer"] for row in rows if isinstance(row.get("answer"), str)}
    assert len(answers) > 300
    assert [
        answer for answer in answers if is_abstention(answer) or is_abstention(format_answer(answer))
    ] == []


@given(st.text(alphabet="가문서답정보 을없모르겠니다.!\n1*", max_size=400))
def test_any_text_is_judged(text):
    assert is_abstention(text) in (True, False)


@pytest.mark.parametrize("piece", ["문서 ", "잘", "저는 ", "가!", "모르겠습니다. ", "!"])
def test_a_very_long_text_is_judged_at_its_end(piece):
    text = piece * 20_000
    assert is_abstention(text + "\n답을 찾을 수 없습니다.") and not is_abstention(text + "\n310W입니다.")


# --- Where an answer stands ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "core", "found"),
    [
        ("전력은 310 W입니다", "310W", True),  # white space aside
        ("전력은 1310W입니다", "310W", False),  # inside a longer number
        ("값은 1,310원", "310원", False),
        ("값은 3.5원", "3.5", True),
        ("값은 3.55원", "3.5", False),
        ("2024 310W", "310W", True),  # a number before it is not its beginning
        ("기간은 3일입니다", "3일", True),
        ("기간은 13일입니다", "3일", False),
        ("예약은 앱에서", "예", False),  # short: only as a word of its own
        ("답은 예입니다", "예", True),
        ("용량은 30Wh입니다", "30W", False),  # inside a longer unit
        ("전력은 30W입니다", "30W", True),
        ("값은 1,500원", "1500원", True),
        ("10-20분 걸립니다", "10~20분", True),
        ("색은 DARK  BLUE", "Dark Blue", True),
        ("방은 2칸이다", "2", False),  # one digit tells too little
        ("방은 15칸이다", "15", True),
        ("(예)", "예", True),
        ("v2, 3판", "v2", True),  # a gap between two numbers ends a word as any other does
        ("아무 글", "~", False),
    ],
)
def test_find_core(document, core, found):
    assert (find_core(document, core) is not None) == found


@pytest.mark.parametrize(
    ("document", "core", "place"),
    [
        ("값은 1,500 원입니다.", "1500원", "1,500 원"),
        ("시간은 (10 - 20) 분", "10~20분", "10 - 20) 분"),
        ("답은 '예'입니다.", "예", "예"),
        ("İİ 색은 Dark-Blue이다", "dark blue", "Dark-Blue"),  # "İ" has two letters in lower case
    ],
)
def test_a_place_is_in_the_text_as_it_is_written(document, core, place):
    start, end = find_core(document, core)
    assert document[start:end] == place


@given(st.text(alphabet="가나다 1,.~-A²\n", max_size=30), st.data())
def test_every_place_reads_as_the_core(document, data):
    start = data.draw(st.integers(0, len(document)))
    core = document[start : data.draw(st.integers(start, len(document)))]
    if (place := find_core(document, core)) is not None:
        assert letters(document[slice(*place)]).text == letters(core).text


def test_any_sentence_of_the_answer_counts():
    assert holds_answer("그늘에서 하루 말립니다.", "물로 헹굽니다. 그늘에서 하루 말립니다.")
    assert not holds_answer("햇볕에서 말립니다.", "물로 헹굽니다. 그늘에서 하루 말립니다.")


def test_find_evidence_uses_answer_start():
    document = "서울은 크다. 서울의 인구는 많다. 부산도 크다."
    assert find_evidence(document, "서울") == [0]
    assert find_evidence(document, "서울", document.index("서울", 3)) == [1]
    assert find_evidence(document, "대구") == []


def test_an_answer_start_that_points_elsewhere_is_ignored():
    document = "서울은 크다. 부산은 멀다. 서울은 넓다."
    for start in (1, -3, 10**9):  # -3 would count from the end, as Python's indices do
        assert find_evidence(document, "서울", start) == [0]


def test_an_answer_across_sentences_has_them_all_as_evidence():
    document = "먼저 씻는다. 물로 헹굽니다. 하루 말립니다. 끝이다."
    assert find_evidence(document, "물로 헹굽니다. 하루 말립니다.") == [1, 2]
    assert find_evidence(document, "물로 헹굽니다. 하루 말립니다.", document.index("물로")) == [1, 2]
    assert find_evidence(document, "물로 헹굽니다. 이틀 말립니다.") == []  # half an answer is no evidence


# --- Sentences, trimming, quotes -------------------------------------------------------------------------------

TEXTS = st.text(alphabet="가나 .!?。…\n\u3000\"'1", max_size=60)


@given(TEXTS)
def test_sentence_spans_cover_all_but_white_space(text):
    spans = sentence_spans(text)
    assert all(text[start:end].strip() == text[start:end] != "" for start, end in spans)
    assert "".join("".join(text[start:end] for start, end in spans).split()) == "".join(text.split())
    assert split_sentences(text) == [text[start:end] for start, end in spans]


@given(TEXTS, st.data())
def test_trimming_takes_a_piece_that_holds_the_evidence(text, data):
    sentences = split_sentences(text)
    if not sentences:
        assert trim_around(text, [], lambda piece: True) is None
        return
    evidence = sorted(data.draw(st.sets(st.integers(0, len(sentences) - 1), min_size=1, max_size=3)))
    limit = data.draw(st.integers(0, 60))
    piece = trim_around(text, evidence, lambda piece: len(piece) <= limit)
    spans = sentence_spans(text)
    needed = text[spans[evidence[0]][0] : spans[evidence[-1]][1]]
    if len(needed) > limit:
        assert piece is None
    else:
        assert piece in text and needed in piece and len(piece) <= limit


def test_trimming_keeps_the_evidence_off_the_edges():
    sentences = [f"문장 {i}입니다." for i in range(9)]
    piece = trim_around(" ".join(sentences), [6], lambda piece: len(split_sentences(piece)) <= 3)
    assert split_sentences(piece) == sentences[5:8]  # growing backwards only would have put it last
    # At an edge the other side takes what is left.
    assert (
        split_sentences(trim_around(" ".join(sentences), [8], lambda p: len(split_sentences(p)) <= 3))
        == sentences[6:]
    )
    assert trim_around("한 문장입니다.", [], lambda piece: True) is None


def test_reasoning_quotes_word_for_word():
    assert reasoning(["가.", "나."], 2) == (
        f"질문의 답은 [문서 2]에 있습니다. {QUOTE_BEGIN}가.{QUOTE_END} {QUOTE_BEGIN}나.{QUOTE_END}"
    )
    assert reasoning([], 1) is None
    assert reasoning([f"표시는 {QUOTE_END}입니다."], 1) is None  # could not be read back


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("네, 나옵니다.", True),
        ('"예"', True),
        ("아니요, 나오지 않습니다.", False),
        ("아니오.", False),
        ("문서 1에는 없습니다.\n문서 2에 있습니다.\n네, 나옵니다.", True),
        ("네모난 물통입니다.", None),
        ("예약 버튼을 3번 누릅니다.", None),
        ("310W", None),
        ("", None),
    ],
)
def test_yes_no_or_unreadable(text, said):
    assert says_yes(text) is said
