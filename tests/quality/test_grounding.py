from __future__ import annotations

import pytest
from raft_records import DOCUMENT, left_out, record

from src.data.schemas import RawSample
from src.quality.grounding import MIN_PEERS, check_groundedness, check_relevance


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


def asked_loudness(number, answer, noise="43dB", power="310W"):
    """ "How loud is it?" shares no word with "the noise is 43 dB"."""
    name = f"제품{number} DH-{number}"
    document = f"{name} 안내입니다. {name}의 소비 전력은 {power}입니다. {name}의 작동 소음은 {noise}입니다."
    return RawSample(
        id=str(number),
        group_id=name,
        question=f"{name}, 얼마나 시끄러운가요?",
        context=document,
        answer=answer,
    )


def test_relevance_learns_what_words_mean_from_those_who_ask_the_same():
    peers = [
        asked_loudness(i, f"{40 + i}dB", noise=f"{40 + i}dB", power=f"{300 + i}W") for i in range(MIN_PEERS)
    ]
    wrong = asked_loudness(9, "310W")
    *right, judged = check_relevance([*peers, wrong])
    assert [result["score"] for result in right] == [1.0] * MIN_PEERS
    assert judged["score"] < 0.6 and "작동 소음" in judged["better"]
    (alone,) = check_relevance([wrong])  # nobody else asks: nothing speaks against it
    assert alone["score"] == 1.0


def test_relevance_needs_peers_of_other_groups():
    wrong = [asked_loudness(9, "310W") for _ in range(5)] + [asked_loudness(1, "41dB", noise="41dB")]
    assert {result["score"] for result in check_relevance(wrong)} == {1.0}


def test_a_sentence_of_many_products_that_answers_somebody_is_no_boilerplate():
    """ "소음 원인은 느슨한 나사입니다." stands in many documents word for word, and is an answer all the same."""
    rows = [
        RawSample(
            id=str(i), group_id=f"제품{i}", question=f"제품{i}의 {asked} 원인은 무엇인가요?",
            context=f"제품{i} 진단표입니다. 소음 원인은 느슨한 나사입니다. 전원 불량 원인은 휜 퓨즈입니다.",
            answer=answer,
        )
        for i, (asked, answer) in enumerate([("소음", "느슨한 나사입니다.")] * 5 + [("소음", "휜 퓨즈입니다.")])
    ]  # fmt: skip
    *right, wrong = check_relevance(rows)
    assert {result["score"] for result in right} == {1.0}
    assert wrong["score"] < 0.7 and wrong["better"] == "소음 원인은 느슨한 나사입니다."


def test_a_question_in_words_of_its_own_needs_a_sentence_that_holds_more_of_it():
    """In running prose the answer often stands beside the sentence that looks like the question."""
    document = (
        "새 정부를 알립니다. 전쟁과 같은 비상 시국에는 모든 정당이 내각에 참여한다. "
        "이때 세워지는 정부를 거국 내각이라 부른다."
    )
    row = RawSample(
        id="1", group_id="정치", context=document, answer="거국 내각",
        question="비상 시국에 정당이 힘을 합치려고 만드는 조직을 무엇이라고 하나요?",
    )  # fmt: skip
    (result,) = check_relevance([row])
    assert result["score"] == 1.0 and result["better"] == ""


def test_checks_of_nothing():
    assert check_groundedness([]) == check_relevance([]) == []


def test_a_single_digit_stands_before_its_unit():
    """Annotators of running text leave the unit out; a digit of a longer number is still another number."""
    document = "서당이 있었다. 배우는 아이는 모두 8명이었고 나무는 31그루였다."
    asked = [record(1, "아이는 몇이었나요?", answer, document) for answer in ("8", "1", "8.")]
    assert [found["score"] for found in check_groundedness(asked)] == [1.0, 0.0, 1.0]
