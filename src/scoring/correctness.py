"""Right or wrong: exact match, KorQuAD's rules, answer contained, abstention. None of it needs a tokenizer.

Every function takes two lists of the same length, never raises on an empty, long or odd *answer*, and gives the
values a sample with ``per_sample=True``.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from src.raft.answers import answer_cores, is_abstention
from src.scoring.tokenizers import check_lengths, check_pairs, check_texts


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") and character != "%"


def normalize_answer(text: str) -> str:
    """NFC, white space collapsed, punctuation at the end stripped: what exact match compares."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    end = len(text)
    while end and (_is_punctuation(text[end - 1]) or text[end - 1].isspace()):
        end -= 1
    return text[:end]


_KORQUAD_TO_SPACE = re.compile("['\"《》<>〈〉()‘’]")
_KORQUAD_DROPPED = str.maketrans("", "", string.punctuation)


def korquad_normalize(text: str) -> str:
    """KorQuAD 1.0's official rule (after NFC): quotes and brackets to spaces, lower case, ASCII punctuation dropped,
    white space collapsed. It makes "1.5" and "15" equal."""
    text = _KORQUAD_TO_SPACE.sub(" ", unicodedata.normalize("NFC", text)).lower()
    return " ".join(text.translate(_KORQUAD_DROPPED).split())


def _mean(name: str, values: Sequence[float], per_sample: bool) -> dict[str, Any]:
    result: dict[str, Any] = {name: float(np.mean(values))}
    return result | ({"per_sample": [float(value) for value in values]} if per_sample else {})


def compute_exact_match(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    normalize: Callable[[str], str] = normalize_answer,
    per_sample: bool = False,
) -> dict[str, Any]:
    """Share of answers equal to their reference after ``normalize``, 0-1; ``korquad_normalize`` gives KorQuAD's
    official exact match."""
    check_pairs(predictions, references)
    pairs = zip(predictions, references, strict=True)
    return _mean("exact_match", [float(normalize(pred) == normalize(ref)) for pred, ref in pairs], per_sample)


def compute_char_f1(
    predictions: Sequence[str], references: Sequence[str], *, per_sample: bool = False
) -> dict[str, Any]:
    """KorQuAD 1.0's official F1, 0-1: characters in common, *without order*, after ``korquad_normalize`` and
    without white space. "울서" for "서울" therefore scores 1.0."""
    check_pairs(predictions, references)

    def score(prediction: str, reference: str) -> float:
        left, right = (Counter(korquad_normalize(text).replace(" ", "")) for text in (prediction, reference))
        common = (left & right).total()
        return 2 * common / (left.total() + right.total()) if common else 0.0

    values = [score(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    return _mean("char_f1", values, per_sample)


def _canonical(text: str) -> tuple[str, set[int]]:
    """Without white space and punctuation, except where they part two numbers: "1.5", "10~20" -> "10 20"; and the
    places where they stood, for a word is still to be told from a part of one."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", unicodedata.normalize("NFC", text))  # 1,500 -> 1500
    kept: list[str] = []
    gap: list[str] = []
    gaps: set[int] = set()
    for character in text:
        if character.isspace() or character in "~`" or _is_punctuation(character):
            gap.append(character)
            continue
        if gap:
            gaps.add(len(kept))
            if kept and kept[-1].isdecimal() and character.isdecimal():
                kept.append("." if gap == ["."] else " ")
            gap.clear()
        kept.append(character)
    return "".join(kept), gaps


_NUMBER_BEFORE, _NUMBER_AFTER = re.compile(r"\d\.?\Z"), re.compile(r"\.?\d")
_UNIT = re.compile(r"\d[A-Za-z]+\Z")
_UNIT_GOES_ON = re.compile(r"[A-Za-z²³]")  # "30W" in "30Wh", "2m" in "2mm"
# What Korean writes onto a word ("빨간" and "빨간색" are one). "개월" is not among it: "2개" is not in "2개월".
_ENDINGS = re.compile(
    r"색?(?:입니다|입니까|이에요|이예요|예요|에요|이[다며고지라나었]|라[고는며]?|지만|이지만|이라[고는며]?|였습니다|이었습니다|일|"
    r"[은는이가을를에의로와과도만간인요]|으로|까지|부터|에서|에게|동안|마다|보다|쯤|씩|정도|가량|이상|이하|이내){0,3}"
)
_LONGEST_ENDING = 12  # characters


def _ends_as_word(text: str, end: int, gaps: set[int]) -> bool:
    last = min(len(text), end + _LONGEST_ENDING)
    stop = next((place for place in range(end, last) if place in gaps), last)
    return _ENDINGS.fullmatch(text, end, stop) is not None


def _stands_in(core: str, text: str, gaps: set[int]) -> bool:
    """Whether ``core`` occurs in ``text`` so that no number, no unit and no word too short to tell goes on."""
    short, unit = len(core) < 3 and not core.isdecimal(), _UNIT.search(core)
    start = text.find(core)
    while start >= 0:
        end = start + len(core)
        cut = core[0].isdecimal() and _NUMBER_BEFORE.search(text[max(start - 2, 0) : start])
        cut = cut or (core[-1].isdecimal() and _NUMBER_AFTER.match(text[end : end + 2]))
        cut = cut or (unit and end not in gaps and _UNIT_GOES_ON.match(text, end))
        if short and not cut:  # "약2년" is one, too: a number begins a word
            cut = start and start not in gaps and not core[0].isdecimal()
            cut = cut or not _ends_as_word(text, end, gaps)
        if not cut:
            return True
        start = text.find(core, start + 1)
    return False


def answer_contained(prediction: str, reference: str) -> bool:
    """Whether every sentence of ``reference`` (form, copula and punctuation stripped) stands in ``prediction``.

    White space and punctuation are ignored; a number must not go on: "310W" stands neither in "1310W" nor in
    "1,310W", "5L" not in "1.5L"; nor a unit: "30W" not in "30Wh". Under 3 characters it must be a word of its own,
    with a particle or ending at most: "예" not in "예약". A reference without a word is contained nowhere.
    """
    cores = [core for core, _ in map(_canonical, answer_cores(reference)) if core]
    text, gaps = _canonical(prediction)
    return bool(cores) and all(_stands_in(core, text, gaps) for core in cores)


def compute_answer_contained(
    predictions: Sequence[str], references: Sequence[str], *, per_sample: bool = False
) -> dict[str, Any]:
    """Share of answers that hold everything their reference says (``answer_contained``), 0-1. It asks neither for
    brevity nor for form, so read it beside exact match: repeating the whole document would score 1."""
    check_pairs(predictions, references)
    hits = [answer_contained(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    return _mean("answer_contained", hits, per_sample)


def compute_abstention(
    predictions: Sequence[str], answerable: Sequence[bool], *, per_sample: bool = False
) -> dict[str, Any]:
    """How often the answer says that there is none: ``abstention`` among the unanswerable questions (higher is
    better), ``false_abstention`` among the answerable (lower is better); None where there is no such question."""
    check_lengths({"답": predictions, "답이 있는지": answerable})
    check_texts("답", predictions)
    said = np.array([is_abstention(text) for text in predictions], dtype=float)
    has_answer = np.asarray(answerable, dtype=bool)
    result: dict[str, Any] = {
        "abstention": float(said[~has_answer].mean()) if (~has_answer).any() else None,
        "false_abstention": float(said[has_answer].mean()) if has_answer.any() else None,
    }
    return result | ({"per_sample": said.tolist()} if per_sample else {})
