"""RAFT: from samples to records, and from records to chat messages (arXiv 2403.10131, section 3).

Each record shows the question with one golden document and several distractors; in a share 1 - P of the records
the golden document is left out, and the right answer is to say so. ``to_messages`` is the only place where a
prompt is written: training, evaluation and chat all call it.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from src.evidence import (
    ABSTENTION,
    QUOTE_BEGIN,
    QUOTE_END,
    answer_cores,
    find_evidence,
    format_answer,
    holds_answer,
    split_sentences,
)
from src.schemas import RaftRecord, RawSample, Reject

INSTRUCTION = "주어진 문맥만 근거로 질문에 답하세요. 문맥에 답이 없으면 답을 찾을 수 없다고 말하세요."

NEAR_COPY = 0.95  # cosine of character TF-IDF vectors from which two documents count as one

# --- The prompt ------------------------------------------------------------------------------------------------


def documents_block(documents: Sequence[str]) -> str:
    """The documents as the user message shows them, one a line, numbered from 1."""
    return "\n".join(f"[문서 {number}] {document}" for number, document in enumerate(documents, start=1))


def to_messages(record: RaftRecord | Mapping, *, with_answer: bool = True) -> list[dict[str, str]]:
    """Chat messages of a record: system, user and, unless ``with_answer`` is False, assistant."""
    row = record if isinstance(record, Mapping) else record.model_dump()
    user = f"{documents_block(row['context'])}\n[질문] {row['question']}"
    messages = [{"role": "system", "content": row["instruction"]}, {"role": "user", "content": user}]
    if with_answer:
        answer = f"{row['cot']}\n{row['answer']}" if row.get("cot") else row["answer"]
        messages.append({"role": "assistant", "content": answer})
    return messages


def count_tokens(record: RaftRecord | Mapping, tokenizer) -> int:
    """Tokens of the whole prompt with its answer, by the tokenizer's chat template where it has one."""
    messages = to_messages(record)
    if getattr(tokenizer, "chat_template", None):
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    else:
        text = "\n".join(message["content"] for message in messages)
    return _length(text, tokenizer)


def _length(text: str, tokenizer) -> int:
    return len(tokenizer.encode(text, add_special_tokens=False))


# --- From samples to records -----------------------------------------------------------------------------------


