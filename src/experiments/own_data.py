"""Bring your own: a file or a public dataset through notebooks 01 and 02 in one call, which says what is missing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from src import pipeline
from src.data.conversations import load_conversations
from src.data.files import read_rows
from src.data.reading import TEXT_FIELDS, iter_samples
from src.data.schemas import Conversation, RaftRecord, RawSample, Reject
from src.data.splitting import bundle_rows, check_leakage, draw_groups, split_by_group
from src.data.validation import validate_samples
from src.profiles import Profile
from src.quality.cleaning import Finding, clean_conversations

# Column names that other people use, to guess from when a file's own are not known (src.data.reading.ALIASES).
_GUESSES = {
    "question": ("instruction", "prompt", "query", "문의", "문의내용", "질의", "물음", "고객질문"),
    "context": ("input", "passage", "paragraph", "text", "content", "내용", "안내문", "지문", "자료", "근거"),
    "answer": ("output", "response", "completion", "target", "회신", "답변내용", "응답", "상담답변"),
}
_MEANING = {"question": "질문", "context": "답의 근거가 되는 문서", "answer": "답"}


@dataclass
class Prepared:
    """Own data after 01's and 02's steps: what became of every row."""

    profile: Profile
    samples: list[RawSample]
    rejects: list[Reject]  # rows refused on reading
    splits: dict[str, list[RawSample]]
    unconverted: list[Reject]  # samples that could not become a record
    findings: list[Finding]
    records: dict[str, list[RaftRecord]]  # clean, by split


def prepare(
    source: str | Path,
    profile: Profile,
    tokenizer: Any,
    *,
    fields: Mapping[str, str] | None = None,
    rows: int | None = None,
    question_threshold: float | None = 0.9,
    beside: Mapping[str | Path, int] | None = None,
    **dataset: Any,
) -> Prepared:
    """Read, validate, split, convert and clean ``source`` with the profile's numbers: notebooks 01 and 02 in one call.

    Args:
        source: a file or a dataset, as for ``iter_samples``; ``dataset`` are its ``split``, ``config``, ``revision``.
        fields: our names -> the file's own.
        rows: take so many rows, by whole groups drawn with the seed; None: all.
        question_threshold: as for ``split_by_group``.
        beside: public data to train on as well: a file, a hub id or a local dataset -> so many of its rows. Only the
            training split grows: what counts is the score on one's own questions.

    Raises:
        ValueError: a whole field is missing, or nothing is left to train on; the message names what the file has
            and what to do.
    """
    read = iter_samples(source, fields=fields, **dataset)
    read = list(read if rows is None else draw_groups(read, count=rows, seed=profile.seed))
    _require_fields(source, read, fields or {})
    samples, rejects = validate_samples(read, max_context_length=profile.max_context_length)
    _require(samples, rejects, f"{_name(source)}에서 쓸 수 있는 행이 하나도 없습니다.")
    ratios = {"validation_ratio": profile.validation_ratio, "test_ratio": profile.test_ratio}
    splits = split_by_group(samples, **ratios, seed=profile.seed, question_threshold=question_threshold)
    for other, count in (beside or {}).items():
        added, refused = _public_rows(other, count, splits, profile, question_threshold)
        splits["train"] += added
        samples, rejects = samples + added, rejects + refused
    check_leakage(splits, question_threshold=question_threshold)
    records, unconverted = pipeline.convert_splits(splits, profile, tokenizer)
    clean, findings = pipeline.clean_splits(records, tokenizer)
    for name, wanted in splits.items():
        lost = [*(u for u in unconverted if u.row["id"] in {s.id for s in wanted})]
        found = [Reject(reason=f.detail) for f in findings if f.split == name and f.action == "removed"]
        if wanted:
            _require(clean[name], [*lost, *found], f"{name} 쪽에 레코드가 하나도 남지 않았습니다.")
    return Prepared(profile, samples, rejects, splits, unconverted, findings, clean)


def _public_rows(
    source: str | Path,
    count: int,
    splits: Mapping[str, Sequence[RawSample]],
    profile: Profile,
    question_threshold: float | None,
) -> tuple[list[RawSample], list[Reject]]:
    """About ``count`` rows of other people's, by whole groups; refused is also what is held out in ``splits``."""
    drawn = draw_groups(iter_samples(source), count=count, seed=profile.seed)
    samples, rejects = validate_samples(drawn, max_context_length=profile.max_context_length)
    held_out = [sample for name in ("validation", "test") for sample in splits[name]]
    taken = {sample.id for sample in splits["train"]} | {sample.id for sample in held_out}
    together = [*held_out, *samples]
    leaking: set[int] = set()
    for bundle in bundle_rows(together, question_threshold=question_threshold):
        if bundle[0] < len(held_out):
            leaking.update(place - len(held_out) for place in bundle)
    reason = "시험이나 검증 데이터와 문서나 질문이 겹칩니다."
    rejects += [
        Reject(source=s.source, line=s.line, reason=reason, row=s.model_dump())
        for place, s in enumerate(samples)
        if place in leaking
    ]
    kept = [s for place, s in enumerate(samples) if place not in leaking]
    # Two files number their rows alike; a record is known by its id.
    return [
        s if s.id not in taken else s.model_copy(update={"id": f"{s.source}:{s.id}"}) for s in kept
    ], rejects


