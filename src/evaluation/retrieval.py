"""Which documents a search brings for a question, and how good the search is: BM25, embeddings, recall@k, MRR.

In the exam of RAFT (arXiv 2403.10131, section 3) nobody puts the golden document on the table: a retriever brings the
top k, with or without it.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from src.data.schemas import RaftRecord, golden_document
from src.data.text import document_key
from src.scoring.tokenizers import TOKENIZERS


class Retriever:
    """Finds among distinct documents by a score for each; equal scores stay in the documents' order."""

    name: str

    def __init__(self, documents: Sequence[str]) -> None:
        first: dict[str, str] = {}
        for document in documents:
            first.setdefault(document_key(document), document)  # copies would take places of the top k
        self.documents = list(first.values())
        if not self.documents:
            raise ValueError("검색할 문서가 없습니다. 문서를 하나 이상 넣어 주세요.")

    def scores(self, question: str) -> np.ndarray:
        """float (number of documents,), higher is better."""
        raise NotImplementedError

    def retrieve(self, question: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` best documents with their scores, best first; fewer where there are no more."""
        if k < 1:
            raise ValueError(f"k는 1 이상이어야 합니다(받은 값: {k}).")
        # Scores of other processors differ in the last digit: that must not decide an order.
        scores = np.round(self.scores(question), 5)
        best = np.argsort(-scores, kind="stable")[:k]
        return [(self.documents[i], float(scores[i])) for i in best]


class BM25Retriever(Retriever):
    """BM25 over mecab-ko morphemes (Robertson & Zaragoza 2009), by bm25s with Lucene's formula, k1 1.5, b 0.75.

    Korean particles stick to their nouns: split at white space, "제습기의" in the document would not be found by
    "제습기" in the question. A question without a word that the documents have scores 0 everywhere.
    """

    name = "BM25(형태소)"

    def __init__(self, documents: Sequence[str], *, tokenizer: str = "mecab") -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets DEBUG when imported
        super().__init__(documents)
        self._split = TOKENIZERS[tokenizer]
        self._index = bm25s.BM25()
        words = [self._split(document.casefold()) for document in self.documents]
        # bm25s cannot index documents without a single word.
        self._known = {word for row in words for word in row}
        if self._known:
            self._index.index(words, show_progress=False)

    def scores(self, question: str) -> np.ndarray:
        words = [word for word in self._split(question.casefold()) if word in self._known]
        return self._index.get_scores(words) if words else np.zeros(len(self.documents))


class EmbeddingRetriever(Retriever):
    """Cosine of question and document vectors of a sentence-transformers model (Karpukhin et al. 2020, arXiv
    2004.04906). Models with prompts named "query" and "passage" (E5, arXiv 2212.03533 §4) get them. What is near is
    what the embedder measures: with the offline one shared characters."""

    name = "임베딩"

    def __init__(self, documents: Sequence[str], embedder: Any) -> None:
        super().__init__(documents)
        self._embedder = embedder
        self._vectors = self._encode(self.documents, "passage")

    def scores(self, question: str) -> np.ndarray:
        return self._vectors @ self._encode([question], "query")[0]

    def _encode(self, texts: Sequence[str], prompt: str) -> np.ndarray:
        named = prompt in (getattr(self._embedder, "prompts", None) or {})
        options = {"prompt_name": prompt} if named else {}
        found = self._embedder.encode(list(texts), show_progress_bar=False, **options)
        vectors = np.asarray(found, dtype=float)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def held_out_documents(records: Sequence[RaftRecord]) -> list[str]:
    """Every distinct document that ``records`` (of the test split) show, in their order.

    A golden document that was trimmed for its own record is dropped where another record shows it whole.
    """
    shown = list(dict.fromkeys(document for record in records for document in record.context))
    golden = {golden_document(record) for record in records}
    return [
        document
        for document in shown
        if document not in golden or not any(document in other for other in shown if other != document)
    ]


def golden_rank(record: RaftRecord, documents: Sequence[str]) -> int | None:
    """Place (from 1) of the record's golden document, whole or trimmed, in ``documents``; None where it is not.

    Raises:
        ValueError: the record was made without its golden document.
    """
    golden = golden_document(record)
    if golden is None:
        raise ValueError(
            f"레코드 {record.id}에는 골든 문서가 없습니다. record.answerable이 참인 것만 넣어 주세요."
        )
    places = (place for place, document in enumerate(documents, start=1) if golden in document)
    return next(places, None)


def recall_at(ranks: Sequence[int | None], k: int) -> float:
    """Share of questions whose golden document is among the first ``k``, 0-1 (one golden document a question)."""
    return float(np.mean([rank is not None and rank <= k for rank in ranks]))


def mean_reciprocal_rank(ranks: Sequence[int | None]) -> float:
    """MRR: mean of 1 / place of the golden document, 0 where it was not found (Voorhees 1999, TREC-8 QA)."""
    return float(np.mean([1 / rank if rank else 0.0 for rank in ranks]))


def retriever_table(retrievers: Sequence[Retriever], records: Sequence[RaftRecord], ks: Sequence[int]) -> Any:
    """recall@k and MRR of each retriever on the answerable ``records`` as a pandas table; MRR looks as far down as
    the largest of ``ks``."""
    import pandas as pd

    asked = [record for record in records if record.answerable]
    if not asked:
        raise ValueError(
            "골든 문서가 있는 질문이 하나도 없습니다. record.answerable이 참인 것을 넣어 주세요."
        )
    rows = {}
    for retriever in retrievers:
        found = [[hit for hit, _ in retriever.retrieve(record.question, max(ks))] for record in asked]
        places = [golden_rank(record, documents) for record, documents in zip(asked, found, strict=True)]
        row = {f"recall@{k}": recall_at(places, k) for k in ks}
        rows[retriever.name] = row | {f"MRR@{max(ks)}": mean_reciprocal_rank(places)}
    return pd.DataFrame(rows).T.round(3)
