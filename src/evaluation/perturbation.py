"""The same exam with other numbers: a model that reads answers as before, one that recites does not.

GSM-Plus (arXiv 2402.19255) changes the numbers of a solved problem to see whether a model computes or remembers; here
the documents say another number, and the question is whether the answer is read from them.
"""

import re
from collections.abc import Sequence
from random import Random
from typing import Any

from src.data.schemas import RaftRecord
from src.raft.prompt import count_tokens

_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_DIGITS = "123456789"


def changed_digits(records: Sequence[RaftRecord], *, seed: int, tokenizer: Any) -> list[RaftRecord]:
    """Each record with other digits in all its documents and, by the same exchange, in its answer; questions stay.

    A record draws one exchange of 1 to 9 in which none stays itself; 0 stays 0. So a number keeps its length and never
    begins with a new 0, a round price stays round, unequal numbers stay unequal, and a document holds the answer exactly
    if it did before. A number that the question names ("DH-2741", "1,500원") stays as it is, wherever it stands, else the
    question would ask about something that is not there.
    """
    return [_changed(record, seed, tokenizer) for record in records]


def _changed(record: RaftRecord, seed: int, tokenizer: Any) -> RaftRecord:
    named = {_plain(number) for number in _NUMBER.findall(record.question)}
    found = {_plain(n) for text in (*record.context, record.answer) for n in _NUMBER.findall(text)} - named
    exchange = _exchange(Random(f"{seed}:{record.id}"), found, named)

    def other(number: re.Match[str]) -> str:
        return number[0] if _plain(number[0]) in named else number[0].translate(exchange)

    context = [_NUMBER.sub(other, document) for document in record.context]
    answer = _NUMBER.sub(other, record.answer)
    changed = record.model_copy(update={"context": context, "answer": answer, "cot": None})
    changed.n_tokens = count_tokens(changed, tokenizer)
    return changed


def _exchange(random: Random, found: set[str], named: set[str]) -> dict[int, str]:
    """A digit for each of 1 to 9, none for itself, that makes no number of ``found`` one of ``named`` (unless a few
    dozen draws all do)."""
    made = {}
    for _ in range(60):
        order = random.sample(_DIGITS, len(_DIGITS))
        if any(new == old for new, old in zip(order, _DIGITS, strict=True)):
            continue
        made = str.maketrans(_DIGITS, "".join(order))
        if not any(number.translate(made) in named for number in found):
            break
    return made


def _plain(number: str) -> str:
    return number.replace(",", "")
