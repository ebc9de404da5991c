"""Where an answer stands in a text: one rule for distractors, evidence, groundedness and scores."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from src.data.text import is_punctuation, sentence_spans
from src.raft.answers import answer_cores

Place = tuple[int, int]  # start and end, in characters

_NUMBER_BEFORE, _NUMBER_AFTER = re.compile(r"\d\.?\Z"), re.compile(r"\.?\d")
_THOUSANDS = re.compile(r"\d{3}(?!\d)")
_UNIT, _UNIT_GOES_ON = re.compile(r"\d[a-z]+\Z"), re.compile(r"[a-z²³]")  # "30W" in "30Wh", "2m" in "2mm"
# What Korean writes onto a word ("빨간" and "빨간색" are one). "개월" is not among it: "2개" is not in "2개월".
_ENDINGS = re.compile(
    r"색?(?:입니다|입니까|이에요|이예요|예요|에요|이[다며고지라나었]|라[고는며]?|지만|이지만|이라[고는며]?|였습니다|이었습니다|일|"
    r"[은는이가을를에의로와과도만간인요]|으로|까지|부터|에서|에게|동안|마다|보다|쯤|씩|정도|가량|이상|이하|이내){0,3}"
)
_LONGEST_ENDING = 12  # characters


class Letters(NamedTuple):
    """A text as answers are looked for in it: lower case, without white space and punctuation, except what parts two
    numbers ("1.5", "10~20" -> "10 20"; but 1,500 -> 1500)."""

    text: str
    places: list[int]  # of each letter in the text it came from (after NFC)

    def parted(self, at: int) -> bool:
        """Whether something stood before letter ``at`` that is now left out; a word begins or ends there."""
        return at in (0, len(self.text)) or self.text[at] in ". " or self.places[at] - self.places[at - 1] > 1

    def find(self, core: str) -> Place | None:
        """First place of ``core`` (the letters of one) where no number, no unit and no word too short to tell goes
        on."""
        start = self.text.find(core) if core else -1
        while start >= 0:
            end = start + len(core)
            if not self._cut(core, start, end):
                return self.places[start], self.places[end - 1] + 1
            start = self.text.find(core, start + 1)
        return None

    def _cut(self, core: str, start: int, end: int) -> bool:
        begins_number = core[0].isdecimal()
        if begins_number and _NUMBER_BEFORE.search(self.text[max(start - 2, 0) : start]):
            return True
        if core[-1].isdecimal() and _NUMBER_AFTER.match(self.text, end):
            return True
        if _UNIT.search(core) and not self.parted(end) and _UNIT_GOES_ON.match(self.text, end):
            return True
        if len(core) >= (2 if core.isdecimal() else 3):
            return False
        # A number begins a word wherever it stands: "약2년".
        if not begins_number and not self.parted(start) and self.text[start - 1].isalnum():
            return True
        last = min(len(self.text), end + _LONGEST_ENDING)
        stop = next((at for at in range(end, last) if self.parted(at)), last)
        return not _ENDINGS.fullmatch(self.text, end, stop)


@lru_cache(maxsize=4096)
def letters(text: str) -> Letters:
    """``text`` to be searched, and an answer's core to be looked for."""
    text = unicodedata.normalize("NFC", text)
    kept: list[str] = []
    places: list[int] = []
    before = 0  # where the letter before ended
    for at, character in enumerate(text):
        if is_punctuation(character) or character.isspace() or character in "~`":
            continue
        gap = text[before:at]
        between_numbers = gap and kept and kept[-1].isdecimal() and character.isdecimal()
        if between_numbers and not (gap == "," and _THOUSANDS.match(text, at)):
            kept.append("." if gap == "." else " ")
            places.append(before)
        lower = character.lower()
        kept.append(lower if len(lower) == 1 else character)
        places.append(at)
        before = at + 1
    return Letters("".join(kept), places)


def find_core(document: str, core: str) -> Place | None:
    """First place of ``core`` (a sentence of an answer, ``answer_cores``) in ``document`` as (start, end) characters.

    White space, punctuation and case are ignored. A number must not go on: "310W" stands neither in "1310W" nor in
    "1,310W", "5L" not in "1.5L"; nor a unit: "30W" not in "30Wh". Under 3 characters (of a bare number: under 2) it
    must be a word of its own, with a particle or ending at most: "예" not in "예약", "2" not in "2칸". The place is
    that in ``document`` in NFC.
    """
    return letters(document).find(letters(core).text)


def find_answer(document: str, answer: str) -> list[Place | None]:
    """The place of each sentence of ``answer`` (form, copula and punctuation stripped) in ``document`` by
    ``find_core``, None where it does not stand there; empty for an answer without a word."""
    return [find_core(document, core) for core in answer_cores(answer) if letters(core).text]


def holds_answer(document: str, answer: str) -> bool:
    """Whether any sentence of ``answer`` stands in ``document``: the rule by which a distractor is refused."""
    return any(find_answer(document, answer))


def find_evidence(document: str, answer: str, answer_start: int | None = None) -> list[int]:
    """Positions of the sentences of ``document`` that hold ``answer``; empty where it does not stand there.

    ``answer_start`` (characters into ``document``) says which occurrence is meant; where the answer does not stand
    at that place it is ignored. Otherwise the first occurrence of each sentence of the answer counts.
    """
    if answer_start is not None and answer_start >= 0 and document.startswith(answer, answer_start):
        places = [(answer_start, answer_start + len(answer))]
    else:
        places = find_answer(document, answer)
    if not places or None in places:
        return []
    return [
        index
        for index, (start, end) in enumerate(sentence_spans(document))
        if any(start < place_end and place_start < end for place_start, place_end in places)
    ]


def trim_around(document: str, evidence: Sequence[int], fits: Callable[[str], bool]) -> str | None:
    """Whole sentences around ``evidence``, as many as ``fits`` lets pass; None where the evidence itself does not.

    A piece of ``document``, character for character. It grows by a sentence before and one after in turn, lest a model
    learn to look for the evidence at one end. ``evidence`` (ascending positions) and what is between are never cut.
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
