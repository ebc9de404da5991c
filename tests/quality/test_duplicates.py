from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from raft_records import DOCUMENT, left_out, record

from src.data.schemas import RawSample
from src.quality import duplicates
from src.quality.duplicates import find_exact_duplicates, find_near_duplicates


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


def samples(questions, group="다온 DH-1"):
    return [
        RawSample(id=str(i), group_id=group, question=question, context=DOCUMENT, answer="310W")
        for i, question in enumerate(questions)
    ]


def test_near_duplicates_of_left_out_records():
    records = [
        record(1),
        left_out(2, question="혹시 다온 DH-1의 소비 전력은 얼마인가요?"),
        left_out(3, question="다온 DH-1의 소비 전력을 알려 주세요."),  # other words
        left_out(4, group_id="누리 DH-9"),  # another product
        left_out(5, question="다온 DH-1의 소비 전력은 얼마인가요"),
    ]
    assert [(late, early) for late, early, _ in find_near_duplicates(records)] == [(1, 0), (4, 1)]


def test_a_large_block_is_compared_by_candidates():
    rng = Random(0)
    words = ["".join(chr(rng.randrange(0xAC00, 0xD7A3)) for _ in range(4)) for _ in range(400)]
    questions = [f"{word}의 {rng.choice(words)}은 무엇인가요?" for word in words]
    greeted = [f"혹시 {question}" for question in questions[::10]]
    assert len(questions) > duplicates.SMALL_BLOCK
    found = find_near_duplicates(samples(questions + greeted))
    wanted = [(len(questions) + i, 10 * i) for i in range(len(greeted))]
    assert len({(late, early) for late, early, _ in found} & set(wanted)) >= 0.95 * len(wanted)
    assert len(found) <= 1.05 * len(wanted)


def test_identical_questions_in_a_large_block_do_not_explode():
    found = find_near_duplicates(samples(["소비 전력은 얼마인가요?"] * 5000))
    assert found == [(late, 0, 1.0) for late in range(1, 5000)]


questions = st.lists(st.text("가나다 ?", min_size=5, max_size=9), max_size=12)


@given(questions, st.lists(st.booleans(), min_size=12, max_size=12))
def test_an_exact_duplicate_is_a_near_one_too(asked, shown):
    rows = [
        (record if golden else left_out)(i, question=question)
        for i, (question, golden) in enumerate(zip(asked, shown, strict=False))
    ]
    near = find_near_duplicates(rows)
    assert {late for late, _ in find_exact_duplicates(rows)} <= {late for late, _, _ in near}
    assert all(0 <= early < late and 0.85 <= score <= 1 for late, early, score in near)
