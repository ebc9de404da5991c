from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.duplicates import find_exact_duplicates, find_near_duplicates
from src.evidence import ABSTENTION, format_answer
from src.personal_data import find_personal_data, mask_personal_data
from src.quality import (
    balance_table,
    check_groundedness,
    check_relevance,
    clean_records,
    rebalance,
    token_length_stats,
)
from src.raft import count_tokens
from src.schemas import RaftRecord, RawSample

DOCUMENT = (
    "다온 DH-1 제품 안내입니다. 소비 전력은 310W입니다. 물통 용량은 4.5L입니다. 그늘에서 하루 말립니다."
)
OTHER = "다른 문서입니다. 배송은 이틀 걸립니다."


def record(
    number=1, question="다온 DH-1의 소비 전력은 얼마인가요?", answer="310W", document=DOCUMENT, **changes
):
    fields = {
        "id": f"r{number}",
        "instruction": "지시",
        "context": [OTHER, document],
        "question": question,
        "answer": format_answer(answer),
        "group_id": "다온 DH-1",
        "golden_index": 1,
        "answerable": True,
        "n_tokens": 100,
        "seed": 0,
    }
    return RaftRecord(**(fields | changes))


def left_out(number, **changes):
    return record(number, **({"answer": ABSTENTION, "golden_index": None, "answerable": False} | changes))


# --- Duplicates ------------------------------------------------------------------------------------------------


def test_exact_duplicates():
    records = [
        record(1),
        record(2, question="다온  DH-1의 소비 전력은 얼마인가요"),  # white space and punctuation aside
        record(3, answer="4.5L"),
        record(4, document=DOCUMENT + " 덧붙인 문장입니다."),
        left_out(5),  # came from the same row as r1
        left_out(6, question="다온 DH-1의 무게는 얼마인가요?"),
        left_out(7, group_id="누리 DH-9"),
    ]
    assert find_exact_duplicates(records) == [(1, 0), (4, 0)]


def test_near_duplicates_within_one_fact_only():
    records = [
        record(1),
        record(2, question="안녕하세요. 다온 DH-1의 소비 전력은 얼마인가요"),
        record(3, question="이 제습기는 전기를 얼마나 쓰나요?"),
        record(4, question="혹시 다온 DH-1의 소비 전력은 얼마인가요?", answer="4.5L"),
    ]
    ((late, early, score),) = find_near_duplicates(records)
    assert (late, early, score) == (1, 0, 1.0)
    assert len(find_near_duplicates(records, threshold=0.0)) == 2


# --- Groundedness and relevance --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("310W입니다.", 1.0),
        ("310 W", 1.0),
        ("450W입니다.", 0.0),  # a number the document does not hold
        ("소비 전력은 310W입니다. 그늘에서 하루 말립니다.", 1.0),
        ("310W입니다. 450W입니다.", 0.5),
        ("초록", 0.0),
    ],
)
def test_groundedness_known_values(answer, score):
    (result,) = check_groundedness([record(answer=answer)])
    assert result["score"] == pytest.approx(score)
    if answer == "310W입니다.":
        assert result["sentence"] == "소비 전력은 310W입니다."


def test_groundedness_of_near_wording_lies_between():
    (result,) = check_groundedness([record(answer="그늘에서 이틀 말립니다.")])
    assert 0.3 < result["score"] < 0.8
    assert result["sentence"] == "그늘에서 하루 말립니다."


def test_groundedness_does_not_apply_without_a_document():
    assert check_groundedness([left_out(1)]) == [None]
    raw = RawSample(id="1", group_id="g", question="전력은 얼마인가요?", context=DOCUMENT, answer="310W")
    assert check_groundedness([raw])[0]["score"] == 1.0


def test_relevance_sees_the_answer_to_another_question():
    right, wrong = record(1), record(2, answer="4.5L")
    unjudged, strange = record(3, answer="999kg"), record(4, question="며칠 걸릴까요?")
    results = check_relevance([right, wrong, unjudged, strange])
    assert results[0]["score"] == 1.0 and results[0]["better"] == ""
    assert results[1]["score"] < 0.4 and results[1]["better"] == "소비 전력은 310W입니다."
    assert results[2] is None
    assert results[3]["score"] == 1.0  # other words than the document's: nothing speaks against it


def test_relevance_accepts_a_sentence_that_leads_up_to_the_answer():
    document = "DH-1 사용법입니다. 청소할 때는 이렇게 합니다. 필터를 물에 헹굽니다. 청소 주기는 3주입니다."
    (result,) = check_relevance(
        [record(question="청소할 때 무엇을 하나요?", answer="필터를 물에 헹굽니다.", document=document)]
    )
    assert result["score"] == 1.0


# --- Lengths and balance ---------------------------------------------------------------------------------------


