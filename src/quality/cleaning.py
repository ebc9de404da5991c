"""Is the data fit to train on? Records go in, findings come out.

Every check works on ``RaftRecord`` and ``RawSample`` alike and measures overlap of characters, not meaning: cheap,
explainable, and wrong now and then, so that ``clean_records`` tells what it took away and why. What the checks
cannot judge (records whose golden document was left out hold no evidence) they leave alone.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.data.schemas import Conversation, RaftRecord, RawSample
from src.data.text import document_key
from src.profiles import RAW_FILES
from src.quality.duplicates import Record, find_exact_duplicates, find_near_duplicates
from src.quality.grounding import check_groundedness, check_relevance
from src.quality.personal_data import find_personal_data, mask_personal_data
from src.raft.answers import strip_answer_form
from src.raft.prompt import count_tokens

CHECKS = {  # check -> its name for a learner
    "exact_duplicate": "완전 중복",
    "near_duplicate": "근사 중복",
    "groundedness": "근거 없음",
    "relevance": "질문과 어긋남",
    "personal_data": "개인정보",
}
ACTIONS = {"removed": "지움", "masked": "가림", "flagged": "사람이 볼 것"}
NEAR_DUPLICATE, MIN_GROUNDEDNESS, MIN_RELEVANCE = 0.85, 0.8, 0.6  # what a record is taken away by
# Where MIN_RELEVANCE was tuned: on questions and documents made by rule. In what people write, a right answer often
# stands in a sentence that shares few words with its question, so rows of any other source are shown to a person.
# A record that names no source is taken for one of these.
TUNED_ON = frozenset(["", *(Path(file).name for file in RAW_FILES)])


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


def balance_table(records: Sequence[Record]) -> Any:
    """Records a topic as a pandas table: columns ``topic``, ``count``, ``share``; the largest first."""
    import pandas as pd

    counts = Counter(record.topic for record in records)
    rows = [(name, count, count / len(records)) for name, count in counts.most_common()]
    return pd.DataFrame(rows, columns=["topic", "count", "share"])


def rebalance(records: Sequence[Record], *, strategy: str, seed: int = 0) -> list[Record]:
    """Bring every topic of the *training* split to one size: ``over`` repeats records up to the largest topic,
    ``under`` draws down to the smallest. Never for validation or test: scores would count rows twice."""
    groups: dict[Any, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.topic].append(record)
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


@dataclass(frozen=True)
class Finding:
    """What a check found in a record, and what was done about it."""

    id: str
    check: str  # of CHECKS
    action: str  # of ACTIONS
    detail: str  # why, in Korean
    split: str = ""

    def __str__(self) -> str:
        return f"{self.id}: {ACTIONS[self.action]}. {self.detail}"

    def to_json(self) -> dict[str, str]:
        row = {"id": self.id, "check": self.check, "action": self.action, "detail": self.detail}
        return {"split": self.split, **row} if self.split else row


def _flaws(records: Sequence[Record]) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """(check, positions: the faulty record and the one it repeats, why) of all that should go."""
    exact = find_exact_duplicates(records)
    repeats = {late for late, _ in exact}
    for late, early in exact:
        yield "exact_duplicate", (late, early), f"질문, 답, 문서가 {records[early].id}의 것과 같습니다."
    for late, early, score in find_near_duplicates(records, threshold=NEAR_DUPLICATE):
        if late not in repeats:
            detail = f"질문이 {records[early].id}의 것과 거의 같습니다(유사도 {score:.2f})."
            yield "near_duplicate", (late, early), detail
    checked = zip(records, check_groundedness(records), check_relevance(records), strict=True)
    for position, (record, grounded, relevant) in enumerate(checked):
        if grounded and grounded["score"] < MIN_GROUNDEDNESS:
            answer = mask_personal_data(strip_answer_form(record.answer))
            detail = f"답 '{answer}'의 근거가 문서에 없습니다(점수 {grounded['score']:.2f})."
            yield "groundedness", (position,), detail
        if relevant and relevant["score"] < MIN_RELEVANCE:
            better = mask_personal_data(relevant["better"])
            detail = f"질문에는 '{better}' 문장이 더 맞습니다(점수 {relevant['score']:.2f})."
            yield "relevance", (position,), detail


def find_flaws(records: Sequence[Record]) -> dict[str, list[tuple[str, ...]]]:
    """What each of ``CHECKS`` finds, by the ids of the rows concerned: a duplicate names itself and the earlier row,
    and no near one is an exact one. A record may be found by several checks."""
    found: dict[str, list[tuple[str, ...]]] = {check: [] for check in CHECKS}
    for check, rows, _ in _flaws(records):
        found[check].append(tuple(records[row].id for row in rows))
    found["personal_data"] = [(r.id,) for r in records if any(map(find_personal_data, _texts(r)))]
    return found


def detection_table(
    expected: Mapping[str, Collection[str]], found: Mapping[str, Collection[str | tuple[str, ...]]]
) -> Any:
    """How well the checks found what is known to be there: a row for each kind of ``expected``, in its order.

    Args:
        expected: kind -> ids of the rows that have this defect.
        found: kind -> findings, each an id or the ids of all the rows it names.

    Returns:
        A pandas table with columns ``kind, expected, found, right, missed, precision, recall``. A finding is right when one of its
        rows is expected (which of two copies is the copy, no check can know); precision is the share of findings
        that are right, recall the share of expected rows that some finding names, both 0-1 and NaN for 0 of 0.
    """
    import pandas as pd

    rows = []
    for kind, wanted in expected.items():
        findings = [{item} if isinstance(item, str) else set(item) for item in found.get(kind, ())]
        right = sum(not finding.isdisjoint(wanted) for finding in findings)
        missed = sorted(set(wanted).difference(*findings))
        precision = right / len(findings) if findings else math.nan
        recall = 1 - len(missed) / len(set(wanted)) if wanted else math.nan
        rows.append((kind, len(set(wanted)), len(findings), right, missed, precision, recall))
    return pd.DataFrame(rows, columns=["kind", "expected", "found", "right", "missed", "precision", "recall"])


def _texts(record: Record) -> list[str]:
    if isinstance(record, RawSample):
        return [record.question, record.answer, record.context]
    return [record.question, record.answer, record.cot or "", *record.context]


def clean_records(
    records: Sequence[RaftRecord], *, tokenizer: Any = None
) -> tuple[list[RaftRecord], list[Finding]]:
    """Run every check; take away what fails, mask personal data, flag what a person should judge, and tell of all.

    An answer that does not fit its question is taken away from the sources on which that check was tuned
    (``TUNED_ON``); elsewhere it stays and is flagged.

    Args:
        tokenizer: counts ``n_tokens`` of masked records anew; without one the old count stays.

    Returns:
        (kept, findings). A record that was taken away has exactly one finding, with ``action == "removed"``, so
        ``len(kept)`` + those = ``len(records)``.
    """
    removed: dict[int, Finding] = {}
    flagged: dict[int, Finding] = {}
    for check, (position, *_), detail in _flaws(records):
        for_people = check == "relevance" and records[position].source not in TUNED_ON
        action, noted = ("flagged", flagged) if for_people else ("removed", removed)
        noted.setdefault(position, Finding(records[position].id, check, action, detail))
    kept: list[RaftRecord] = []
    findings: list[Finding] = []
    for position, record in enumerate(records):
        if position in removed:
            findings.append(removed[position])
            continue
        if position in flagged:
            findings.append(flagged[position])
        if finding := _masking(record.id, _texts(record)):
            findings.append(finding)
            masked = {name: mask_personal_data(getattr(record, name)) for name in ("question", "answer")}
            masked["cot"] = record.cot and mask_personal_data(record.cot)
            masked["context"] = [mask_personal_data(document) for document in record.context]
            record = record.model_copy(update=masked)
            if tokenizer is not None:
                record.n_tokens = count_tokens(record, tokenizer)
        kept.append(record)
    return kept, findings


def _masking(name: str, texts: Sequence[str]) -> Finding | None:
    hits = [hit for text in texts for hit in find_personal_data(text)]
    if not hits:
        return None
    detail = ", ".join(sorted({f"{hit['kind']} {hit['masked']}" for hit in hits})) + "를 가렸습니다."
    return Finding(name, "personal_data", "masked", detail)


def clean_conversations(
    conversations: Sequence[Conversation],
) -> tuple[list[Conversation], list[Finding]]:
    """Take away what repeats an earlier conversation word for word, white space aside, and mask personal data in every turn.

    What the checks of records measure, whether a document supports the answer, has no meaning without documents.
    Returns what ``clean_records`` returns.
    """
    kept: list[Conversation] = []
    findings: list[Finding] = []
    first: dict[tuple[str, ...], str] = {}
    for one in conversations:
        said = tuple(document_key(turn["content"]) for turn in one.messages)
        if said in first:
            detail = f"모든 말이 같은 행: {first[said]}"
            findings.append(Finding(one.id, "exact_duplicate", "removed", detail))
            continue
        first[said] = one.id
        if finding := _masking(one.id, [turn["content"] for turn in one.messages]):
            findings.append(finding)
            turns = [turn | {"content": mask_personal_data(turn["content"])} for turn in one.messages]
            one = one.model_copy(update={"messages": turns})
        kept.append(one)
    return kept, findings
