"""A hundred rows become several hundred: the same documents with other numbers in another order.

A model that has seen a value once may recite it; where every copy of a document says another number, only reading helps.
Wordings stay as they are, so nothing new is learned about how people ask. For the training split alone.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

from src import pipeline
from src.data.schemas import RaftRecord, RawSample
from src.data.text import split_sentences
from src.profiles import Profile
from src.quality.cleaning import clean_records
from src.raft.answers import answer_cores
from src.raft.evidence import holds_answer

_NUMBER = re.compile(r"(?<![\d.,])\d+(?![\d.,]?\d)")


def renumbered(samples: Sequence[RawSample], *, seed: int) -> list[RawSample]:
    """Each document once more, with another number for every number that one of its answers gives, and its sentences
    but the first (taken for a title) shuffled. A new number has as many digits, and no document holds one number twice
    over. Questions and groups stay; a sample whose answer no longer stands in its document is left out.
    """
    rng = Random(seed)
    by_document: dict[str, list[RawSample]] = defaultdict(list)
    for sample in samples:
        by_document[sample.context].append(sample)
    made = []
    for document, asked in by_document.items():
        given = {n for s in asked for core in answer_cores(s.answer) for n in _NUMBER.findall(core)}
        held = set(_NUMBER.findall(document))
        to: dict[str, str] = {}
        for old in sorted(given & held):
            low, high = 10 ** (len(old) - 1), 10 ** len(old)
            taken = held | set(to.values())
            # A few tries: where all numbers of one digit are taken, the old one stays.
            drawn = (str(rng.randrange(low, high)) for _ in range(50))
            to[old] = next((new for new in drawn if new not in taken), old)

        def changed(text: str, to: dict[str, str] = to) -> str:
            return _NUMBER.sub(lambda m: to.get(m[0], m[0]), text)

        first, *rest = split_sentences(changed(document))
        rng.shuffle(rest)
        context = " ".join([first, *rest])
        for s in asked:
            answer, question = changed(s.answer), s.question
            if any(number in question for number in to):  # a number that the question takes for granted
                continue
            if holds_answer(context, answer):
                update = {"id": f"{s.id}~{seed}", "context": context, "answer": answer, "answer_start": None}
                made.append(s.model_copy(update=update))
    return made


def augmented_records(
    samples: Sequence[RawSample], profile: Profile, tokenizer: Any, *, copies: int
) -> list[RaftRecord]:
    """Clean RAFT records of ``copies`` renumbered rounds of a training split. Each round takes its distractors from
    itself: beside its original, a renumbered document would contradict the answer."""
    records: list[RaftRecord] = []
    for turn in range(1, copies + 1):
        rows = renumbered(samples, seed=profile.seed + turn)
        made, _ = pipeline.convert_splits({"train": rows}, profile, tokenizer)
        records += clean_records(made["train"], tokenizer=tokenizer)[0]
    return records