def test_token_length_stats_known_values():
    stats = token_length_stats([record(i, n_tokens=n) for i, n in enumerate([10, 20, 30, 129])], limit=30)
    assert stats == {
        "count": 4, "mean": 47.25, "median": 25.0, "p95": pytest.approx(114.15), "max": 129,
        "suggested_max_seq_length": 192, "over_limit": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match="01번"):
        token_length_stats([])


def test_balance_and_rebalance():
    records = [record(i, topic="안내" if i < 6 else "보증") for i in range(8)]
    table = balance_table(records)
    assert table.to_dict("list") == {"topic": ["안내", "보증"], "count": [6, 2], "share": [0.75, 0.25]}
    over, under = (rebalance(records, strategy=s, seed=1) for s in ("over", "under"))
    assert balance_table(over)["count"].tolist() == [6, 6]
    assert balance_table(under)["count"].tolist() == [2, 2]
    assert {r.id for r in over} == {r.id for r in records}  # oversampling loses no record
    assert over == rebalance(records, strategy="over", seed=1)
    with pytest.raises(ValueError, match="over"):
        rebalance(records, strategy="both")


# --- Personal data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "masked"),
    [
        ("연락처는 010-0000-1234입니다.", "휴대전화", "01*-****-****"),
        ("연락처는 01000001234예요", "휴대전화", "01*********"),
        ("전화 02-000-1234로", "유선전화", "02-***-****"),
        ("user1@example.com으로 보내 주세요", "이메일", "us***@example.com"),
        ("번호는 850101-1234567입니다", "주민등록번호", "85****-*******"),
        ("카드 1111-2222-3333-4444", "카드번호", "11**-****-****-****"),
        ("계좌 110-234-567890입니다", "계좌번호", "11*-***-******"),
    ],
)
def test_personal_data_is_found_and_masked(text, kind, masked):
    (hit,) = find_personal_data(text)
    assert (hit["kind"], hit["masked"]) == (kind, masked)
    assert text[hit["start"] : hit["end"]] == hit["text"]
    assert mask_personal_data(text) == text.replace(hit["text"], masked)
    assert find_personal_data(mask_personal_data(text)) == [] or kind == "이메일"


@pytest.mark.parametrize(
    "text",
    ["DH-2741의 소비 전력은 310W입니다.", "2024-01-15에 출시", "1,249,000원", "1588-0000", "991301-1234567"],
)
def test_ordinary_numbers_are_not_personal(text):
    assert find_personal_data(text) == []


# --- All together ----------------------------------------------------------------------------------------------


class Characters:
    """A tokenizer that counts characters."""

    def encode(self, text, add_special_tokens):
        return list(text)


def test_clean_records_explains_what_it_takes_away():
    records = [
        record(1),
        record(2),
        record(3, question="안녕하세요, 다온 DH-1의 소비 전력은 얼마인가요?"),
        record(4, question="다온 DH-1의 무게는 얼마인가요?", answer="99kg"),
        record(5, question="다온 DH-1의 소비 전력을 알려 주세요.", answer="4.5L"),
        record(
            6, question="물통에 얼마나 담나요?", answer="4.5L", context=[OTHER + " 010-0000-1234", DOCUMENT]
        ),
        left_out(7, question="다온 DH-1의 색상은 무엇인가요?"),
        record(8, question="며칠 말려야 하나요?", answer="그늘에서 하루 말립니다.", n_tokens=900),
    ]
    kept, findings = clean_records(records, tokenizer=Characters(), max_tokens=640)
    assert [r.id for r in kept] == ["r1", "r6", "r7"]
    assert [(f["id"], f["check"], f["action"]) for f in findings] == [
        ("r2", "exact_duplicate", "removed"),
        ("r3", "near_duplicate", "removed"),
        ("r4", "groundedness", "removed"),
        ("r5", "relevance", "removed"),
        ("r6", "personal_data", "masked"),
        ("r8", "token_length", "removed"),
    ]
    masked = kept[1]
    assert masked.context == [OTHER + " 01*-****-****", DOCUMENT]
    assert masked.n_tokens == count_tokens(masked, Characters())
    assert records[5].context[0].endswith("1234")  # the input is left as it was
    assert clean_records(kept) == (kept, [])


texts = st.sampled_from(
    ["310W", "4.5L", "초록", "다온 DH-1의 소비 전력은?", "010-0000-1234", "물통 용량은?", DOCUMENT]
)
any_record = st.builds(
    lambda question, answer, golden: (
        record(0, question, answer) if golden else left_out(0, question=question)
    ),
    texts,
    texts,
    st.booleans(),
)


@given(st.lists(any_record, max_size=6))
def test_no_record_is_lost(records):
    records = [r.model_copy(update={"id": f"r{i}"}) for i, r in enumerate(records)]
    kept, findings = clean_records(records)
    removed = [finding["id"] for finding in findings if finding["action"] == "removed"]
    assert sorted([r.id for r in kept] + removed) == sorted(r.id for r in records)
