"""What each guarantee of ``convert_to_raft`` costs, beside a naive loop, and which faults it removes.

``python -m benchmarks.conversion`` converts the training split of the shipped corpus in steps, each with one guarantee
more than the one before, and writes its section of docs/benchmarks.md (about a minute).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from unittest.mock import patch

from benchmarks import machine, write_section
from src.data.corpus import read_corpus
from src.data.schemas import RaftRecord, RawSample
from src.data.splitting import split_by_group
from src.profiles import PROFILES
from src.qlora.loading import load_tokenizer
from src.raft import distractors
from src.raft.answers import ABSTENTION, QUOTE_BEGIN, QUOTE_END, format_answer
from src.raft.conversion import convert_to_raft
from src.raft.evidence import find_evidence, holds_answer
from src.raft.prompt import INSTRUCTION, context_tokens

DISTRACTORS, P, LIMIT, SEED = 4, 0.8, 256, 42
ROUNDS = 3
NO_LIMIT = 10**9
_QUOTE = re.compile(re.escape(QUOTE_BEGIN) + "(.*?)" + re.escape(QUOTE_END), re.DOTALL)
FAULTS = ("cut", "leak", "over", "missing", "soft", "unquoted")


def naive_convert(
    samples: Sequence[RawSample], characters: int, *, shuffle: bool = False
) -> list[RaftRecord]:
    """As such a loop is often written: the golden document first, others at random, the whole cut by characters.
    With ``shuffle`` the documents change places before the cut."""
    records = []
    for sample in samples:
        answerable = random.random() < P
        context = [sample.context] if answerable else []
        context += [random.choice(samples).context for _ in range(DISTRACTORS + (not answerable))]
        golden = context[0] if answerable else None
        if shuffle:
            random.shuffle(context)
        index = context.index(golden) if answerable else None
        room, kept = characters, []
        for document in context:
            kept.append(document[: max(room, 0)])
            room -= len(document) + 1
        records.append(
            RaftRecord(
                id=sample.id,
                instruction=INSTRUCTION,
                context=kept,
                question=sample.question,
                answer=format_answer(sample.answer) if answerable else ABSTENTION,
                group_id=sample.group_id,
                golden_index=index,
                answerable=answerable,
                n_tokens=0,
                seed=0,
                topic=sample.topic,
            )
        )
    return records


def steps(
    samples: Sequence[RawSample], tokenizer, characters: int
) -> dict[str, Callable[[], list[RaftRecord]]]:
    """Each step's name and its conversion; what is not yet guaranteed is switched off."""

    def blind(documents, questions, **_):
        return [[] for _ in questions], [set() for _ in documents]

    def ours(*off, **settings):
        def convert():
            with ExitStack() as stack:
                if "filter" in off:
                    stack.enter_context(patch.object(distractors, "answer_cores", lambda answer: []))
                    stack.enter_context(patch("src.raft.conversion.find_evidence", lambda *_: []))
                if "similar" in off:
                    stack.enter_context(patch.object(distractors, "_neighbours", blind))
                return convert_to_raft(
                    samples,
                    tokenizer=tokenizer,
                    num_distractors=DISTRACTORS,
                    golden_probability=P,
                    seed=SEED,
                    **({"max_context_tokens": NO_LIMIT} | settings),
                )[0]

        return convert

    return {
        "단순한 반복문": lambda: naive_convert(samples, characters),
        "단순한 반복문, 섞은 뒤 자르기": lambda: naive_convert(samples, characters, shuffle=True),
        "+ 시드, 섞기, 정확한 P, 자르지 않고 토큰 세기": ours("filter", "similar"),
        "+ 답이 든 방해 문서 거르기": ours("similar"),
        "+ 비슷한 방해 문서 절반, 골든의 복사본 빼기": ours(),
        "+ 토큰 예산": ours(max_context_tokens=LIMIT),
        "+ 근거를 인용하는 추론(CoT)": ours(max_context_tokens=LIMIT, add_cot=True),
    }


