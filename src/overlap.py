"""How much of the reference an answer repeats: ROUGE, BLEU and chrF with Korean tokenization.

rouge_score's own tokenizer keeps only ``[a-z0-9]``: it gives 0 to two identical Korean sentences. Here one morpheme
tokenizer, mecab-ko as sacrebleu ships it, serves ROUGE and BLEU, and splits each distinct text once.

Every function takes two lists of the same length, never raises on an empty, long or odd *answer*, and gives the
values a sample with ``per_sample=True``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
MEASURES = ("fmeasure", "recall", "precision")
_UNSAFE = re.compile(r"[\x00-\x1f\ud800-\udfff]")  # mecab-ko stops at NUL and refuses lone surrogates
_ENDLESS = re.compile(r"(\S{1000})(?=\S)")  # mecab-ko's time grows with its square: two minutes for 1 MB


def check_lengths(predictions: Sequence[str], references: Sequence[Any]) -> None:
    """TypeError for a single string, ValueError for lists that are empty or differ in length."""
    if isinstance(predictions, str) or isinstance(references, str):
        raise TypeError("답과 정답은 문자열 하나가 아니라 목록으로 넣어 주세요. 예: [답], [정답]")
    if len(predictions) != len(references):
        raise ValueError(
            f"답({len(predictions)}개)과 정답({len(references)}개)의 수가 다릅니다. 같은 질문의 것끼리 순서대로 넣어 주세요."
        )
    if not len(predictions):
        raise ValueError("채점할 답이 없습니다. 답을 하나 이상 넣어 주세요.")


def check_texts(side: str, texts: Sequence[Any], first: int = 0) -> None:
    """ValueError that says which of ``texts`` (of question ``first`` and those after it) is no text."""
    for question, text in enumerate(texts, first):
        if not isinstance(text, str):
            raise ValueError(
                f"{question}번 질문(0부터 셉니다)의 {side}이 글이 아니라 {type(text).__name__}입니다. 글로 바꾸거나, "
                '빈 답이면 ""을 넣어 주세요.'
            )


def check_pairs(predictions: Sequence[str], references: Sequence[str]) -> None:
    """``check_lengths``, and ``check_texts`` of both sides."""
    check_lengths(predictions, references)
    check_texts("답", predictions)
    check_texts("정답", references)


def clean(text: str) -> str:
    """NFC, control characters and lone surrogates to spaces, a space after 1,000 characters without one: what every
    tokenizer here gets."""
    return _ENDLESS.sub(r"\1 ", _UNSAFE.sub(" ", unicodedata.normalize("NFC", text))).strip()


@lru_cache(maxsize=8)
def _sacrebleu(tokenize: str = "ko-mecab", max_ngram_order: int = 4) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenize, max_ngram_order=max_ngram_order)


def _mecab(text: str) -> list[str]:
    return _sacrebleu().tokenizer(clean(text)).split()  # cached there, so BLEU finds these again


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "mecab": _mecab,
    "eojeol": lambda text: clean(text).split(),  # words between white space
    "char": lambda text: [character for character in clean(text) if not character.isspace()],
}


class _CachedTokenizer:
    """A rouge_score tokenizer that splits each distinct text once."""

    def __init__(self, name: str) -> None:
        if name not in TOKENIZERS:
            raise ValueError(
                f"'{name}' 토크나이저는 없습니다. {', '.join(TOKENIZERS)} 가운데에서 골라 주세요."
            )
        self._split = TOKENIZERS[name]
        self._seen: dict[str, list[str]] = {}

    def tokenize(self, text: str) -> list[str]:
        if text not in self._seen:
            self._seen[text] = self._split(text)
        return self._seen[text]


# --- ROUGE -----------------------------------------------------------------------------------------------------


def lcs_length(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, a machine word of ``right`` at a time (Hyyrö 2004).

    rouge_score fills a Python table of len(left) × len(right) cells: two answers of 1 MB would need terabytes.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, token in enumerate(right):
        places[token].append(place)

    @lru_cache(maxsize=1024)  # all masks of a long text without repetition would not fit into memory
    def mask(token: str) -> int:
        bits = bytearray(len(right) // 8 + 1)
        for place in places[token]:
            bits[place >> 3] |= 1 << (place & 7)
        return int.from_bytes(bits, "little")

    full = row = (1 << len(right)) - 1  # a 0 stands where the common subsequence grows
    for token in left:
        if token in places:
            matches = row & mask(token)
            row = ((row + matches) | (row - matches)) & full
    return len(right) - row.bit_count()


def compute_rouge(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    tokenizer: str = "mecab",
    measure: str = "fmeasure",
    per_sample: bool = False,
) -> dict[str, Any]:
    """ROUGE-1, -2 (n-gram overlap) and -L (longest common subsequence), mean over samples, 0-1 (Lin 2004).

    ``tokenizer`` is "mecab" (morphemes), "eojeol" or "char"; ``measure`` "fmeasure", "recall" (of the reference)
    or "precision" (of the answer). With ``per_sample`` also ``{"per_sample": {"rouge1": [...], ...}}``.
    An answer or a reference without a token, or without a bigram for ROUGE-2, scores 0. The values are
    rouge_score's; only the length of ROUGE-L's subsequence comes from ``lcs_length``.
    """
    from rouge_score.rouge_scorer import RougeScorer
    from rouge_score.scoring import Score, fmeasure

    check_pairs(predictions, references)
    if measure not in MEASURES:
        raise ValueError(
            f"'{measure}' 값은 없습니다. measure를 {', '.join(MEASURES)} 가운데에서 골라 주세요."
        )
    tokens = _CachedTokenizer(tokenizer)
    scorer = RougeScorer(["rouge1", "rouge2"], tokenizer=tokens)

    def score(prediction: str, reference: str) -> dict[str, Score]:
        answer, wanted = tokens.tokenize(prediction), tokens.tokenize(reference)
        common = lcs_length(answer, wanted)
        precision, recall = common / max(len(answer), 1), common / max(len(wanted), 1)
        longest = Score(precision, recall, fmeasure(precision, recall))
        return scorer.score(reference, prediction) | {"rougeL": longest}

    rows = [score(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    values = {name: [float(getattr(row[name], measure)) for row in rows] for name in ROUGE_TYPES}
    result: dict[str, Any] = {name: float(np.mean(column)) for name, column in values.items()}
    return result | ({"per_sample": values} if per_sample else {})


# --- BLEU ------------------------------------------------------------------------------------------------------


def bleu_statistics(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: str = "ko-mecab",
    max_ngram_order: int = 4,
) -> np.ndarray:
    """sacrebleu's sufficient statistics a sample: int (n, 2 + 2 * order) = lengths of answer and reference, then
    matching n-grams and n-grams of the answer by order. Their sum over samples determines corpus BLEU."""
    check_pairs(predictions, references)
    bleu = _sacrebleu(tokenize, max_ngram_order)
    cleaned = [clean(text) for text in references]
    return np.array(bleu._extract_corpus_statistics([clean(text) for text in predictions], [cleaned]))


def bleu_from_statistics(statistics: np.ndarray, *, effective_order: bool = False) -> np.ndarray:
    """BLEU, 0-100, of each row of (…, 2 + 2 * order) summed statistics, as sacrebleu's ``compute_bleu`` with
    exponential smoothing gives it (Papineni et al. 2002; Chen & Cherry 2014, method 3), all rows at once."""
    statistics = np.asarray(statistics, dtype=float)
    order = (statistics.shape[-1] - 2) // 2
    answer_length, reference_length = statistics[..., 0], statistics[..., 1]
    correct, total = statistics[..., 2 : 2 + order], statistics[..., 2 + order :]
    misses = np.cumsum((correct == 0) & (total > 0), axis=-1)
    numerator = np.where(correct > 0, correct, 0.5**misses)
    logs = np.log(numerator / np.maximum(total, 1)) * (total > 0)
    used = (total > 0).sum(axis=-1) if effective_order else np.full(total.shape[:-1], order)
    penalty = np.exp(np.minimum(0, 1 - reference_length / np.maximum(answer_length, 1)))
    score = 100 * penalty * np.exp(logs.sum(axis=-1) / np.maximum(used, 1))
    defined = correct.any(axis=-1) & (effective_order | (total > 0).all(axis=-1))
    return np.where(defined, score, 0.0)


def compute_bleu(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: str = "ko-mecab",
    max_ngram_order: int = 4,
    per_sample: bool = False,
) -> dict[str, Any]:
    """Corpus BLEU, 0-100, by sacrebleu (Post 2018), with the signature that says how it was computed.

    Answers that are all shorter than four morphemes have a corpus BLEU of 0 even when exact: look at exact match
    and character F1 there. ``per_sample`` adds sentence BLEU with ``effective_order``, which has no such zero.
    """
    statistics = bleu_statistics(predictions, references, tokenize=tokenize, max_ngram_order=max_ngram_order)
    bleu = _sacrebleu(tokenize, max_ngram_order)
    result: dict[str, Any] = {
        "bleu": float(bleu._compute_score_from_stats(statistics.sum(axis=0).tolist()).score),
        "signature": str(bleu.get_signature()),
    }
    if per_sample:
        result["per_sample"] = bleu_from_statistics(statistics, effective_order=True).tolist()
    return result


# --- chrF ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def chrf_statistics(predictions: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """sacrebleu's sufficient statistics a sample: int (n, 18) = for n-grams of 1 to 6 characters, those of the
    answer, of the reference, and in common. Their sum over samples determines corpus chrF2."""
    check_pairs(predictions, references)
    cleaned = [clean(text) for text in references]
    return np.array(_chrf()._extract_corpus_statistics([clean(text) for text in predictions], [cleaned]))


def chrf_from_statistics(statistics: np.ndarray) -> np.ndarray:
    """chrF2, 0-100, of each row of (…, 18) summed statistics, as sacrebleu gives it: precision and recall averaged
    over the n-gram orders that both sides have, recall weighted beta = 2 (Popović 2015)."""
    statistics = np.asarray(statistics, dtype=float)
    answer, reference, common = (statistics[..., start::3] for start in range(3))
    both = (answer > 0) & (reference > 0)
    used = np.maximum(both.sum(axis=-1), 1)
    precision, recall = (
        (both * common / np.maximum(count, 1)).sum(axis=-1) / used for count in (answer, reference)
    )
    return 100 * 5 * precision * recall / np.where(precision + recall > 0, 4 * precision + recall, 1)


def compute_chrf(
    predictions: Sequence[str], references: Sequence[str], *, per_sample: bool = False
) -> dict[str, Any]:
    """Corpus chrF2, 0-100, by sacrebleu, with its signature: n-grams of 1 to 6 characters without white space.

    It needs no tokenizer and forgives a wrong ending or particle where BLEU does not; a text of one character
    still has a score. ``per_sample`` adds sentence chrF2.
    """
    statistics = chrf_statistics(predictions, references)
    result: dict[str, Any] = {
        "chrf": float(chrf_from_statistics(statistics.sum(axis=0))),
        "chrf_signature": str(_chrf().get_signature()),
    }
    return result | ({"per_sample": chrf_from_statistics(statistics).tolist()} if per_sample else {})


def signatures() -> dict[str, str]:
    """How BLEU and chrF2 are computed here, in sacrebleu's words: scores with other signatures do not compare."""
    texts = (["예"], ["예"])
    return {"bleu": compute_bleu(*texts)["signature"], "chrf": compute_chrf(*texts)["chrf_signature"]}
