"""What vectors say: the cosine of answer and reference."""

from typing import Any

import numpy as np

from src.scoring.tokenizers import Scores, Texts, check_pairs, clean


def compute_cosine_similarity(
    predictions: Texts, references: Texts, embedder: Any, *, per_sample: bool = False
) -> Scores:
    """Mean cosine of answer and reference vectors, -1 to 1. What it means is what the embedder measures
    (``src.scoring.embedder_label``). Each distinct text is encoded once; a pair with an empty side scores 0.
    ValueError where the embedder gives a vector with NaN or infinity, as some do in half precision.

    ``embedder`` is any sentence-transformers model; ``load_embedder`` has set the prefix that some want.
    """
    check_pairs(predictions, references)
    predictions, references = ([clean(text) for text in side] for side in (predictions, references))
    texts = sorted({*predictions, *references})  # not in a hash order: batches would differ between runs
    vectors = np.asarray(embedder.encode(texts, show_progress_bar=False), dtype=float)
    # A semantic model has a vector for nothing, too; an empty answer must not score by it.
    vectors[[not text for text in texts]] = 0
    row = {text: index for index, text in enumerate(texts)}
    left, right = ([row[text] for text in side] for side in (predictions, references))
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        question = int(np.argmax(broken[left] | broken[right]))
        raise ValueError(
            f"cosine_similarity: 임베더가 {question}번 질문(0부터 셉니다)의 답이나 정답에 숫자가 아닌 벡터(NaN, 무한대)를 주었습니다. "
            "임베더를 float32로 다시 열거나 다른 임베더를 골라 주세요."
        )
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosines = np.clip((vectors[left] * vectors[right]).sum(axis=1), -1, 1)
    result: Scores = {"cosine_similarity": float(np.mean(cosines))}
    return result | ({"per_sample": cosines.tolist()} if per_sample else {})
