"""The same thing twice: exact and near duplicates among records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from src.evidence import strip_answer_form
from src.schemas import RaftRecord, RawSample, golden_document
from src.text import character_pairs, document_key, text_key

Record = RaftRecord | RawSample
SAME_QUESTION = 0.95  # similarity from which two questions of one group are one, whatever their documents


def find_exact_duplicates(records: Sequence[Record]) -> list[tuple[int, int]]:
    """(position, position of the first one) of each record that repeats another.

    The same question, answer and golden document, white space and punctuation aside. Where the golden document
    was left out, the same question of the same group: the two came from one row.
    """
    pairs, seen, asked = [], {}, {}
    for position, record in enumerate(records):
        question, document = text_key(record.question), golden_document(record)
        ask = (record.group_id, question)
        full = (*ask, text_key(strip_answer_form(record.answer)), document_key(document or ""))
        first = seen.get(full)
        if (
            first is None
            and ask in asked
            and (document is None or golden_document(records[asked[ask]]) is None)
        ):
            first = asked[ask]
        if first is not None:
            pairs.append((position, first))
        seen.setdefault(full, position)
        asked.setdefault(ask, position)
    return pairs


def find_near_duplicates(
    records: Sequence[Record], *, threshold: float = 0.85
) -> list[tuple[int, int, float]]:
    """(position, position of the earlier one, similarity) of questions that nearly repeat another.

    Similarity is the share of the shorter question's character pairs that the other one holds too, 0-1, so that
    a greeting in front hides nothing. Compared only where golden document and answer are the same: there two
    questions ask for one fact. Other wordings of it are welcome; the threshold says when they are too close to
    teach anything new. Where a golden document was left out, questions of one group are compared, and only those
    that are all but equal (``SAME_QUESTION``) count.
    """
    bigrams = [character_pairs(record.question) for record in records]

    def likeness(one: int, other: int) -> float:
        part, whole = sorted((bigrams[one], bigrams[other]), key=Counter.total)
        return (part & whole).total() / part.total()

    same_fact: dict[tuple[str, str], list[int]] = defaultdict(list)
    group: dict[str, list[int]] = defaultdict(list)
    left_out: dict[str, list[int]] = defaultdict(list)
    pairs = []
    for late, record in enumerate(records):
        close: list[tuple[float, int]] = []
        if (document := golden_document(record)) is None:
            others = group[record.group_id]
            left_out[record.group_id].append(late)
        else:
            others = left_out[record.group_id]
            fact = same_fact[document_key(document), text_key(strip_answer_form(record.answer))]
            close += [(likeness(late, early), early) for early in fact]
            fact.append(late)
        close += [(score, early) for early in others if (score := likeness(late, early)) >= SAME_QUESTION]
        group[record.group_id].append(late)
        score, early = max(close, default=(-1.0, late))
        if score >= threshold:
            pairs.append((late, early, score))
    return pairs
