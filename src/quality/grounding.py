"""Is the answer right? Whether it stands in its document, and whether it answers what was asked.

Both measure overlap of characters, not meaning. What cannot be judged (a record whose golden document was left out
holds no evidence) is None.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from src.data.schemas import golden_document
from src.data.text import character_pairs, split_sentences, text_key
from src.quality.duplicates import Record
from src.raft.answers import answer_cores
from src.raft.evidence import find_core, holds_answer

# "청소할 때는 이렇게 합니다.": asks on behalf of the sentence after it.
_LEAD_IN = re.compile(r"(이렇|다음|아래|순서)[^.]*[.:]?$")
# Share of a question that a sentence must hold to speak against the answer; more where nobody else asks in these
# words, because in running prose the answer often stands in the sentence beside the one that looks like the question.
MIN_OVERLAP, MIN_OVERLAP_ALONE = 0.2, 0.4
BOILERPLATE_GROUPS = 3  # boilerplate: stands in documents of more groups than this, and is nobody's answer
MIN_PEERS = 3  # other groups that must ask in the same words before their evidence tells what the words mean


def _share(part: str, whole: str) -> float:
    """Share of ``part``'s character pairs that occur in ``whole``, 0-1; one character has no pair and counts itself."""
    if len(one := text_key(part)) == 1:
        return float(one in text_key(whole))
    wanted = character_pairs(part)
    return (wanted & character_pairs(whole)).total() / wanted.total()


def check_groundedness(records: Sequence[Record]) -> list[dict[str, Any] | None]:
    """How much of each answer stands in its document: ``{"score", "sentence"}``, or None (no golden document).

    1.0 when every sentence of the answer stands there word for word; otherwise the mean, over its sentences, of
    the share of character pairs that the best sentence of the document holds. A number that the document does
    not hold makes its sentence 0: "450W" is not "310W", however alike they look.
    """
    results: list[dict[str, Any] | None] = []
    for record in records:
        document = golden_document(record)
        if document is None:
            results.append(None)
            continue
        sentences, scores, support = split_sentences(document), [], []
        for core in answer_cores(record.answer):
            verbatim = find_core(document, core) is not None
            best = max(sentences, key=lambda s: (find_core(s, core) is not None, _share(core, s)))
            numbers = re.findall(r"\d+(?:[.,]\d+)*", core)
            known = all(re.search(rf"(?<![\d.,]){re.escape(n)}(?![\d]|[.,]\d)", document) for n in numbers)
            scores.append(1.0 if verbatim else _share(core, best) if known else 0.0)
            if best not in support:
                support.append(best)
        score = sum(scores) / len(scores) if scores else 0.0
        results.append({"score": score, "sentence": " ".join(support) if score else ""})
    return results


