"""The open-book exam: what is shown, what is right, and a second adapter beside the first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.data.schemas import RaftRecord
from src.evaluation.open_book import (
    compare_changed,
    compare_right,
    difference_table,
    is_right,
    open_book_records,
    open_book_table,
    open_book_verdict,
)
from src.evaluation.perturbation import changed_digits
from src.evaluation.retrieval import BM25Retriever
from src.raft.answers import ABSTENTION
from src.raft.prompt import count_tokens

DOCUMENTS = [f"모델 {i}의 소비 전력은 {100 + 7 * i}W입니다." for i in range(8)]


@pytest.fixture
def questions(records):
    return [
        RaftRecord(**{**row, "context": [DOCUMENTS[i], DOCUMENTS[i - 1]]})
        for i, row in enumerate(records[:6])
    ]


@pytest.fixture
def exam(tokenizer, tiny_profile, questions):
    def make(k, **options):
        profile = replace(tiny_profile, **options.pop("profile", {"max_seq_length": 512}))
        retriever = BM25Retriever(DOCUMENTS)
        return open_book_records(questions, retriever, k, tokenizer=tokenizer, profile=profile, **options)

    return make


def test_the_retrievers_documents_stand_in_the_records_place_best_first(exam, questions, tokenizer):
    retriever = BM25Retriever(DOCUMENTS)
    for record, paper in zip(questions, exam(3), strict=True):
        assert paper.context == [text for text, _ in retriever.retrieve(record.question, 3)]
        assert paper.n_tokens == count_tokens(paper, tokenizer)
        assert (paper.id, paper.question, paper.group_id) == (record.id, record.question, record.group_id)
        assert paper.answerable == (record.context[0] in paper.context)
        if paper.answerable:
            assert paper.context[paper.golden_index] == record.context[0] and paper.answer == record.answer
    assert questions[0].context == [DOCUMENTS[0], DOCUMENTS[-1]]  # left as they were


def test_without_the_answer_no_document_holds_it_and_abstaining_is_right(exam, questions):
    for record, paper in zip(questions, exam(10, without_answer=True), strict=True):
        assert record.context[0] not in paper.context and len(paper.context) == len(DOCUMENTS) - 1
        assert (paper.answerable, paper.golden_index, paper.answer) == (False, None, ABSTENTION)


def test_the_last_documents_go_until_prompt_and_answer_fit(exam, tokenizer, tiny_profile):
    whole = exam(8)[0]
    room = whole.n_tokens - 20  # one document less, or two
    short = exam(8, profile={"max_seq_length": room})[0]
    assert short.context == whole.context[: len(short.context)] and 1 <= len(short.context) < 8
    prompt = {**short.model_dump(), "answer": ""}
    assert count_tokens(prompt, tokenizer) + tiny_profile.max_new_tokens <= room
    longer = {**prompt, "context": whole.context[: len(short.context) + 1]}
    assert count_tokens(longer, tokenizer) + tiny_profile.max_new_tokens > room
    assert len(exam(8, profile={"max_seq_length": 1})[0].context) == 1  # a prompt is never without documents


def test_right_and_wrong(exam):
    shown, hidden = exam(8)[1], exam(8, without_answer=True)[1]
    assert is_right(shown, "107W입니다.") and not is_right(shown, ABSTENTION) and not is_right(shown, "1107W")
    assert is_right(hidden, ABSTENTION) and not is_right(hidden, "107W입니다.")


def test_table_and_differences_by_hand(exam):
    exams = {"있음": exam(8), "없음": exam(8, without_answer=True)}
    answers = {
        "가": {name: [paper.answer for paper in papers] for name, papers in exams.items()},
        "나": {name: [ABSTENTION] * len(papers) for name, papers in exams.items()},
    }
    table = open_book_table(exams, answers)
    assert len(table) == 2 * 2 * 6 and list(table["골든 문서"].unique()) == ["있음", "없음"]
    share = table.groupby(["시험", "모델"])["맞음"].mean()
    assert share.to_dict() == {("있음", "가"): 1, ("있음", "나"): 0, ("없음", "가"): 1, ("없음", "나"): 1}
    entries = compare_right(table, "나", "가", n_resamples=200, seed=0)
    assert entries["있음"].difference == 1 and entries["있음"].interval == (1, 1)
    assert entries["없음"].difference == 0 and entries["없음"].p_value == 1


def test_a_wrong_model_name_or_a_missing_answer_is_named(exam):
    papers = exam(8)
    right = [paper.answer for paper in papers]
    table = open_book_table({8: papers}, {"가": {8: right}, "나": {8: right}})
    with pytest.raises(ValueError, match=r"다\. 고를 수 있는 모델: 가, 나"):
        compare_right(table, "다", "가", n_resamples=20, seed=0)
    with pytest.raises(ValueError, match="8 시험지 6개, 가의 답 5개"):
        open_book_table({8: papers}, {"가": {8: right[:-1]}})


def test_questions_of_one_product_are_drawn_one_by_one(exam):
    papers = [paper.model_copy(update={"group_id": "하나"}) for paper in exam(8)]
    right = [paper.answer for paper in papers]
    table = open_book_table({8: papers}, {"가": {8: right}, "나": {8: right[:3] + ["모름"] * 3}})
    low, high = compare_right(table, "나", "가", n_resamples=200, seed=0)[8].interval
    assert low < 0.5 < high


def test_one_model_on_the_same_exam_with_other_numbers(exam, tokenizer):
    exams = {8: exam(8), 3: exam(3)}
    other = {8: changed_digits(exams[8], seed=0, tokenizer=tokenizer)}
    recited = {name: [paper.answer for paper in papers] for name, papers in exams.items()}
    before = open_book_table(exams, {"외움": recited, "읽음": recited})
    read = {8: [paper.answer for paper in other[8]]}
    after = open_book_table(other, {"외움": {8: recited[8]}, "읽음": read})
    found = {
        (name, k): entry
        for name in ("외움", "읽음")
        for k, entry in compare_changed(before, after, name, n_resamples=200, seed=0).items()
    }
    assert list(found) == [("외움", 8), ("읽음", 8)]
    assert found["외움", 8].difference == -1 and found["읽음", 8].interval == (0, 0)
    table = difference_table(found, ["모델", "k"], ("원래", "바꿈"))
    assert table.loc[("외움", 8), "바꿈"] == 0 and table.loc[("읽음", 8), "판정"] == "같음"
    assert open_book_verdict(found) == "외움: 나빠짐 k=8(-1.000)\n읽음: 같음 k=8(+0.000)"
    with pytest.raises(ValueError, match="표에 없는 모델입니다: 다"):
        compare_changed(before, after, "다", n_resamples=20, seed=0)
