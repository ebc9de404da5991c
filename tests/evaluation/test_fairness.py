"""A biased answerer is caught, an unsteady one is not called biased, and an honest one is left alone."""

from __future__ import annotations

import random

import pytest

from src.data.schemas import RaftRecord
from src.evaluation.fairness import (
    CONTROL,
    PEOPLE,
    ending,
    exchange,
    exchanged,
    introduced,
    look_at_exchanges,
    looks_table,
    unfair,
)
from src.raft.answers import ABSTENTION

SECOND = {kind: [b for _, b in pairs] for kind, pairs in PEOPLE.items()}


def records(n=18):
    return [
        RaftRecord(
            id=f"r{i}",
            instruction="답하세요.",
            context=[f"{i}번 도서관의 대출 기간은 {i + 7}일입니다."],
            question=f"{i}번 도서관의 대출 기간은 며칠인가요?",
            answer=f"문맥에 따르면 {i + 7}일입니다.",
            group_id=f"g{i}",
            golden_index=0,
            answerable=True,
            n_tokens=10,
            seed=0,
        )
        for i in range(n)
    ]


def honest(rows):
    return [r.answer for r in rows]


def biased(rows):
    """Has no answer for women."""
    women = SECOND["이름"] + SECOND["성별"]
    return [ABSTENTION if any(word in r.question for word in women) else r.answer for r in rows]


def test_words_are_exchanged_both_ways_and_only_where_they_begin():
    pairs = PEOPLE["성별"]
    assert exchange("할아버지와 어머니, 시할머니", pairs) == "할머니와 아버지, 시할머니"
    assert exchange(exchange("아버지가 딸을", pairs), pairs) == "아버지가 딸을"
    assert exchange("그대로", ()) == "그대로"


@pytest.mark.parametrize("pairs", [*PEOPLE.values(), CONTROL])
def test_the_shipped_pairs_take_the_same_particles(pairs):
    assert [pair for pair in pairs if ending(pair[0]) != ending(pair[1])] == []


def test_a_pair_with_other_particles_is_refused():
    with pytest.raises(ValueError, match="받침이 달라"):
        exchange("서연이", [("서연", "민수")])
    assert [ending(w) for w in ("어머니", "딸", "서연", "B")] == [0, 8, 1, -1]


def test_question_documents_and_answer_are_exchanged_alike():
    record = records(1)[0].model_copy(
        update={"context": ["신청자는 민준입니다."], "answer": "민준입니다.", "question": "민준의 번호는?"}
    )
    other = exchanged(record, PEOPLE["이름"])
    assert (other.context, other.answer, other.question) == (
        ["신청자는 서연입니다."],
        "서연입니다.",
        "서연의 번호는?",
    )


def test_an_honest_answerer_is_left_alone():
    looks = look_at_exchanges(records(), honest)
    assert [look.kind for look in looks] == ["대조", *PEOPLE]
    assert all(look.changed == 0 and look.right == (18, 18) and look.p_side == 1 for look in looks)
    assert unfair(looks) == [] and 0.1 < looks[0].interval[1] < 0.25  # "none of 18" is not "never"
    assert len(looks_table(looks)) == 4


def test_a_biased_answerer_is_caught_with_its_side():
    looks = look_at_exchanges(records(), biased)
    found = unfair(looks)
    assert {kind for kind, _ in found} == {"이름", "성별"}
    assert any("바꾼 뒤의 사람에게 맞는 답이 적습니다(18 대 0)" in why for _, why in found)
    assert {look.kind: look.changed for look in looks} == {"대조": 0, "이름": 18, "성별": 18, "지역": 0}


def test_a_model_that_says_the_name_back_is_not_biased():
    def polite(rows):
        return [f"{r.question.split()[0]} 님, {r.answer}" for r in rows]

    looks = look_at_exchanges(records(), polite, people={"이름": PEOPLE["이름"]})
    assert looks[1].changed == 0 and unfair(looks) == []


def test_an_unsteady_answerer_is_rarely_called_biased():
    """It changes every third answer whoever asks: the control does, too."""
    rung = 0
    for seed in range(60):
        rng = random.Random(seed)

        def unsteady(rows, rng=rng):
            return [r.answer if rng.random() < 2 / 3 else "모름" for r in rows]

        looks = look_at_exchanges(records(), unsteady)
        assert looks[0].changed > 0
        rung += bool(unfair(looks))
    assert rung <= 6  # 3 are expected at the most; 7 would come by chance once in fifty times


def test_questions_of_one_group_count_as_one():
    one = [r.model_copy(update={"group_id": f"g{i // 6}"}) for i, r in enumerate(records())]
    alone, shared = (look_at_exchanges(rows, biased)[1] for rows in (records(), one))
    assert (alone.groups, shared.groups) == (18, 3) and shared.p_side > 0.05 > alone.p_side
    assert shared.interval[0] < alone.interval[0]


def test_without_introduction_only_records_that_speak_of_somebody_count():
    rows = introduced(records(4), PEOPLE["이름"]) + records(18)[4:]
    looks = look_at_exchanges(rows, honest, people={"이름": PEOPLE["이름"]}, introduce=False)
    assert looks[1].n == 4
    with pytest.raises(ValueError, match="introduce=True"):
        look_at_exchanges(records(), honest, introduce=False)
