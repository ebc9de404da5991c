"""The same thing twice: exact and near duplicates among records."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import combinations

from src.data.schemas import RaftRecord, RawSample, golden_document
from src.data.similarity import similar_pairs
from src.data.text import character_pairs, document_key, text_key
from src.raft.answers import strip_answer_form

Record = RaftRecord | RawSample
SAME_QUESTION = 0.95  # similarity from which two questions of one group are one, whatever their documents
SMALL_BLOCK = 200  # records that are compared each with each; of more, only those that look alike
CANDIDATE = 0.7  # Jaccard similarity of 3-grams from which two questions of a larger block are compared


def find_exact_duplicates(records: Sequence[Record]) -> list[tuple[int, int]]:
    """(position, position of the first one) of each record that repeats another.

    The same question, answer and golden document, white space and punctuation aside. Where the golden document
    was left out, the same question of the same group: the two came from one row.
    """
    name = cache(document_key)  # many records share a document
    pairs, seen, asked = [], {}, {}
    for position, record in enumerate(records):
        question, document = text_key(record.question), golden_document(record)
        ask = (record.group_id, question)
        full = (*ask, text_key(strip_answer_form(record.answer)), name(document or ""))
        first = seen.get(full)
        if first is None and (other := asked.get(ask)) is not None:
            first = other if document is None or golden_document(records[other]) is None else None
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
    a greeting in front hides nothing; exact duplicates are among them, at 1.0. Compared only where golden document
    and answer are the same: there two questions ask for one fact, while questions that differ in one model number
    are different however alike they look. Other wordings of a fact are welcome; the threshold says when they are
    too close to teach anything new. Where a golden document was left out, questions of one group are compared, and
    only those that are all but equal (``SAME_QUESTION``) count.

    The blocks of records that are compared are small, so the time grows with the number of records; in one of
    more than ``SMALL_BLOCK``, ``similar_pairs`` proposes what to compare.
    """
    name = cache(document_key)
    facts: dict[tuple[str, str], list[int]] = defaultdict(list)
    groups: dict[str, list[int]] = defaultdict(list)
    left_out: set[int] = set()
    for position, record in enumerate(records):
        groups[record.group_id].append(position)
        if (document := golden_document(record)) is None:
            left_out.add(position)
        else:
            facts[name(document), text_key(strip_answer_form(record.answer))].append(position)
    close = [(pair, threshold) for block in facts.values() for pair in _candidates(records, block)]
    for block in groups.values():
        if not left_out.isdisjoint(block):
            unseen = [pair for pair in _candidates(records, block) if not left_out.isdisjoint(pair)]
            close += [(pair, max(threshold, SAME_QUESTION)) for pair in unseen]
    bigrams = cache(lambda position: character_pairs(records[position].question))
    best: dict[int, tuple[float, int]] = {}
    for (late, early), needed in close:
        part, whole = sorted((bigrams(late), bigrams(early)), key=Counter.total)
        score = (part & whole).total() / part.total()
        if score >= needed:
            best[late] = max(best.get(late, (0.0, -1)), (score, early))
    return [(late, early, score) for late, (score, early) in sorted(best.items())]


def _candidates(records: Sequence[Record], block: Sequence[int]) -> list[tuple[int, int]]:
    """(later, earlier) positions to compare."""
    if len(block) <= SMALL_BLOCK:
        return [(late, early) for early, late in combinations(block, 2)]
    questions = [records[position].question for position in block]
    alike = similar_pairs(questions, threshold=CANDIDATE)
    return [(block[late], block[early]) for late, early, _ in alike]
