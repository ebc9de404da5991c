"""Where an answer stands in a document: its sentences, and the piece around them that is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from src.data.text import sentence_spans
from src.raft.answers import answer_cores

_UNIT = re.compile(r"\d[A-Za-z]+\Z")  # "30W" is not in "30Wh"
_PARTICLES = "입니다|이며|이고|이다|까지|부터|에서|으로|동안|은|는|이|가|을|를|에|의|로|와|과|도|만|간|인"


@lru_cache(maxsize=4096)
def _core_pattern(core: str) -> re.Pattern[str]:
    letters = re.sub(r"\s+", "", core)
    body = r"\s*".join(map(re.escape, letters))
    if len(letters) < 3:  # "예", "3일": only as a word of its own, with a particle at most
        return re.compile(rf"(?<!\w)(?<!\d[.,]){body}(?:{_PARTICLES})?(?!\w)(?![.,]\d)", re.IGNORECASE)
    before = r"(?<!\d)(?<!\d[.,])" if letters[0].isdigit() else ""
    after = r"(?!\d)(?![.,]\d)" if letters[-1].isdigit() else r"(?![a-z²³])" if _UNIT.search(letters) else ""
    return re.compile(before + body + after, re.IGNORECASE)


def find_core(document: str, core: str) -> tuple[int, int] | None:
    """First place of ``core`` in ``document`` as (start, end) characters; white space and case are ignored, and
    a number is not found inside a longer number, a unit not inside a longer unit. Cores under 3 characters must stand as words
    of their own."""
    match = _core_pattern(core).search(document)
    return match.span() if match else None


def holds_answer(document: str, answer: str) -> bool:
    """Whether any sentence of ``answer`` stands in ``document``: the rule by which a distractor is refused."""
    return any(find_core(document, core) for core in answer_cores(answer))


def find_evidence(document: str, answer: str, answer_start: int | None = None) -> list[int]:
    """Positions of the sentences of ``document`` that hold ``answer``; empty where it does not stand there.

    ``answer_start`` (characters into ``document``) says which occurrence is meant; where the answer does not stand
    at that place it is ignored. Otherwise the first occurrence of each sentence of the answer counts.
    """
    if answer_start is not None and answer_start >= 0 and document.startswith(answer, answer_start):
        places = [(answer_start, answer_start + len(answer))]
    else:
        places = [find_core(document, core) for core in answer_cores(answer)]
    if not places or None in places:
        return []
    return [
        index
        for index, (start, end) in enumerate(sentence_spans(document))
        if any(start < place_end and place_start < end for place_start, place_end in places)
    ]


def trim_around(document: str, evidence: Sequence[int], fits: Callable[[str], bool]) -> str | None:
    """Whole sentences around ``evidence``, as many as ``fits`` lets pass; None where the evidence itself does not.

    The result is a piece of ``document``, character for character. It grows by a sentence before and a sentence
    after in turn, so that the evidence does not always end up at one end, where a model would learn to look for
    it. ``evidence`` (ascending positions) and what stands between its sentences are never cut.
    """
    spans = sentence_spans(document)

    def run(first: int, last: int) -> str:
        return document[spans[first][0] : spans[last][1]]

    if not evidence or not fits(run(evidence[0], evidence[-1])):
        return None
    first, last = evidence[0], evidence[-1]
    before, refused = True, 0
    while refused < 2:
        low, high = (first - 1, last) if before else (first, last + 1)
        if low >= 0 and high < len(spans) and fits(run(low, high)):
            first, last, refused = low, high, 0
        else:
            refused += 1
        before = not before
    return run(first, last)
