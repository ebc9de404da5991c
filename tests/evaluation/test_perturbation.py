"""Other digits in the documents: what may change, what may not, and that the answer changes with them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raft_records import DOCUMENT, OTHER, left_out, record

from src.evaluation.perturbation import changed_digits
from src.raft.answers import ABSTENTION, strip_answer_form
from src.raft.evidence import find_answer, holds_answer
from src.raft.prompt import count_tokens


def changed(tokenizer, *records, seed=0):
    return changed_digits(records, seed=seed, tokenizer=tokenizer)


def test_document_and_answer_change_alike_and_nothing_else(tokenizer):
    old = record(document=f"{DOCUMENT} 값은 1,310,000원, 번호는 310번입니다.")
    (new,) = changed(tokenizer, old)
    assert new.question == old.question and new.context[0] == OTHER
    one, three = (new.context[1].split("값은 ")[1][i] for i in (0, 2))
    assert one not in "01" and three not in "03" and one != three
    assert strip_answer_form(new.answer) == f"{three}{one}0W입니다."
    assert f"소비 전력은 {three}{one}0W입니다." in new.context[1]
    assert f"값은 {one},{three}{one}0,000원, 번호는 {three}{one}0번" in new.context[1]
    assert (new.id, new.group_id, new.golden_index) == (old.id, old.group_id, old.golden_index)
    assert new.n_tokens == count_tokens(new, tokenizer) and "310W" in old.context[1]  # left as it was


def test_numbers_that_the_question_names_stay_wherever_they_stand(tokenizer):
    question = "DH-2741은 1,500원짜리인가요?"
    old = record(question=question, document="DH-2741의 값은 1500원이고 전력은 310W, 무게는 2740g입니다.")
    (new,) = changed(tokenizer, old)
    assert new.context[1].startswith("DH-2741의 값은 1500원이고")
    assert "310W" not in new.context[1] and "2740g" not in new.context[1]


def test_an_abstention_and_an_answer_in_words_stay(tokenizer):
    empty, words = left_out(2), record(3, answer="그늘에서 하루 말립니다.")
    made = changed(tokenizer, empty, words)
    assert [r.answer for r in made] == [ABSTENTION, words.answer]
    assert made[0].context[1] != empty.context[1]


def test_the_seed_decides_and_records_differ(tokenizer):
    first, second = record(1), record(2)
    assert changed(tokenizer, first, second) == changed(tokenizer, first, second)
    texts = {changed(tokenizer, r, seed=seed)[0].context[1] for r in (first, second) for seed in range(4)}
    assert len(texts) > 4


numbers = st.one_of(
    st.integers(0, 99_999).map(str),
    st.integers(1000, 999_999).map("{:,}".format),
    st.decimals(0, 99, places=1).map(str),
)


@given(st.lists(numbers, min_size=2, max_size=6), numbers, st.integers(0, 5))
def test_what_held_the_answer_holds_it_and_no_other_document(tokenizer, values, asked, seed):
    documents = [f"전력은 {value}W이고 무게는 3kg입니다." for value in values]
    old = record(answer=f"{values[0]}W", document=documents[0], question=f"모델 {asked}의 전력은?")
    old = old.model_copy(update={"context": documents, "golden_index": 0})
    (new,) = changed(tokenizer, old, seed=seed)
    for before, after in zip([*documents, old.answer], [*new.context, new.answer], strict=True):
        assert re.sub("[0-9]", "0", before) == re.sub("[0-9]", "0", after)
        assert [c == "0" for c in before] == [c == "0" for c in after]
    assert None not in find_answer(new.context[0], new.answer)
    assert [holds_answer(d, new.answer) for d in new.context] == [
        holds_answer(d, old.answer) for d in documents
    ]


@pytest.mark.parametrize("digit", "123456789")
def test_no_digit_but_0_stays(tokenizer, digit):
    for seed in range(20):
        (new,) = changed(tokenizer, record(document=f"값은 {digit}0{digit}입니다."), seed=seed)
        assert digit not in new.context[1] and new.context[1][4] == "0"
