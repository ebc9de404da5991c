"""Thumbs become training records, after the same doubts as any other data: nothing is lost, and nothing is believed.

A thumb is a claim by a stranger. It enters training only where a document bears the answer out, where nobody
contradicts it, and where neither its question nor its document is held out for a test; all else goes to a person or is
refused, each with its reason.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from src.data.schemas import RawSample, Reject
from src.data.similarity import similar_pairs
from src.data.splitting import QUESTION_THRESHOLD, SPLIT_NAMES
from src.data.text import document_key, fingerprint, text_key
from src.data.validation import validate_samples
from src.quality.personal_data import mask_personal_data
from src.raft.answers import format_answer, is_abstention, strip_answer_form
from src.raft.evidence import holds_answer

UP, DOWN = ("up", "👍"), ("down", "👎")
MAX_BY_ONE = 5  # new records from one person and one batch; what is more waits for a person


@dataclass(frozen=True)
class Feedback:
    """Rows that came in = samples + held + refused. Everything in here is masked and names no user."""

    samples: list[RawSample]  # for the training split alone
    held: list[Reject]  # for a person to judge
    refused: list[Reject]
    pairs: list[dict[str, str]]  # ``id, chosen, rejected`` of samples whose answer was corrected
    masked: int  # rows in which personal data was masked

    def table(self) -> list[tuple[str, str, str]]:
        """What became of each row, for a learner."""
        rows = [("학습에 쓸 것", f"{s.line}번째", s.question) for s in self.samples]
        rows += [("사람이 볼 것", f"{r.line}번째", r.reason) for r in self.held]
        return rows + [("거절", f"{r.line}번째", r.reason) for r in self.refused]


class _Doubt(Exception):
    """Why a row does not become a sample; ``held``: a person may still say that it should."""

    def __init__(self, reason: str, *, held: bool = True) -> None:
        super().__init__(reason)
        self.held = held


def take_feedback(
    rows: Sequence[Mapping[str, Any]],
    splits: Mapping[str, Sequence[RawSample]],
    *,
    question_threshold: float | None = QUESTION_THRESHOLD,
) -> Feedback:
    """Sort ``rows`` into new samples, doubtful ones and refused ones.

    Args:
        rows: ``question, documents`` (those that the model was shown), ``answer`` (the model's), ``thumb`` ("up" or
            "down"), and perhaps ``correction`` (what it should have said) and ``user``. A person's last thumb on a
            question is the one that counts.
        splits: the samples of each split as they are now; a document or a question of any but "train" is held out.
        question_threshold: as for ``split_by_group``.
    """
    plain = [_masked(row) for row in rows]
    leaks = _leaks(plain, splits, question_threshold)
    known = {
        (text_key(mask_personal_data(s.question)), document_key(mask_personal_data(s.context))): s
        for s in splits.get("train", ())
    }
    last = {_vote(row): line for line, row in enumerate(plain, start=1) if _vote(row)}
    groups = {document: s for (_, document), s in known.items()}
    samples: dict[int, RawSample] = {}
    told: dict[int, tuple[bool, str]] = {}  # line -> (for a person?, why)
    for line, row in enumerate(plain, start=1):
        try:
            _check_form(row)
            if last.get(_vote(row), line) != line:
                raise _Doubt("같은 사람이 같은 질문에 나중에 다시 눌렀습니다.", held=False)
            if line in leaks:
                raise _Doubt(leaks[line], held=False)
            taught = "answer" if row["thumb"] in UP else "correction"
            if rows[line - 1].get(taught) != row.get(taught):
                raise _Doubt("답이 개인정보입니다. 가린 답은 가르칠 것이 없습니다.")
            samples[line] = _sample(row, line, known, groups)
        except _Doubt as doubt:
            told[line] = doubt.held, str(doubt)
    for line, reason in (_contradicted(plain, samples) | _too_many(plain, samples)).items():
        told[line] = True, reason
        del samples[line]
    sides: dict[bool, list[Reject]] = {True: [], False: []}
    for line, (held, reason) in sorted(told.items()):
        shown = {name: value for name, value in plain[line - 1].items() if name != "user"}
        sides[held].append(Reject(source="feedback", line=line, reason=reason, row=shown))
    pairs = [
        {"id": s.id, "chosen": format_answer(s.answer), "rejected": plain[line - 1]["answer"]}
        for line, s in samples.items()
        if plain[line - 1]["thumb"] in DOWN
    ]
    masked = sum(_texts(before) != _texts(after) for before, after in zip(rows, plain, strict=True))
    return Feedback(list(samples.values()), sides[True], sides[False], pairs, masked)


def _texts(row: Mapping[str, Any]) -> list[Any]:
    documents = row.get("documents")
    return [row.get("question"), row.get("answer"), row.get("correction"), *(documents if isinstance(documents, list) else ())]  # fmt: skip


def _masked(row: Mapping[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(part) for part in value]
        return mask_personal_data(value) if isinstance(value, str) else value

    # The user's name tells two people apart and goes no further, so it stays as it is.
    return {name: value if name == "user" else plain(value) for name, value in row.items()}


def _vote(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Who voted on which question; None for a row without a user, which nobody can have meant to replace."""
    return (str(row["user"]), text_key(str(row.get("question", "")))) if row.get("user") else None


