"""Which documents stand beside the golden one (arXiv 2403.10131, section 3): hard ones and random ones, never one
that holds the answer."""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from src.data.schemas import RawSample
from src.raft.answers import answer_cores
from src.raft.evidence import letters

NEAR_COPY = 0.95  # cosine of character TF-IDF vectors from which two documents count as one
SIMILAR = 32  # so many of the documents most similar to a question are candidates for its hard distractors
FIRST_DRAW = 1024  # random candidates drawn at first: enough nearly always, however large the corpus


class Choice(NamedTuple):
    """Distractors of one sample: hard ones first, how many those are, and how many candidates were too long."""

    documents: list[str]
    hard: int
    too_long: int

    def mix(self, hard: int, count: int) -> tuple[list[str], list[str]]:
        """(hard, random): ``count`` of the documents, ``hard`` of them hard; one kind fills up for the other."""
        similar, others = self.documents[: self.hard], self.documents[self.hard :]
        hard_part = similar[: max(hard, count - len(others))]
        return hard_part, others[: count - len(hard_part)]


def hard_count(count: int, hard_share: float) -> int:
    """How many of ``count`` distractors are hard: ``ceil(count * hard_share)``."""
    # Rounding before the ceiling: 0.55 * 20 is a little more than 11 in floating point.
    return math.ceil(round(count * hard_share, 9))


class DistractorPicker:
    """Chooses distractors for the samples of one split, from those samples' own documents only.

    ``fits(document)`` says whether a document can stand in a prompt at all. ``stats`` counts ``near_copy`` (documents
    too like the golden one, looked at or not), ``too_long``, ``examined`` and, of those, ``holds_answer``.
    """

    def __init__(self, samples: Sequence[RawSample], *, fits: Callable[[str], bool], stats: Counter[str]):
        self.documents = list(dict.fromkeys(sample.context for sample in samples))
        self.index = {document: i for i, document in enumerate(self.documents)}
        self.fits = fits
        self.stats = stats
        self.letters = [letters(document) for document in self.documents]
        self.similar, self.copies = _neighbours(self.documents, [sample.question for sample in samples])

    def choose(
        self,
        row: int,
        sample: RawSample,
        evidence: Sequence[str],
        *,
        hard: int,
        count: int,
        rng: random.Random,
    ) -> Choice:
        """Up to ``count`` documents for the sample at position ``row``.

        The first ``hard`` are those most similar to the question; the others are drawn at random, and fill up where
        hard ones run out. None is the golden document or a near copy of it or of another one chosen, and none holds
        the answer or one of the ``evidence`` sentences (an answer "2" is not recognised in "2명", its sentence is).
        """
        golden = self.index[sample.context]
        refused = {golden} | self.copies[golden]
        self.stats["near_copy"] += len(self.copies[golden])
        cores = [letters(core).text for core in answer_cores(sample.answer)]
        sentences = list(filter(None, (letters(sentence).text for sentence in evidence)))
        chosen: list[int] = []
        too_long: list[int] = []

        def take(candidates: Sequence[int], until: int) -> int:
            for candidate in candidates:
                if len(chosen) >= until:
                    break
                if candidate in refused:
                    continue
                refused.add(candidate)  # looked at once, chosen or not
                if not self.fits(self.documents[candidate]):
                    too_long.append(candidate)
                    continue
                self.stats["examined"] += 1
                text = self.letters[candidate]
                if any(sentence in text.text for sentence in sentences) or any(map(text.find, cores)):
                    self.stats["holds_answer"] += 1
                    continue
                chosen.append(candidate)
                refused.update(self.copies[candidate])
            return len(chosen)

        similar = take(self.similar[row], hard)
        everything = range(len(self.documents))
        drawn = min(FIRST_DRAW, len(everything))
        if take(rng.sample(everything, drawn), count) < count and drawn < len(everything):
            take(rng.sample(everything, len(everything)), count)
        self.stats["too_long"] += len(too_long)
        return Choice([self.documents[candidate] for candidate in chosen], similar, len(too_long))


def _neighbours(
    documents: list[str], questions: list[str], block: int = 512
) -> tuple[list[list[int]], list[set[int]]]:
    """For each question the ``SIMILAR`` most similar documents, for each document its near copies (by position).

    Character 2- and 3-gram TF-IDF, cosine, computed in blocks so that memory stays flat.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), sublinear_tf=True, dtype=np.float32)
    matrix = vectorizer.fit_transform(documents)
    queries = vectorizer.transform(questions)
    transposed = matrix.T.tocsr()
    similar: list[list[int]] = []
    for start in range(0, len(questions), block):
        scores = (queries[start : start + block] @ transposed).toarray()
        # A stable sort on the negated scores: equal scores stay in document order on every machine.
        similar.extend(np.argsort(-scores, axis=1, kind="stable")[:, :SIMILAR].tolist())
    copies: list[set[int]] = []
    for start in range(0, len(documents), block):
        scores = (matrix[start : start + block] @ transposed).toarray()
        copies.extend(set(np.flatnonzero(row >= NEAR_COPY)) - {start + i} for i, row in enumerate(scores))
    return similar, copies
