"""From samples to RAFT records (arXiv 2403.10131, section 3): the question with one golden document and several
distractors; in a share 1 - P of the records the golden document is left out, and the right answer is to say so."""

import hashlib
import random
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

from src.data.schemas import RaftRecord, RawSample, Reject, golden_document
from src.data.text import split_sentences
from src.profiles import count_range
from src.raft.answers import ABSTENTION, answer_cores, format_answer, reasoning
from src.raft.distractors import Choice, DistractorPicker, hard_count
from src.raft.evidence import find_evidence, trim_around
from src.raft.prompt import INSTRUCTION, context_tokens, count_tokens


def convert_to_raft(
    samples: Sequence[RawSample],
    *,
    tokenizer,
    num_distractors: int | tuple[int, int],
    golden_probability: float,
    max_context_tokens: int,
    add_cot: bool = False,
    hard_share: float = 0.5,
    left_out_answer: Literal["abstain", "memorize"] = "abstain",
    seed: int = 0,
    stats: Counter[str] | None = None,
) -> tuple[list[RaftRecord], list[Reject]]:
    """Turn the samples of one split into RAFT records (arXiv 2403.10131, section 3).

    Args:
        samples: of one split; distractors come from these samples' documents only.
        tokenizer: counts tokens; its chat template, where it has one, writes the prompt that is counted.
        num_distractors: beside the golden document; or a range (low, high, both included) from which each record
            draws its own number. Where the golden document is left out one more, hard one takes its place.
        golden_probability: the paper's P; exactly ``round(n * P)`` of the n records keep the golden document.
        max_context_tokens: that the documents may add to the templated prompt (``context_tokens``). Whole
            distractors go first (a shortened one would tell by its length what it is), the last drawn before the
            others; then sentences of the golden document far from the evidence; never the evidence.
        add_cot: write reasoning that quotes the evidence (only where the golden document is shown).
        hard_share: ``ceil(n * hard_share)`` of a record's n distractors are those most similar to the question, the rest
            random; random ones go first where tokens run short. What takes a left-out golden document's place is a
            hard one: one more unrelated document would tell, without reading, that there is no answer.
        left_out_answer: where the golden document is left out, answer with an abstention or, as the paper does,
            with the sample's own answer, to be memorized. ``answerable`` (from the documents) is False either way.
        seed: of everything drawn here.
        stats: filled with how many candidates were examined, held the answer, were near copies or too long, how many
            distractors were dropped for tokens, are hard or random, and how many golden documents were trimmed.

    Returns:
        records and rejects; together as many as ``samples``.

    Raises:
        ValueError: a share or probability outside 0-1, a negative number, a range from high to low, or an unknown
            ``left_out_answer``.
    """
    low, high = count_range(num_distractors)
    if not (0 <= golden_probability <= 1 and 0 <= hard_share <= 1 and 0 <= low <= high):
        raise ValueError(
            "golden_probability와 hard_share는 0과 1 사이, num_distractors는 0 이상(범위라면 작은 수 먼저)으로 정해 주세요."
        )
    if left_out_answer not in ("abstain", "memorize"):
        raise ValueError(
            "left_out_answer는 'abstain'(답 없음)과 'memorize'(외운 답) 가운데 하나로 정해 주세요."
        )
    if not samples:
        return [], []
    stats = Counter() if stats is None else stats
    budget = _Budget(tokenizer, max_context_tokens)
    picker = DistractorPicker(samples, fits=budget.fits, stats=stats)
    spare = int(golden_probability < 1)  # takes the place of a golden document that is left out

    # First: which samples can become a record, and with what; then the share of golden ones can be exact.
    ready, rejects = [], []
    for row, sample in enumerate(samples):
        record_seed = int(hashlib.sha256(f"{seed}:{row}:{sample.id}".encode()).hexdigest()[:8], 16)
        rng = random.Random(record_seed)
        count = rng.randint(low, high) if low < high else low
        hard = hard_count(count, hard_share)
        sentences = split_sentences(sample.context)
        evidence = find_evidence(sample.context, sample.answer, sample.answer_start)
        quotes = [sentences[i] for i in evidence]
        golden = sample.context
        if not budget.fits(golden):
            golden = trim_around(golden, evidence, budget.fits)
        stats["trimmed_golden"] += golden not in (None, sample.context)
        choice = picker.choose(row, sample, quotes, hard=hard + spare, count=count + spare, rng=rng)
        # Where the limit keeps distractors out they may be fewer, but what is shown must not be nothing.
        missing = (spare if choice.too_long else count + spare) - len(choice.documents)
        if problem := _problem(sample, golden, quotes, max_context_tokens, missing, len(choice.documents)):
            place = {"source": sample.source, "line": sample.line, "field": problem[0]}
            rejects.append(Reject(**place, reason=problem[1], row=sample.model_dump()))
        else:
            ready.append(_Ready(sample, golden, quotes, choice, count, hard, record_seed, rng))

    # Second: the records, exactly so many of them with their golden document.
    with_golden = set(random.Random(seed).sample(range(len(ready)), round(len(ready) * golden_probability)))
    records = []
    for position, one in enumerate(ready):
        left_out = position not in with_golden
        hard_ones, others = one.choice.mix(one.hard + left_out, one.count + left_out)
        answer = ABSTENTION if left_out and left_out_answer == "abstain" else format_answer(one.sample.answer)
        documents = [*([] if left_out else [one.golden]), *hard_ones, *others]
        record = _draw(one, documents, answer, budget, answerable=not left_out, add_cot=add_cot)
        beside = len(record.context) - record.answerable
        stats["dropped_distractors"] += one.count + left_out - beside
        stats["hard"] += min(len(hard_ones), beside)
        stats["random"] += max(0, beside - len(hard_ones))
        records.append(record)
    return records, rejects


