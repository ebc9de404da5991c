"""Other numbers in document and answer alike: what was grounded stays grounded."""

from __future__ import annotations

from dataclasses import replace

from src.data.schemas import RawSample
from src.experiments.augmentation import augmented_records, renumbered
from src.raft.evidence import holds_answer

SIDES = "강당 정원 서고 매점 식당 주차장 화장실 놀이터".split()


def samples(n=8):
    rows = []
    for i in range(n):
        text = f"{i}관 안내입니다. 대출 기간은 {i + 11}일입니다. 열람석은 {i + 300}석입니다. 문은 {SIDES[i]} 쪽에 있습니다."
        for k, (question, answer) in enumerate(
            [
                ("대출 기간은 며칠인가요?", f"{i + 11}일입니다."),
                ("열람석은 몇 석인가요?", f"{i + 300}석입니다."),
                ("문은 어디에 있나요?", f"{SIDES[i]} 쪽에 있습니다."),
            ]
        ):
            rows.append(
                RawSample(id=f"{i}-{k}", group_id=f"g{i}", question=question, context=text, answer=answer)
            )
    return rows


def test_answers_change_with_their_documents():
    rows = samples()
    made = renumbered(rows, seed=1)
    assert len(made) == len(rows)
    for old, new in zip(rows, made, strict=True):
        assert holds_answer(new.context, new.answer) and new.group_id == old.group_id
        assert new.question == old.question and len(new.answer) == len(old.answer)
        assert (new.answer == old.answer) == ("쪽에" in old.answer)
        assert new.context.split(". ")[0] == old.context.split(". ")[0]  # its title
    assert len({s.id for s in [*rows, *made]}) == 2 * len(rows)
    assert any(new.context.find("문은") < new.context.find("대출") for new in made)


def test_the_same_seed_the_same_rows_another_seed_others():
    rows = samples()
    assert renumbered(rows, seed=1) == renumbered(rows, seed=1) != renumbered(rows, seed=2)


def test_numbers_of_the_question_and_longer_numbers_are_left_alone():
    text = "A1 안내입니다. 12일에 엽니다. 값은 1,512원입니다. 12.5도를 지킵니다."
    row = RawSample(id="a", group_id="g", question="언제 여나요?", context=text, answer="12일입니다.")
    (new,) = renumbered([row], seed=3)
    assert "1,512원" in new.context and "12.5도" in new.context and "12일" not in new.context
    known = row.model_copy(update={"question": "12일에 무엇을 하나요?"})
    assert renumbered([known], seed=3) == []


def test_a_document_out_of_free_numbers_keeps_its_own():
    text = "안내입니다. " + " ".join(f"{n}번 문이 있습니다." for n in range(1, 10))
    row = RawSample(id="a", group_id="g", question="몇 번인가요?", context=text, answer="3번입니다.")
    assert renumbered([row], seed=0)[0].answer == "3번입니다."


def test_rounds_become_records_that_do_not_contradict_themselves(tiny_profile, tokenizer):
    profile = replace(tiny_profile, num_distractors=2, golden_probability=1.0, max_context_tokens=400)
    records = augmented_records(samples(), profile, tokenizer, copies=2)
    assert len(records) == 2 * len(samples())
    for record in records:
        titles = [text.split(" 안내")[0] for text in record.context]
        assert len(set(titles)) == len(titles)  # one version of a document at the most
    assert augmented_records(samples(), profile, tokenizer, copies=0) == []
