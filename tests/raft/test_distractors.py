from __future__ import annotations

import random
from collections import Counter

import pytest

from src.data.schemas import RawSample
from src.raft import distractors
from src.raft.distractors import DistractorPicker, hard_count
from src.raft.evidence import holds_answer


def sample(
    number: int, context: str, answer: str = "없는 답", question: str = "값은 무엇인가요?"
) -> RawSample:
    return RawSample(
        id=f"s{number}", group_id=f"g{number}", question=question, context=context, answer=answer
    )


def pick(samples, count, *, hard_share=0.5, fits=lambda text: True, row=0, seed=0, evidence=()):
    stats: Counter[str] = Counter()
    picker = DistractorPicker(samples, fits=fits, stats=stats)
    documents, hard, _ = picker.choose(
        row,
        samples[row],
        evidence,
        hard=hard_count(count, hard_share),
        count=count,
        rng=random.Random(seed),
    )
    return documents, hard, stats


def various(count: int) -> list[str]:
    rng = random.Random(1)
    return [" ".join(f"{rng.randrange(10**9)}" for _ in range(6)) + "번 기록입니다." for _ in range(count)]


def test_the_hard_ones_are_the_most_similar():
    texts = [*various(20), "제습기 DH-1의 필터 안내입니다.", "제습기 DH-1의 물통 안내입니다."]
    samples = [sample(0, "제습기 DH-1의 소비 전력은 310W입니다.", "310W", "제습기 DH-1의 소비 전력은?")]
    samples += [sample(i, text) for i, text in enumerate(texts, start=1)]
    documents, hard, _ = pick(samples, 4)
    assert hard == 2 and set(documents[:2]) == set(texts[-2:]) and len(set(documents)) == 4


def test_an_answer_in_any_spelling_keeps_a_document_out():
    """The quick search before the regular expression must refuse nothing less than ``holds_answer`` does."""
    spellings = [
        "색은 dark blue입니다.",
        "색은 DARK  BLUE입니다.",
        "색은 darkblue입니다.",
        "값은 310 원입니다.",
        "값은 310원입니다.",
    ]
    for answer in ("Dark Blue", "310원", "310 원입니다."):
        samples = [sample(0, "정답 문서는 따로 있습니다.", answer)]
        texts = [f"{one} {other}" for one, other in zip(spellings, various(5), strict=True)]
        samples += [sample(i, text) for i, text in enumerate([*texts, *various(15)[5:]], start=1)]
        documents, _, stats = pick(samples, len(samples))
        assert not any(holds_answer(text, answer) for text in documents)
        assert len(documents) + stats["holds_answer"] == len(samples) - 1 == stats["examined"]
        assert stats["holds_answer"] == sum(holds_answer(text, answer) for text in texts) > 1


def test_near_copies_of_one_another_do_not_come_together():
    twins = [
        "긴 글입니다. " + "서로 다른 내용을 자세히 설명하는 글입니다. " * 4 + f"판 {i}." for i in range(3)
    ]
    samples = [sample(i, text) for i, text in enumerate([*various(3), *twins])]
    documents, _, stats = pick(samples, 6)
    assert sum(text in twins for text in documents) == 1 and len(documents) == 3
    _, _, stats = pick(samples, 6, row=4)
    assert stats["near_copy"] == 2


def test_what_does_not_fit_is_not_chosen_and_counted():
    samples = [sample(i, text) for i, text in enumerate(various(9))]
    documents, _, stats = pick(samples, 9, fits=lambda text: text != samples[3].context)
    assert len(documents) == 7 and samples[3].context not in documents and stats["too_long"] == 1


def test_an_evidence_sentence_keeps_a_document_out():
    samples = [
        sample(0, "방은 2칸이다. 끝.", "2"),
        sample(1, "옛 글에 방은  2칸이다. 라고 한다."),
        sample(2, "마당이 넓다."),
    ]
    assert pick(samples, 2)[0] != pick(samples, 2, evidence=["방은 2칸이다."])[0] == ["마당이 넓다."]


def test_a_small_first_draw_still_finds_every_document(monkeypatch):
    monkeypatch.setattr(distractors, "FIRST_DRAW", 5)
    samples = [sample(i, text) for i, text in enumerate(various(30))]
    documents, hard, stats = pick(samples, 29, hard_share=0)
    assert len(set(documents)) == 29 and hard == 0 and stats["examined"] == 29


@pytest.mark.parametrize("block", [1, 3, 512])
def test_neighbours_do_not_depend_on_the_block(block):
    texts = [*various(7), "같은 글입니다. 판 하나.", "같은 글입니다. 판 하나!"]
    assert distractors._neighbours(texts, texts, block=block) == distractors._neighbours(texts, texts)