class Talks(NamedTuple):
    """Own dialogues and instructions: rows read are records + rejects + findings that removed one."""

    records: dict[str, list[Conversation]]  # clean, by split
    rejects: list[Reject]
    findings: list[Finding]


def prepare_conversations(
    source: str | Path,
    profile: Profile,
    *,
    learn: Literal["all", "last"] = "all",
    fields: Mapping[str, str] | None = None,
    question_threshold: float | None = None,
    **dataset: Any,
) -> Talks:
    """Dialogues or instructions of ``source``, divided as the profile says, without repetitions and personal data; ready
    to be trained on beside RAFT records.

    Args:
        source, learn, fields, dataset: as for ``load_conversations``.
        question_threshold: as for ``split_by_group``, of all that the user says; instructions are often one sentence
            with another input, so by default only what is one group or wholly equal stays together.

    Raises:
        ValueError: nothing is left to train on; the message says why.
    """
    talks, rejects = load_conversations(source, learn=learn, fields=fields, **dataset)
    _require(talks, rejects, f"{_name(source)}에서 쓸 수 있는 대화나 지시가 하나도 없습니다.")
    ratios = {"validation_ratio": profile.validation_ratio, "test_ratio": profile.test_ratio}
    splits = split_by_group(talks, **ratios, seed=profile.seed, question_threshold=question_threshold)
    check_leakage(splits, question_threshold=question_threshold)
    cleaned = {name: clean_conversations(rows) for name, rows in splits.items()}
    findings = [replace(found, split=name) for name, (_, all_found) in cleaned.items() for found in all_found]
    return Talks({name: kept for name, (kept, _) in cleaned.items()}, rejects, findings)


def _require(kept: Sequence[Any], refused: Sequence[Reject], sentence: str) -> None:
    if not kept:
        reasons = Counter(f"{r.field}: {r.reason}" if r.field else r.reason for r in refused)
        lines = [f"- {count:,}건: {reason}" for reason, count in reasons.most_common(3)]
        empty = "- 읽은 행이 없습니다. 파일이 비어 있지 않은지 확인해 주세요."
        raise ValueError("\n".join([sentence, *(lines or [empty])]))


def _name(source: str | Path) -> str:
    return Path(source).name if Path(source).exists() else str(source)


def _require_fields(source: str | Path, rows: Sequence[Mapping[str, Any]], fields: Mapping[str, str]) -> None:
    """ValueError where question, context or answer is empty in every row: that is a name, not a flaw of rows."""
    readable = [row for row in rows if "error" not in row]
    missing = [n for n in TEXT_FIELDS if readable and all(row.get(n) in (None, "") for row in readable)]
    if not missing:
        return
    columns: dict[str, bool] = {}  # name -> whether any of the first rows has something there
    if Path(source).is_file():
        for _, row in islice(read_rows(Path(source)), 1000):
            for column, value in row.items() if isinstance(row, Mapping) else ():
                columns[column] = columns.get(column, False) or value not in (None, "")
    free = [column for column, filled in columns.items() if filled and column not in fields.values()]
    bare = {column: "".join(column.split()).lower().replace("_", "") for column in free}
    guesses = {name: next((c for c in free if bare[c] in _GUESSES[name]), None) for name in missing}
    wanted = ", ".join(f"{name}({_MEANING[name]})" for name in missing)
    lines = [f"{_name(source)}에서 {wanted}을(를) 찾지 못했습니다."]
    if columns:
        lines.append(f"이 파일의 칸: {', '.join(columns)}")
    named = {**fields, **{name: column or "칸 이름" for name, column in guesses.items()}}
    lines.append(f"그 칸이 있으면 이름을 알려 주세요: fields={named}")
    if "context" in missing and guesses["context"] is None:
        lines.append(
            "문서 칸이 아예 없다면 RAFT로는 학습할 수 없습니다. RAFT는 문서를 읽고 답하는 학습입니다. "
            "질문마다 근거가 되는 글을 context 칸에 붙여 주세요. 문서가 필요 없는 지시나 대화라면 "
            "prepare_conversations로 읽어 주세요."
        )
    raise ValueError("\n".join(lines))
