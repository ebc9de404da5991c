from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.evidence import (
    ABSTENTION,
    QUOTE_BEGIN,
    QUOTE_END,
    answer_cores,
    find_core,
    find_evidence,
    format_answer,
    holds_answer,
    is_abstention,
    reasoning,
    sentence_spans,
    split_sentences,
    strip_answer_form,
    trim_around,
)

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


@pytest.mark.parametrize("text", [ABSTENTION, "문맥에서 답을 찾을 수 없어요", "답을 알 수 없습니다."])
def test_is_abstention(text):
    assert is_abstention(text)


@pytest.mark.parametrize("text", ["310W입니다.", "앱에서 제품을 찾을 수 없습니다.", ""])
def test_is_not_abstention(text):
    assert not is_abstention(text)


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
    ],
)
def test_find_core(document, core, found):
    assert (find_core(document, core) is not None) == found


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
