"""Is the data fit to train on? Records go in, findings come out.

Every check works on ``RaftRecord`` and ``RawSample`` alike and measures overlap of characters, not meaning: cheap,
explainable, and wrong now and then, so that ``clean_records`` tells what it took away and why. What the checks
cannot judge (records whose golden document was left out hold no evidence) they leave alone.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from src.duplicates import find_exact_duplicates, find_near_duplicates
from src.evidence import answer_cores, find_core, split_sentences, strip_answer_form
from src.personal_data import find_personal_data, mask_personal_data
from src.raft import count_tokens
from src.schemas import RaftRecord, RawSample, golden_document
from src.text import character_pairs

if TYPE_CHECKING:
    import pandas as pd

Record = RaftRecord | RawSample
Finding = dict[str, Any]

# "청소할 때는 이렇게 합니다.": asks on behalf of the sentence after it.
_LEAD_IN = re.compile(r"(이렇|다음|아래|순서)[^.]*[.:]?$")
MIN_OVERLAP = 0.2  # share of a question that a sentence must hold to speak against the answer
BOILERPLATE_GROUPS = 3  # a sentence in documents of more groups than this answers no question of its own


# --- Is the answer right? --------------------------------------------------------------------------------------


def _share(part: str, whole: str) -> float:
    """Share of ``part``'s character pairs that occur in ``whole``, 0-1."""
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
    questions have ("…은 얼마인가요?") weighs little; the group's name is left out. ``score`` is the overlap of the
    evidence, or of the sentence that leads up to it ("청소할 때는 이렇게 합니다."), divided by the best
    sentence's, 0-1; ``better`` is that sentence where it is another. The first sentence, taken for a title, and
    sentences that stand in documents of several groups compete with none. A question that shares less than
    ``MIN_OVERLAP`` of its weight with every sentence scores 1.0: nothing speaks against the answer.
    """
    asked = Counter(pair for record in records for pair in set(character_pairs(record.question)))
    groups: dict[str, set[str]] = defaultdict(set)
    for record in records:
        for sentence in split_sentences(golden_document(record) or ""):
            groups[sentence].add(record.group_id)
    results: list[dict[str, Any] | None] = []
    for record in records:
        sentences = split_sentences(golden_document(record) or "")
        cores = answer_cores(record.answer)
        evidence = {i for i, s in enumerate(sentences) if any(find_core(s, core) for core in cores)}
        if not evidence:
            results.append(None)
            continue
        question = _without_name(record.question, record.group_id)
        weight = {
            pair: 1 + math.log((1 + len(records)) / asked[pair])
            for pair in character_pairs(question)
            if pair in asked
        }
        overlap = [
            sum(
                weight.get(pair, 0.0)
                for pair in set(character_pairs(_without_name(sentence, record.group_id)))
            )
            for sentence in sentences
        ]
        own = evidence | {i - 1 for i in evidence if i > 0 and _LEAD_IN.search(sentences[i - 1])}
        rivals = {i for i, s in enumerate(sentences) if i > 0 and len(groups[s]) <= BOILERPLATE_GROUPS}
        best = max(own | rivals, key=lambda i: (overlap[i], i in own))
        if overlap[best] <= MIN_OVERLAP * sum(weight.values()):
            best = max(own, key=overlap.__getitem__)
        score = max(overlap[i] for i in own) / overlap[best] if overlap[best] else 1.0
        results.append(
            {
                "score": score,
                "sentence": sentences[max(sorted(evidence), key=overlap.__getitem__)],
                "better": "" if best in own else sentences[best],
            }
        )
    return results


def _without_name(text: str, name: str) -> str:
    words = [word for word in name.split() if len(word) > 1]
    return " ".join(token for token in text.split() if not any(word in token for word in words))


# --- Lengths and balance ---------------------------------------------------------------------------------------


def token_length_stats(records: Sequence[RaftRecord], *, limit: int | None = None) -> dict[str, float]:
    """Tokens a record: mean, median, p95, max, a sequence length (the next multiple of 64) that cuts none, and
    how many records are over ``limit``."""
    import numpy as np

    if not records:
        raise ValueError("길이를 잴 레코드가 없습니다. 먼저 01번 노트북을 실행해 주세요.")
    lengths = np.array([record.n_tokens for record in records])
    stats = {
        "count": len(lengths),
        "mean": float(lengths.mean()),
        "median": float(np.median(lengths)),
        "p95": float(np.percentile(lengths, 95)),
        "max": int(lengths.max()),
        "suggested_max_seq_length": math.ceil(int(lengths.max()) / 64) * 64,
    }
    return stats if limit is None else stats | {"over_limit": int((lengths > limit).sum())}


def balance_table(records: Sequence[Record], *, key: str = "topic") -> pd.DataFrame:
    """Records a topic (or another field): columns ``key``, ``count``, ``share``; the largest first."""
    import pandas as pd

    counts = Counter(getattr(record, key) for record in records)
    rows = [(name, count, count / len(records)) for name, count in counts.most_common()]
    return pd.DataFrame(rows, columns=[key, "count", "share"])


def rebalance(records: Sequence[Record], *, strategy: str, key: str = "topic", seed: int = 0) -> list[Record]:
    """Bring every topic of the *training* split to one size: ``over`` repeats records up to the largest topic,
    ``under`` draws down to the smallest. Never for validation or test: scores would count rows twice."""
    groups: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        groups[getattr(record, key)].append(record)
    if strategy not in ("over", "under"):
        raise ValueError("strategy는 'over'(늘리기)나 'under'(줄이기)로 정해 주세요.")
    rng = random.Random(seed)
    sizes = [len(group) for group in groups.values()]
    result: list[Record] = []
    for group in groups.values():
        if strategy == "under":
            result += rng.sample(group, min(sizes))
        else:
            result += group + rng.choices(group, k=max(sizes) - len(group))
    rng.shuffle(result)
    return result


# --- All together ----------------------------------------------------------------------------------------------


def clean_records(
    records: Sequence[RaftRecord],
    *,
    tokenizer: Any = None,
    near_duplicate_threshold: float = 0.85,
    min_groundedness: float = 0.8,
    min_relevance: float = 0.4,
    max_tokens: int | None = None,
) -> tuple[list[RaftRecord], list[Finding]]:
    """Run every check; take away what fails, mask personal data, and tell of both.

    Args:
        tokenizer: counts ``n_tokens`` of masked records anew; without one the old count stays.
        max_tokens: records longer than this are taken away.

    Returns:
        (kept, findings). A finding is ``{"id", "check", "action", "detail"}``; a record that was taken away has
        exactly one finding with ``action == "removed"``, so ``len(kept)`` + those = ``len(records)``.
    """
    removed: dict[int, tuple[str, str]] = {}
    for late, early in find_exact_duplicates(records):
        removed[late] = ("exact_duplicate", f"{records[early].id}와 질문, 답, 문서가 같습니다.")
    for late, early, score in find_near_duplicates(records, threshold=near_duplicate_threshold):
        detail = f"{records[early].id}와 질문이 거의 같습니다(유사도 {score:.2f})."
        removed.setdefault(late, ("near_duplicate", detail))
    grounded, relevant = check_groundedness(records), check_relevance(records)
    for position, record in enumerate(records):
        if (check := grounded[position]) and check["score"] < min_groundedness:
            detail = f"답 '{strip_answer_form(record.answer)}'의 근거가 문서에 없습니다(점수 {check['score']:.2f})."
            removed.setdefault(position, ("groundedness", detail))
        if (check := relevant[position]) and check["score"] < min_relevance:
            detail = f"질문에는 '{check['better']}' 문장이 더 맞습니다(점수 {check['score']:.2f})."
            removed.setdefault(position, ("relevance", detail))
        if max_tokens is not None and record.n_tokens > max_tokens:
            detail = f"{record.n_tokens}토큰으로 {max_tokens}토큰을 넘습니다."
            removed.setdefault(position, ("token_length", detail))

    kept: list[RaftRecord] = []
    findings: list[Finding] = []
    for position, record in enumerate(records):
        if position in removed:
            check, detail = removed[position]
            findings.append({"id": record.id, "check": check, "action": "removed", "detail": detail})
            continue
        texts = [record.question, record.answer, record.cot or "", *record.context]
        if hits := [hit for text in texts for hit in find_personal_data(text)]:
            detail = ", ".join(sorted({f"{hit['kind']} {hit['masked']}" for hit in hits})) + "를 가렸습니다."
            findings.append({"id": record.id, "check": "personal_data", "action": "masked", "detail": detail})
            masked = {
                "question": mask_personal_data(record.question),
                "answer": mask_personal_data(record.answer),
            }
            masked["cot"] = record.cot and mask_personal_data(record.cot)
            masked["context"] = [mask_personal_data(document) for document in record.context]
            record = record.model_copy(update=masked)
            if tokenizer is not None:
                record.n_tokens = count_tokens(record, tokenizer)
        kept.append(record)
    return kept, findings