def faults(records: Sequence[RaftRecord], samples: Sequence[RawSample], tokenizer) -> dict[str, int]:
    """Records with a fault: ``cut`` (the answer no longer stands in the golden document), ``leak`` (another
    document holds the answer), ``over`` the limit, ``soft`` (no document of the same group beside the golden one),
    ``unquoted`` (answer shown, no quote of its evidence). ``missing``: golden documents too many or too few."""
    by_id = {sample.id: sample for sample in samples}
    count = dict.fromkeys(FAULTS, 0)
    count["missing"] = abs(round(len(records) * P) - sum(record.answerable for record in records))
    group_of = {sample.context: sample.group_id for sample in samples}
    for record in records:
        sample = by_id[record.id]
        grounded = bool(find_evidence(sample.context, sample.answer))
        golden = record.context[record.golden_index] if record.answerable else ""
        others = [text for i, text in enumerate(record.context) if i != record.golden_index]
        count["cut"] += record.answerable and grounded and not find_evidence(golden, sample.answer)
        count["leak"] += any(holds_answer(text, sample.answer) for text in others)
        count["over"] += context_tokens(record, tokenizer) > LIMIT
        count["soft"] += not any(group_of.get(text) == record.group_id for text in others)
        quotes = _QUOTE.findall(record.cot or "")
        count["unquoted"] += (
            record.answerable and grounded and not (quotes and all(quote in golden for quote in quotes))
        )
    return count


def first_place(records: Sequence[RaftRecord]) -> float:
    """Share of golden documents that come first, 0-1, among records that show several documents."""
    shown = [record for record in records if record.answerable and len(record.context) > 1]
    return sum(record.golden_index == 0 for record in shown) / len(shown)


def main() -> None:
    profile = PROFILES["tiny"]
    tokenizer = load_tokenizer(profile)
    samples = split_by_group(
        read_corpus(profile)[0],
        validation_ratio=profile.validation_ratio,
        test_ratio=profile.test_ratio,
        seed=profile.seed,
    )["train"]
    texts = list({sample.context: None for sample in samples})
    tokens = sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    characters = round(LIMIT * sum(map(len, texts)) / tokens)  # as much text as the limit, on average
    conversions = steps(samples, tokenizer, characters)
    convert_to_raft(  # loads the libraries, which is not what is timed
        samples[:50], tokenizer=tokenizer, num_distractors=1, golden_probability=P, max_context_tokens=LIMIT
    )
    seconds: dict[str, list[float]] = {name: [] for name in conversions}
    made = {}
    for _ in range(ROUNDS):  # in turns, so that a busy moment does not fall on one step alone
        for name, convert in conversions.items():
            random.seed(SEED)
            before = time.perf_counter()
            made[name] = convert()
            seconds[name].append(time.perf_counter() - before)
    lines = [
        "| 단계 | 샘플/초 | 1,000개에 | 답이 잘린 것 | 다른 문서에 답이 든 것 | 예산을 넘은 것 | 골든의 수가 P와 다른 만큼 "
        "| 같은 제품의 방해 문서가 없는 것 | 인용이 없는 것 | 골든이 맨 앞 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, records in made.items():
        best = min(seconds[name])
        found = " | ".join(f"{count:,}" for count in faults(records, samples, tokenizer).values())
        lines.append(
            f"| {name} | {len(samples) / best:,.0f} | {1000 * best / len(samples):.2f}초 | {found} "
            f"| {first_place(records):.0%} |"
        )
        print(lines[-1], flush=True)
    text = "\n".join(
        [
            "## 변환",
            "",
            f"말뭉치의 학습 쪽 {len(samples):,}개를 방해 문서 {DISTRACTORS}개, P = {P}로 바꿉니다. 한 줄 내려갈 때마다 "
            f"보장이 하나씩 늘어납니다(맨 위 두 줄은 보장이 없는 반복문입니다). 단순한 반복문은 골든 문서를 맨 앞에 두고, 방해 문서를 아무거나 고르고, 이은 글을 "
            f"{characters}자(평균 {LIMIT}토큰)에서 자릅니다. 예산은 {LIMIT}토큰입니다. 시간은 {ROUNDS}번 가운데 가장 짧은 "
            "것이고, 나머지 칸은 그 흠이 있는 레코드의 수입니다.",
            "",
            *lines,
            "",
            "단순한 반복문은 토큰을 세지 않아서 빠릅니다. 그 아래로는 레코드마다 채팅 템플릿을 거친 토큰 수를 세는 데 시간이 "
            "가장 많이 듭니다. 골든을 맨 앞에 두면 자르기에서는 무사하지만 자리가 답을 알려 주고, 섞으면 근거가 잘립니다. 예산 "
            "때문에 방해 문서가 빠지면 같은 제품의 문서가 남지 않는 레코드가 조금 늘어납니다. 마지막 열은 문서가 둘 이상인 레코드만 "
            "센 것이고, 문서가 n개면 1/n이 고른 값입니다.",
            "",
            f"{machine('transformers', 'tokenizers', 'scikit-learn')} 명령: `python -m benchmarks.conversion`",
        ]
    )
    write_section("conversion", text)


if __name__ == "__main__":
    main()