def with_reasoning(record: RaftRecord) -> RaftRecord:
    """``record`` as ``add_cot`` would have made it: with reasoning where it has its golden document and the answer
    stands in that."""
    golden = golden_document(record)
    if golden is None:
        return record
    sentences = split_sentences(golden)
    quotes = [sentences[i] for i in find_evidence(golden, record.answer)]
    return record.model_copy(update={"cot": reasoning(quotes, record.golden_index + 1)})


class _Ready(NamedTuple):
    """A sample that can become a record, and what that takes."""

    sample: RawSample
    golden: str  # its document, or what of it is kept
    quotes: list[str]  # sentences that hold the answer
    choice: Choice
    count: int  # of distractors beside the golden document
    hard: int  # so many of them
    seed: int
    rng: random.Random


class _Budget:
    """Tokens that single documents add to a prompt: where to begin; whole records are then counted exactly."""

    def __init__(self, tokenizer, limit: int):
        self.tokenizer, self.limit = tokenizer, limit
        self.row = {"instruction": INSTRUCTION, "question": "?", "answer": ABSTENTION, "context": []}
        self.empty = count_tokens(self.row, tokenizer)
        self.length = cache(self._count)

    def _count(self, document: str) -> int:
        return count_tokens({**self.row, "context": [document]}, self.tokenizer) - self.empty

    def fits(self, document: str) -> bool:
        return self.length(document) <= self.limit


def _draw(
    one: _Ready, documents: list[str], answer: str, budget: _Budget, *, answerable: bool, add_cot: bool
) -> RaftRecord:
    """A record with as many of ``documents`` (golden, hard, random: the last go first) as fit, shuffled; one does."""
    shown = len(documents)
    while shown > 1 and sum(map(budget.length, documents[:shown])) > budget.limit:
        shown -= 1
    context = documents[:shown]
    one.rng.shuffle(context)
    record = RaftRecord(
        **one.sample.model_dump(include={"id", "question", "group_id", "topic", "source"}),
        instruction=INSTRUCTION,
        context=context,
        answer=answer,
        golden_index=None,
        answerable=answerable,
        n_tokens=0,
        seed=one.seed,
    )
    while True:
        if answerable:
            record.golden_index = record.context.index(one.golden)
            record.cot = reasoning(one.quotes, record.golden_index + 1) if add_cot else None
        record.n_tokens = count_tokens(record, budget.tokenizer)
        # A whole prompt within the limit needs no second count.
        if len(record.context) == 1 or record.n_tokens <= budget.limit:
            return record
        if context_tokens(record, budget.tokenizer) <= budget.limit:
            return record
        # What is left of a shuffle is still shuffled.
        record.context.remove(documents[len(record.context) - 1])


def _problem(
    sample: RawSample, golden: str | None, quotes: Sequence[str], limit: int, missing: int, found: int
) -> tuple[str, str] | None:
    """(field, reason) where a sample cannot become a record."""
    if not answer_cores(sample.answer):
        return "answer", "답에 글자나 숫자가 없습니다. 답을 다시 적어 주세요."
    if golden is None and not quotes:
        return "context", (
            f"문서가 {limit}토큰보다 긴데 답이 문서에 그대로 나오지 않아 어디를 남겨야 할지 알 수 없습니다. "
            "답을 문서의 표현으로 고치거나 max_context_tokens를 늘려 주세요."
        )
    if golden is None:
        return "context", (
            f"근거 문장을 남기고는 문서를 {limit}토큰 안에 줄일 수 없습니다. "
            "max_context_tokens를 늘리거나 문서를 나누어 주세요."
        )
    if missing > 0:
        return "context", (
            f"답이 들어 있지 않고 {limit}토큰에 들어가는 방해 문서가 {found + missing}개 필요한데 {found}개뿐입니다. "
            "문서를 더하거나 num_distractors를 줄이거나 max_context_tokens를 늘려 주세요."
        )
    return None