def _check_form(row: Mapping[str, Any]) -> None:
    if row.get("thumb") not in (*UP, *DOWN):
        raise _Doubt(f"thumb가 {row.get('thumb')!r}입니다. up이나 down이어야 합니다.", held=False)
    documents = row.get("documents")
    if not isinstance(documents, list) or not documents or not all(isinstance(d, str) for d in documents):
        raise _Doubt("모델이 읽은 문서(documents)가 없어 답의 근거를 볼 수 없습니다.", held=False)
    if any(not isinstance(row.get(name), str) or not row[name].strip() for name in ("question", "answer")):
        raise _Doubt("질문이나 답이 비었거나 글이 아닙니다.", held=False)


def _leaks(
    rows: Sequence[Mapping[str, Any]], splits: Mapping[str, Sequence[RawSample]], threshold: float | None
) -> dict[int, str]:
    """line -> why its row would teach what is held out to be asked."""
    held = [(name, s) for name, samples in splits.items() if name != "train" for s in samples]
    documents = {document_key(mask_personal_data(s.context)): name for name, s in held}
    found = {}
    for line, row in enumerate(rows, start=1):
        shown = row.get("documents") if isinstance(row.get("documents"), list) else []
        names = [documents.get(document_key(d)) for d in shown if isinstance(d, str)]
        if name := next(filter(None, names), None):
            found[line] = (
                f"{SPLIT_NAMES.get(name, name)} 데이터의 문서를 읽은 답입니다. 학습하면 시험이 샙니다."
            )
    if threshold is not None:
        asked = [mask_personal_data(s.question) for _, s in held]
        texts = [*asked, *(str(row.get("question", "")) for row in rows)]
        for late, early, _ in similar_pairs(texts, threshold=threshold):
            if early < len(asked) <= late:
                name = SPLIT_NAMES.get(held[early][0], held[early][0])
                found.setdefault(
                    late - len(asked) + 1,
                    f"{name} 데이터에 거의 같은 질문이 있습니다. 학습하면 시험이 샙니다.",
                )
    return found


def _sample(
    row: Mapping[str, Any],
    line: int,
    known: Mapping[tuple[str, str], RawSample],
    groups: Mapping[str, RawSample],
) -> RawSample:
    """The row as a sample of the document that bears its answer out."""
    up, correction = row["thumb"] in UP, str(row.get("correction") or "").strip()
    if not up and not correction:
        raise _Doubt("👎인데 맞는 답이 적혀 있지 않습니다. 사람이 답을 적으면 쓸 수 있습니다.")
    answer = strip_answer_form(row["answer"] if up else correction)
    if is_abstention(answer):
        raise _Doubt("문서에 답이 없다는 답입니다. 정말 없는지 사람이 읽어야 합니다.")
    golden = next((document for document in row["documents"] if holds_answer(document, answer)), None)
    if golden is None:
        raise _Doubt(
            f"{'👍' if up else '고친'} 답 '{answer[:30]}'의 근거가 문서에 없습니다. 잘못 눌렀거나 일부러 넣은 것일 수 있습니다."
        )
    key = document_key(golden)
    if (text_key(row["question"]), key) in known:
        raise _Doubt("학습 데이터에 이미 있는 질문입니다.", held=False)
    like = groups.get(key)
    made = {
        "id": f"feedback-{fingerprint(row['question'], golden)[:8]}-{line}",
        "question": row["question"],
        "context": golden,
        "answer": answer,
    }
    made |= {"group_id": like.group_id if like else key, "topic": like.topic if like else ""}
    accepted, rejects = validate_samples([made | {"source": "feedback", "line": line}])
    if rejects:
        raise _Doubt(f"{rejects[0].field}: {rejects[0].reason}", held=False)
    return accepted[0]


def _contradicted(rows: Sequence[Mapping[str, Any]], samples: Mapping[int, RawSample]) -> dict[int, str]:
    """Lines of samples on whose question people do not agree: two answers, or a thumb down on an answer praised here."""
    said: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sample in samples.values():
        said[text_key(sample.question), document_key(sample.context)].add(text_key(sample.answer))
    blamed = {
        (text_key(row["question"]), text_key(strip_answer_form(row["answer"])))
        for row in rows
        if row.get("thumb") in DOWN and all(isinstance(row.get(n), str) for n in ("question", "answer"))
    }
    found = {}
    for line, sample in samples.items():
        question, answer = text_key(sample.question), text_key(sample.answer)
        if len(said[question, document_key(sample.context)]) > 1 or (question, answer) in blamed:
            found[line] = "같은 질문에 사람마다 다르게 눌렀습니다. 누가 맞는지 사람이 정해야 합니다."
    return found


def _too_many(rows: Sequence[Mapping[str, Any]], samples: Mapping[int, RawSample]) -> dict[int, str]:
    seen: Counter[str] = Counter()
    found = {}
    for line in samples:
        if user := rows[line - 1].get("user"):
            seen[str(user)] += 1
            if seen[str(user)] > MAX_BY_ONE:
                found[line] = (
                    f"한 사람이 이번에 {MAX_BY_ONE}건 넘게 보탰습니다. 혼자서 모델을 바꾸지 못하게 나머지는 사람이 봅니다."
                )
    return found
