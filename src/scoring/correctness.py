"""Right or wrong: exact match, KorQuAD's rules, answer contained, abstention. None of it needs a tokenizer."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from operator import eq

import numpy as np

from src.data.text import is_punctuation
from src.raft.answers import is_abstention
from src.raft.evidence import find_answer
from src.scoring.tokenizers import Scores, Texts, check_lengths, check_pairs, check_texts


def normalize_answer(text: str) -> str:
    """NFC, white space collapsed, punctuation at the end stripped: what exact match compares."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    end = len(text)
    while end and (is_punctuation(text[end - 1]) or text[end - 1].isspace()):
        end -= 1
    return text[:end]


_KORQUAD_TO_SPACE = re.compile("['\"《》<>〈〉()‘’]")
_KORQUAD_DROPPED = str.maketrans("", "", string.punctuation)


def korquad_normalize(text: str) -> str:
    """KorQuAD 1.0's official rule (after NFC): quotes and brackets to spaces, lower case, ASCII punctuation dropped,
    white space collapsed. It makes "1.5" and "15" equal."""
    text = _KORQUAD_TO_SPACE.sub(" ", unicodedata.normalize("NFC", text)).lower()
    return " ".join(text.translate(_KORQUAD_DROPPED).split())


def _mean(name: str, values: Iterable[float], per_sample: bool) -> Scores:
    each = [float(value) for value in values]
    return {name: float(np.mean(each))} | ({"per_sample": each} if per_sample else {})


def compute_exact_match(predictions: Texts, references: Texts, *, per_sample: bool = False) -> Scores:
    """Share of answers equal to their reference after ``normalize_answer``, 0-1."""
    check_pairs(predictions, references)
    same = map(eq, map(normalize_answer, predictions), map(normalize_answer, references))
    return _mean("exact_match", same, per_sample)


def compute_char_f1(predictions: Texts, references: Texts, *, per_sample: bool = False) -> Scores:
    """KorQuAD 1.0's official F1, 0-1: characters in common, *without order*, after ``korquad_normalize`` and
    without white space. "울서" for "서울" therefore scores 1.0."""
    check_pairs(predictions, references)

    def score(prediction: str, reference: str) -> float:
        left, right = (Counter(korquad_normalize(text).replace(" ", "")) for text in (prediction, reference))
        common = (left & right).total()
        return 2 * common / (left.total() + right.total()) if common else 0.0

    return _mean("char_f1", map(score, predictions, references), per_sample)


def answer_contained(prediction: str, reference: str) -> bool:
    """Whether every sentence of ``reference`` stands in ``prediction`` (``raft.find_core`` says what counts); one
    without a word is contained nowhere."""
    places = find_answer(prediction, reference)
    return bool(places) and None not in places


def compute_answer_contained(predictions: Texts, references: Texts, *, per_sample: bool = False) -> Scores:
    """Share of answers that hold everything their reference says (``answer_contained``), 0-1. It asks neither for
    brevity nor for form, so read it beside exact match: repeating the whole document would score 1."""
    check_pairs(predictions, references)
    return _mean("answer_contained", map(answer_contained, predictions, references), per_sample)


def compute_abstention(predictions: Texts, answerable: Sequence[bool], *, per_sample: bool = False) -> Scores:
    """How often the answer says that there is none: ``abstention`` among the unanswerable questions (higher is
    better), ``false_abstention`` among the answerable (lower is better); None where there is no such question."""
    check_lengths({"답": predictions, "답이 있는지": answerable})
    check_texts("답", predictions)
    said = np.array([is_abstention(text) for text in predictions], dtype=float)
    has_answer = np.asarray(answerable, dtype=bool)
    sides = {"abstention": said[~has_answer], "false_abstention": said[has_answer]}
    result: Scores = {name: float(side.mean()) if len(side) else None for name, side in sides.items()}
    return result | ({"per_sample": said.tolist()} if per_sample else {})