def check_relevance(records: Sequence[Record]) -> list[dict[str, Any] | None]:
    """Does the sentence that holds the answer look like the one that was asked for?

    For each record ``{"score", "sentence", "better"}``, or None where it cannot be judged (no golden document, or
    no sentence of it holds the answer). Question and sentence share character pairs, weighted so that what many
    texts have ("…은 얼마인가요?") weighs little; the group's name is left out. "얼마나 시끄러운가요?" shares nothing
    with "작동 소음은 43dB입니다." by itself: where ``MIN_PEERS`` other groups ask in the very same words, the pairs
    that most of their evidence has are added to the question (relevance feedback, Rocchio 1971).

    ``score`` is the overlap of the evidence, or of the sentence that leads up to it ("청소할 때는 이렇게 합니다."),
    divided by the best sentence's, 0-1; ``better`` is that sentence where it is another. The first sentence, taken
    for a title, competes with none, nor does boilerplate (``BOILERPLATE_GROUPS``). A question that shares less
    than ``MIN_OVERLAP`` of its weight (``MIN_OVERLAP_ALONE`` without peers) with every sentence scores 1.0: nothing
    speaks against the answer.
    """
    asked = Counter(pair for record in records for pair in set(character_pairs(record.question)))
    groups: dict[str, set[str]] = defaultdict(set)
    documents = [split_sentences(golden_document(record) or "") for record in records]
    evidence = [
        {i for i, sentence in enumerate(sentences) if holds_answer(sentence, record.answer)}
        for record, sentences in zip(records, documents, strict=True)
    ]
    answers: set[str] = set()
    for record, sentences, held in zip(records, documents, evidence, strict=True):
        answers.update(sentences[i] for i in held)
        for sentence in sentences:
            groups[sentence].add(record.group_id)
    peers = _learn(records, documents, evidence)
    results: list[dict[str, Any] | None] = []
    for record, sentences, held, learned in zip(records, documents, evidence, peers, strict=True):
        if not held:
            results.append(None)
            continue
        question = _without_name(record.question, record.group_id)
        pairs = [pair for pair in character_pairs(question) if pair in asked]
        weight = {pair: 1 + math.log((1 + len(records)) / asked[pair]) for pair in pairs}
        weight |= {pair: max(value, weight.get(pair, 0.0)) for pair, value in learned.items()}
        overlap = [
            sum(weight.get(pair, 0.0) for pair in character_pairs(_without_name(sentence, record.group_id)))
            for sentence in sentences
        ]
        own = held | {i - 1 for i in held if i > 0 and _LEAD_IN.search(sentences[i - 1])}
        common = {s for s in sentences if s not in answers and len(groups[s]) > BOILERPLATE_GROUPS}
        rivals = {i for i, sentence in enumerate(sentences) if i > 0 and sentence not in common}
        best = max(own | rivals, key=lambda i: (overlap[i], i in own))
        needed = MIN_OVERLAP if learned else MIN_OVERLAP_ALONE
        if overlap[best] <= needed * sum(weight.values()):
            best = max(own, key=overlap.__getitem__)
        score = max(overlap[i] for i in own) / overlap[best] if overlap[best] else 1.0
        shown = sentences[max(sorted(held), key=overlap.__getitem__)]
        better = "" if best in own else sentences[best]
        results.append({"score": score, "sentence": shown, "better": better})
    return results


def _learn(
    records: Sequence[Record], documents: list[list[str]], evidence: list[set[int]]
) -> list[dict[str, float]]:
    """For each record the pairs in the evidence of most other groups that ask in the same words, by how rare they are
    elsewhere; empty with too few such groups."""
    # wording -> group -> pairs of its evidence: a dict, not a set, so that sums over them come out the same in every run
    asked: dict[str, dict[str, dict[str, None]]] = defaultdict(dict)
    told: Counter[str] = Counter()
    total = 1
    for record, sentences, held in zip(records, documents, evidence, strict=True):
        if held:
            texts = [_without_name(sentences[i], record.group_id) for i in sorted(held)]
            pairs = dict.fromkeys(pair for text in texts for pair in character_pairs(text))
            asked[_wording(record)].setdefault(record.group_id, pairs)
            told.update(pairs.keys())
            total += 1
    common = {
        wording: Counter(pair for pairs in of.values() for pair in pairs) for wording, of in asked.items()
    }
    result = []
    for record in records:
        groups, shared = asked.get(_wording(record), {}), common.get(_wording(record), {})
        own, peers = groups.get(record.group_id, {}), len(groups) - (record.group_id in groups)
        of_most = [pair for pair, count in shared.items() if 2 * (count - (pair in own)) > peers >= MIN_PEERS]
        result.append({pair: 1 + math.log(total / told[pair]) for pair in of_most})
    return result


def _wording(record: Record) -> str:
    return text_key(_without_name(record.question, record.group_id))


def _without_name(text: str, name: str) -> str:
    words = [word for word in name.split() if len(word) > 1]
    return " ".join(token for token in text.split() if not any(word in token for word in words))