class _Distractors:
    """Chooses the documents that stand beside a golden one, from the given samples' own documents only."""

    def __init__(self, samples: Sequence[RawSample], tokenizer, max_tokens: int, stats: Counter[str]):
        self.documents = list(dict.fromkeys(sample.context for sample in samples))
        self.index = {document: i for i, document in enumerate(self.documents)}
        # A document that alone does not fit can never be a distractor.
        self.fits = [_length(documents_block([text]), tokenizer) <= max_tokens for text in self.documents]
        self.stats = stats
        self.similar, self.copies = _neighbours(self.documents, [sample.question for sample in samples])

    def choose(self, row: int, sample: RawSample, count: int, rng: random.Random) -> list[str]:
        """Up to ``count`` documents; the first half are those most similar to the question (same product, same
        topic), the others random. None is the golden document, a near copy of it, or holds the answer."""
        golden = self.index[sample.context]
        refused = {golden} | self.copies[golden]
        self.stats["near_copy"] += len(self.copies[golden])
        chosen: list[int] = []

        def take(candidates: Sequence[int], until: int) -> None:
            for candidate in candidates:
                if len(chosen) >= until:
                    return
                if candidate in refused or not self.fits[candidate]:
                    continue
                refused.add(candidate)  # looked at once, chosen or not
                self.stats["examined"] += 1
                if holds_answer(self.documents[candidate], sample.answer):
                    self.stats["holds_answer"] += 1
                    continue
                chosen.append(candidate)

        take(self.similar[row], (count + 1) // 2)
        take(rng.sample(range(len(self.documents)), len(self.documents)), count)
        return [self.documents[candidate] for candidate in chosen]


def _neighbours(documents: list[str], questions: list[str], top: int = 32, block: int = 512):
    """For each question the ``top`` most similar documents, for each document its near copies (by position).

    Character 2- and 3-gram TF-IDF, cosine, computed in blocks so that memory stays flat.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), sublinear_tf=True, dtype=np.float32)
    matrix = vectorizer.fit_transform(documents)
    queries = vectorizer.transform(questions)
    similar: list[list[int]] = []
    for start in range(0, len(questions), block):
        scores = (queries[start : start + block] @ matrix.T).toarray()
        # A stable sort on the negated scores: equal scores stay in document order on every machine.
        similar.extend(np.argsort(-scores, axis=1, kind="stable")[:, :top].tolist())
    copies: list[set[int]] = []
    for start in range(0, len(documents), block):
        scores = (matrix[start : start + block] @ matrix.T).toarray()
        copies.extend(set(np.flatnonzero(row >= NEAR_COPY)) - {start + i} for i, row in enumerate(scores))
    return similar, copies


def _trim_around(document: str, evidence: Sequence[int], fits) -> str | None:
    """The longest run of sentences around ``evidence`` for which ``fits(text)``; None where there is none."""
    sentences = split_sentences(document)
    if not evidence or not fits(" ".join(sentences[evidence[0] : evidence[-1] + 1])):
        return None
    first, last = evidence[0], evidence[-1]
    grown = True
    while grown:
        grown = False
        for low, high in ((first - 1, last), (first, last + 1)):
            if low >= 0 and high < len(sentences) and fits(" ".join(sentences[low : high + 1])):
                first, last, grown = low, high, True
                break
    return " ".join(sentences[first : last + 1])


def _reasoning(quotes: Sequence[str], number: int) -> str | None:
    """Template reasoning that quotes the evidence word for word; None where the answer is not found there."""
    quoted = " ".join(f"{QUOTE_BEGIN}{quote}{QUOTE_END}" for quote in quotes)
    return f"질문의 답은 [문서 {number}]에 있습니다. {quoted}" if quotes else None


def convert_to_raft(
    samples: Sequence[RawSample],
    *,
    tokenizer,
    num_distractors: int,
    golden_probability: float,
    max_context_tokens: int,
    add_cot: bool = False,
    instruction: str = INSTRUCTION,
    seed: int = 0,
    stats: Counter[str] | None = None,
) -> tuple[list[RaftRecord], list[Reject]]:
    """Turn the samples of one split into RAFT records (arXiv 2403.10131, section 3).

    Args:
        samples: of one split; distractors come from these samples' documents only.
        tokenizer: counts tokens; its chat template, where it has one, writes the prompt that is counted.
        num_distractors: beside the golden document. Where that is left out one more distractor takes its place.
        golden_probability: the paper's P; exactly ``round(n * P)`` of the n records keep the golden document.
        max_context_tokens: of the documents as the user message shows them. Whole distractors go first, then
            sentences of the golden document far from the evidence; never the evidence.
        add_cot: write reasoning that quotes the evidence (answerable records only).
        seed: of everything drawn here.
        stats: filled with how many candidates were examined, held the answer, were near copies, were dropped.

    Returns:
        records and rejects; together as many as ``samples``.

    Raises:
        ValueError: a probability outside 0-1, or a negative number of distractors.
    """
    if not 0 <= golden_probability <= 1 or num_distractors < 0:
        raise ValueError("golden_probability는 0과 1 사이, num_distractors는 0 이상으로 정해 주세요.")
    if not samples:
        return [], []
    stats = Counter() if stats is None else stats
    picker = _Distractors(samples, tokenizer, max_context_tokens, stats)
    wanted = num_distractors + (golden_probability < 1)  # a left-out golden document needs a replacement

    def fits(*documents: str) -> bool:
        return _length(documents_block(documents), tokenizer) <= max_context_tokens

    # First see which samples can become a record at all, so that the share of golden ones is exact afterwards.
    ready, rejects = [], []
    for row, sample in enumerate(samples):
        record_seed = int(hashlib.sha256(f"{seed}:{row}:{sample.id}".encode()).hexdigest()[:8], 16)
        rng = random.Random(record_seed)
        golden, reason, field = sample.context, "", "context"
        evidence = find_evidence(golden, sample.answer, sample.answer_start)
        sentences = split_sentences(golden)
        if not fits(golden):
            golden = _trim_around(golden, evidence, fits)
            stats["trimmed_golden"] += golden is not None
        distractors = picker.choose(row, sample, wanted, rng)
        if not answer_cores(sample.answer):
            reason, field = "답에 글자나 숫자가 없습니다. 답을 다시 적어 주세요.", "answer"
        elif golden is None:
            reason = (
                f"근거 문장을 남기고는 문서를 {max_context_tokens}토큰 안에 줄일 수 없습니다. "
                "max_context_tokens를 늘리거나 문서를 나누어 주세요."
            )
        elif len(distractors) < wanted:
            reason = (
                f"답이 들어 있지 않은 방해 문서가 {wanted}개 필요한데 {len(distractors)}개뿐입니다. "
                "문서를 더하거나 num_distractors를 줄여 주세요."
            )
        if reason:
            rejects.append(
                Reject(
                    source=sample.source,
                    line=sample.line,
                    field=field,
                    reason=reason,
                    row=sample.model_dump(),
                )
            )
        else:
            ready.append((sample, golden, [sentences[i] for i in evidence], distractors, record_seed, rng))

    keep = round(len(ready) * golden_probability)
    with_golden = set(random.Random(seed).sample(range(len(ready)), keep))
    records = []
    for position, (sample, golden, quotes, distractors, record_seed, rng) in enumerate(ready):
        answerable = position in with_golden
        documents = [golden, *distractors[:num_distractors]] if answerable else list(distractors)
        while not fits(*documents):
            documents.pop()  # random distractors stand last and go first; one document alone always fits
            stats["dropped_distractors"] += 1
        rng.shuffle(documents)
        index = documents.index(golden) if answerable else None
        cot = _reasoning(quotes, index + 1) if answerable and add_cot else None
        record = RaftRecord(
            id=sample.id,
            instruction=instruction,
            context=documents,
            question=sample.question,
            answer=format_answer(sample.answer) if answerable else ABSTENTION,
            cot=cot,
            group_id=sample.group_id,
            golden_index=index,
            answerable=answerable,
            n_tokens=0,
            seed=record_seed,
            topic=sample.topic,
        )
        record.n_tokens = count_tokens(record, tokenizer)
        records.append(record)
    return records, rejects
