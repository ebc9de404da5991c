"""Piles of documents, pieces of a text and map-reduce, with models that are functions."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.schemas import RaftRecord
from src.evaluation import Asker, map_reduce, pack, pile, split_text, whole_in_a_piece
from src.raft.answers import ABSTENTION, is_abstention

TITLE, FACT = "가온 청소기 안내입니다.", "무게는 3.1kg입니다."
GOLDEN = f"{TITLE} 색상은 검은색입니다. {FACT}"
OTHERS = [f"다온 가습기 {number}호 안내입니다. 용량은 {number}L입니다." for number in range(4, 12)]


def record(answer="문맥에 따르면 3.1kg입니다.", golden_index=0):
    return RaftRecord(
        id="r",
        instruction="답하세요.",
        context=[GOLDEN],
        question="가온 청소기의 무게는 얼마인가요?",
        answer=answer,
        group_id="가온 청소기",
        golden_index=golden_index,
        answerable=True,
        n_tokens=1,
        seed=0,
    )


def reader(rows):
    """Answers with the weight where a prompt shows it, else abstains."""
    return [
        next(("문맥에 따르면 3.1kg입니다." for text in row.context if FACT in text), ABSTENTION)
        for row in rows
    ]


# --- Piles ------------------------------------------------------------------------------------------------------------


def test_a_pile_holds_the_golden_document_once_and_smaller_piles_are_part_of_larger_ones():
    holding = "라온 선풍기 안내입니다. 무게는 3.1kg입니다."
    piles = [pile(record(), [GOLDEN, holding, *OTHERS], size, seed=3) for size in range(1, 10)]
    assert [len(texts) for texts in piles] == list(range(1, 10))
    assert all(texts.count(GOLDEN) == 1 and holding not in texts for texts in piles)
    assert all(set(small) < set(large) for small, large in pairwise(piles))
    assert piles[-1] == pile(record(), [GOLDEN, holding, *OTHERS], 9, seed=3)
    places = {pile(record(), OTHERS, 5, seed=seed).index(GOLDEN) for seed in range(20)}
    assert len(places) > 2  # not always first or last


def test_a_pile_without_the_answer():
    texts = pile(record(), [GOLDEN, *OTHERS], 8, seed=3, with_answer=False)
    assert sorted(texts) == sorted(OTHERS)


@pytest.mark.parametrize(("size", "golden"), [(0, 0), (10, 0), (3, None)])
def test_what_cannot_be_piled_is_told(size, golden):
    with pytest.raises(ValueError, match=r"쌓을 수 없습니다|골든 문서가 없습니다"):
        pile(record(golden_index=golden), OTHERS, size, seed=0)


# --- Pieces -----------------------------------------------------------------------------------------------------------


def test_pieces_end_with_a_sentence_and_begin_with_the_end_of_the_one_before():
    text = "하나입니다. 둘입니다. 셋입니다. 넷입니다."
    assert split_text(text, size=13) == ["하나입니다. 둘입니다.", "셋입니다. 넷입니다."]
    assert split_text(text, size=13, overlap=6) == [
        "하나입니다. 둘입니다.",
        "둘입니다. 셋입니다.",
        "셋입니다. 넷입니다.",
    ]
    assert split_text(text, size=3, overlap=2) == text.split()  # longer sentences stand alone
    assert split_text("", size=5) == []


@given(
    st.lists(st.text("가나다라", min_size=1, max_size=12), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(0, 39),
)
def test_nothing_is_lost_and_every_piece_brings_something_new(words, size, overlap):
    sentences = [f"{number}{word}다." for number, word in enumerate(words)]
    pieces = [p.split() for p in split_text(" ".join(sentences), size=size, overlap=min(overlap, size - 1))]
    assert list(dict.fromkeys(s for piece in pieces for s in piece)) == sentences
    assert all(len(piece) == 1 or len(" ".join(piece)) <= size for piece in pieces)
    assert all(set(after) - set(before) for before, after in pairwise(pieces))


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_an_impossible_overlap_is_told(size, overlap):
    with pytest.raises(ValueError, match="겹침은 0 이상"):
        split_text("글입니다.", size=size, overlap=overlap)


def test_a_fact_is_whole_where_its_document_is_named():
    assert whole_in_a_piece(record(), [GOLDEN])
    assert not whole_in_a_piece(record(), [TITLE, f"색상은 검은색입니다. {FACT}"])
    assert not whole_in_a_piece(record("문맥에 따르면 9kg입니다."), [GOLDEN])


def test_pack():
    assert pack(["a", "b", "a", "c"], 2) == [["a", "b"], ["c"]]
    with pytest.raises(ValueError, match="1개 이상"):
        pack(["a"], 0)


# --- Map-reduce -------------------------------------------------------------------------------------------------------


def test_the_one_chunk_that_answers_is_the_answer():
    rounds = []

    def ask(rows):
        rounds.append(len(rows))
        return reader(rows)

    chunks = [pack([*OTHERS, GOLDEN], 3), pack(OTHERS[:2], 3)]
    answers = map_reduce([record(), record()], chunks, ask, count=3)
    assert answers[0] == "문맥에 따르면 3.1kg입니다." and is_abstention(answers[1])
    assert rounds == [4]


def test_of_several_answers_their_documents_are_read_together():
    seen = []

    def ask(rows):
        seen.append([row.context for row in rows])
        wrong = [
            "문맥에 따르면 4L입니다." if OTHERS[0] in row.context else a
            for row, a in zip(rows, reader(rows), strict=True)
        ]
        return reader(rows) if len(rows) == 1 else wrong

    answers = map_reduce([record()], [pack([*OTHERS, GOLDEN], 3)], ask, count=3)
    assert answers == ["문맥에 따르면 3.1kg입니다."]
    assert seen[1] == [[OTHERS[0], GOLDEN]]


def test_an_answer_that_its_chunk_does_not_hold_loses_to_one_that_is_there():
    def ask(rows):
        return [a if not is_abstention(a) else "문맥에 따르면 77V입니다." for a in reader(rows)]

    assert map_reduce([record()], [pack([*OTHERS, GOLDEN], 3)], ask, count=3) == [
        "문맥에 따르면 3.1kg입니다."
    ]
    assert map_reduce([record()], [pack(OTHERS, 3)], ask, count=3) == ["문맥에 따르면 77V입니다."]


def test_it_ends_where_every_chunk_goes_on_answering_otherwise():
    def ask(rows):
        return [f"문맥에 따르면 {row.context[0].split()[2]}입니다." for row in rows]

    assert map_reduce([record()], [pack(OTHERS, 1)], ask, count=1) == ["문맥에 따르면 4호입니다."]


# --- The account ------------------------------------------------------------------------------------------------------


def test_calls_and_tokens_are_counted_and_what_has_no_room_is_not_asked(monkeypatch):
    class Tokenizer:
        def apply_chat_template(self, messages, **_):
            return " ".join(message["content"] for message in messages)

        def __call__(self, text, **_):
            return {"input_ids": text.split()}

        encode = staticmethod(lambda text, **_: text.split())

    def generate(model, tokenizer, messages, *, max_new_tokens, batch_tokens):
        return ["두 낱말"] * len(messages)

    monkeypatch.setattr("src.evaluation.long_documents.generate_answers", generate)
    monkeypatch.setattr(
        "src.evaluation.long_documents.answer_tokens", lambda tokenizer, text: len(text.split())
    )
    model = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=40))
    ask = Asker(model, Tokenizer(), 5, {"batch_tokens": 100})
    long = record().model_copy(update={"context": [GOLDEN] * 20})
    assert ask([record(), long, record()]) == ["두 낱말", "", "두 낱말"]
    size = len(f"답하세요. [문서 1] {GOLDEN} [질문] {record().question}".split())
    assert (ask.calls, ask.no_room, ask.tokens) == (2, 1, 2 * (size + 2))
