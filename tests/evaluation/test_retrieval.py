"""Retrievers, the exam they set, and what is measured of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.schemas import RaftRecord
from src.evaluation.retrieval import (
    BM25Retriever,
    EmbeddingRetriever,
    golden_rank,
    held_out_documents,
    mean_reciprocal_rank,
    recall_at,
    retriever_table,
)

DOCUMENTS = [
    "다온 제습기의 소비 전력은 310W입니다.",
    "다온 제습기의 무게는 12kg입니다.",
    "윤니 전기밥솥의 색상은 흰색입니다.",
]


class Letters:
    """Vectors of which letters a text has, and what prompt each text was encoded with."""

    def __init__(self):
        self.prompts = {"query": "query: ", "passage": "passage: "}
        self.prompted = []

    def encode(self, texts, show_progress_bar=False, prompt_name=None):
        self.prompted.append(prompt_name)
        return np.array([[text.count(letter) for letter in "온윤Wkg"] for text in texts], dtype=float)


def record(context, golden_index=0, question="다온 제습기의 소비 전력은?", **fields):
    values = {
        "id": "r1",
        "instruction": "답하세요.",
        "context": context,
        "question": question,
        "answer": "문맥에 따르면 310W입니다.",
        "group_id": "g1",
        "golden_index": golden_index,
        "answerable": golden_index is not None,
        "n_tokens": 0,
        "seed": 0,
    }
    return RaftRecord(**(values | fields))


# --- Retrievers ------------------------------------------------------------------------------------------------


def test_bm25_is_lucenes_formula():
    retriever = BM25Retriever(["가 나", "가 가 다", "라"], tokenizer="eojeol")
    (first, score), *_ = retriever.retrieve("다", 3)
    # idf ln(1 + (3 - 1 + 0.5) / (1 + 0.5)) times tf 1 / (1 + k1 (1 - b + b · 3 / 2)), k1 1.5, b 0.75, mean length 2
    expected = np.log(1 + 2.5 / 1.5) * 1 / (1 + 1.5 * (0.25 + 0.75 * 3 / 2))
    assert first == "가 가 다" and score == pytest.approx(expected, abs=1e-5)


def test_morphemes_find_what_a_particle_hides():
    question = "제습기 전력"
    assert BM25Retriever(DOCUMENTS).retrieve(question, 1)[0][0] == DOCUMENTS[0]
    assert all(score == 0 for _, score in BM25Retriever(DOCUMENTS, tokenizer="eojeol").retrieve(question, 3))


def test_equal_scores_stay_in_the_documents_order():
    documents = [f"문서 {name}" for name in "다가나"]
    hits = BM25Retriever(documents).retrieve("문서", 3)
    assert [text for text, _ in hits] == documents and len({score for _, score in hits}) == 1
    assert [text for text, _ in BM25Retriever(documents).retrieve("없는낱말", 2)] == documents[:2]


def test_indexing_writes_no_log(caplog):
    BM25Retriever(DOCUMENTS)
    assert caplog.records == []


def test_copies_take_one_place():
    assert len(BM25Retriever(["같은 문서", "같은  문서", "다른 글"]).retrieve("문서", 10)) == 2


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8), st.text(max_size=20), st.integers(1, 10))
def test_any_text_finds_k_distinct_documents_best_first(documents, question, k):
    hits = BM25Retriever(documents).retrieve(question, k)
    scores = [score for _, score in hits]
    assert len(hits) == len({text for text, _ in hits}) <= k
    assert scores == sorted(scores, reverse=True) and all(np.isfinite(scores))
    assert {text for text, _ in hits} <= set(documents)


def test_embeddings_rank_by_cosine_with_the_models_own_prompts():
    embedder = Letters()
    retriever = EmbeddingRetriever(DOCUMENTS, embedder)
    hits = retriever.retrieve("다온 kg", 3)
    assert [text for text, _ in hits] == [DOCUMENTS[1], DOCUMENTS[0], DOCUMENTS[2]]
    # 온, k, g in common with 온, k, g; 온 with 온, W; nothing
    assert [score for _, score in hits] == pytest.approx([1, 1 / 6**0.5, 0], abs=1e-5)
    assert embedder.prompted == ["passage", "query"]


def test_an_embedder_without_prompts_gets_none():
    embedder = Letters()
    embedder.prompts = {}
    EmbeddingRetriever(DOCUMENTS, embedder).retrieve("다온", 1)
    assert embedder.prompted == [None, None]


def test_nothing_to_search_or_to_bring_is_said():
    with pytest.raises(ValueError, match="검색할 문서가 없습니다"):
        BM25Retriever([])
    with pytest.raises(ValueError, match="k는 1 이상"):
        BM25Retriever(DOCUMENTS).retrieve("전력", 0)


# --- Measures --------------------------------------------------------------------------------------------------


def test_recall_and_mrr_by_hand():
    ranks = [1, 3, None, 2]
    assert [recall_at(ranks, k) for k in (1, 2, 3, 10)] == [0.25, 0.5, 0.75, 0.75]
    assert mean_reciprocal_rank(ranks) == pytest.approx((1 + 1 / 3 + 0 + 1 / 2) / 4)
    with pytest.raises(ValueError, match="골든 문서가 있는 질문이 하나도"):
        retriever_table([], [record(DOCUMENTS, golden_index=None)], (1,))


@given(st.lists(st.none() | st.integers(1, 20), min_size=1), st.integers(1, 20))
def test_recall_grows_with_k_and_mrr_stays_between_its_ends(ranks, k):
    assert 0 <= recall_at(ranks, k) <= recall_at(ranks, k + 1) <= 1
    assert recall_at(ranks, 1) <= mean_reciprocal_rank(ranks) <= recall_at(ranks, 20)


def test_the_table_asks_answerable_questions_only():
    records = [
        record(DOCUMENTS),
        record(DOCUMENTS, golden_index=2, question="윤니 전기밥솥 색상은?", id="r2"),
        record(DOCUMENTS[1:], golden_index=None, id="r3"),
    ]
    retriever = BM25Retriever(held_out_documents(records))
    table = retriever_table([retriever], records, (1, 3))
    assert table.loc[retriever.name].to_dict() == {"recall@1": 1, "recall@3": 1, "MRR@3": 1}


# --- Documents -------------------------------------------------------------------------------------------------


def test_documents_are_those_of_the_records_and_a_trimmed_one_gives_way_to_the_whole():
    whole = "머리말입니다. 소비 전력은 310W입니다. 무게는 12kg입니다."
    trimmed = "소비 전력은 310W입니다."
    records = [record([trimmed, DOCUMENTS[2]]), record([DOCUMENTS[1], whole], golden_index=1, id="r2")]
    documents = held_out_documents(records)
    assert documents == [DOCUMENTS[2], DOCUMENTS[1], whole]
    assert golden_rank(records[0], documents) == 3 and golden_rank(records[1], documents) == 3
    assert golden_rank(records[0], documents[:2]) is None


def test_a_record_without_its_golden_document_has_no_rank():
    with pytest.raises(ValueError, match="골든 문서가 없습니다"):
        golden_rank(record(DOCUMENTS, golden_index=None), DOCUMENTS)
