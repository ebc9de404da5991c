"""Scores of answers against references, with Korean tokenization: over all, and a sample (``per_sample=True``).

Every function takes two lists of the same length and never raises on an empty, long or odd *answer*.
rouge_score's own tokenizer keeps only ``[a-z0-9]``: it gives 0 to two identical Korean sentences. Here one
morpheme tokenizer, mecab-ko as sacrebleu ships it, serves ROUGE and BLEU; each text is tokenized once.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from src.evidence import answer_cores, is_abstention

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
_UNSAFE = re.compile(r"[\x00-\x1f\ud800-\udfff]")  # mecab-ko stops at NUL and refuses lone surrogates


def _pairs(predictions: Sequence[str], references: Sequence[Any]) -> None:
    if isinstance(predictions, str) or isinstance(references, str):
        raise TypeError("답과 정답은 문자열 하나가 아니라 목록으로 넣어 주세요. 예: [답], [정답]")
    if len(predictions) != len(references):
        raise ValueError(
            f"답({len(predictions)}개)과 정답({len(references)}개)의 수가 다릅니다. 같은 질문의 것끼리 순서대로 넣어 주세요."
        )
    if not len(predictions):
        raise ValueError("채점할 답이 없습니다. 답을 하나 이상 넣어 주세요.")


def _mean(name: str, values: Sequence[float], per_sample: bool) -> dict[str, Any]:
    result: dict[str, Any] = {name: float(np.mean(values))}
    return result | ({"per_sample": [float(value) for value in values]} if per_sample else {})


# --- n-gram overlap --------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _sacrebleu(tokenize: str = "ko-mecab", max_ngram_order: int = 4) -> Any:
    from sacrebleu.metrics import BLEU

    return BLEU(tokenize=tokenize, max_ngram_order=max_ngram_order)


def _clean(text: str) -> str:
    return _UNSAFE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def _mecab(text: str) -> list[str]:
    return _sacrebleu().tokenizer(_clean(text)).split()  # cached there, so BLEU finds these again


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "mecab": _mecab,
    "eojeol": lambda text: _clean(text).split(),  # words between white space
    "char": lambda text: [character for character in _clean(text) if not character.isspace()],
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
    An answer or a reference without a token, or without a bigram for ROUGE-2, scores 0.
    """
    from rouge_score.rouge_scorer import RougeScorer

    _pairs(predictions, references)
    scorer = RougeScorer(list(ROUGE_TYPES), tokenizer=_CachedTokenizer(tokenizer))
    rows = [scorer.score(ref, pred) for pred, ref in zip(predictions, references, strict=True)]
    values = {name: [float(getattr(row[name], measure)) for row in rows] for name in ROUGE_TYPES}
    result: dict[str, Any] = {name: float(np.mean(column)) for name, column in values.items()}
    return result | ({"per_sample": values} if per_sample else {})


def bleu_statistics(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: str = "ko-mecab",
    max_ngram_order: int = 4,
) -> np.ndarray:
    """sacrebleu's sufficient statistics a sample: int (n, 2 + 2 * order) = lengths of answer and reference, then
    matching n-grams and n-grams of the answer by order. Their sum over samples determines corpus BLEU."""
    _pairs(predictions, references)
    bleu = _sacrebleu(tokenize, max_ngram_order)
    cleaned = [_clean(text) for text in references]
    return np.array(bleu._extract_corpus_statistics([_clean(text) for text in predictions], [cleaned]))


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


# --- Vectors ---------------------------------------------------------------------------------------------------


def compute_cosine_similarity(
    predictions: Sequence[str], references: Sequence[str], embedder: Any, *, per_sample: bool = False
) -> dict[str, Any]:
    """Mean cosine of answer and reference vectors, -1 to 1. What it means is what the embedder measures
    (``src.embedding.embedder_label``). An empty answer's zero vector gives 0."""
    _pairs(predictions, references)
    texts = sorted({*predictions, *references})
    vectors = np.asarray(embedder.encode(texts, show_progress_bar=False), dtype=float)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    row = {text: index for index, text in enumerate(texts)}
    left, right = ([row[text] for text in side] for side in (predictions, references))
    cosines = np.clip((vectors[left] * vectors[right]).sum(axis=1), -1, 1)
    return _mean("cosine_similarity", cosines, per_sample)


# --- Right or wrong --------------------------------------------------------------------------------------------


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") and character != "%"


def normalize_answer(text: str) -> str:
    """NFC, white space collapsed, punctuation at the end stripped: what exact match compares."""
    text = " ".join(unicodedata.normalize("NFC", text).split())
    while text and (_is_punctuation(text[-1]) or text[-1].isspace()):
        text = text[:-1]
    return text


def compute_exact_match(
    predictions: Sequence[str], references: Sequence[str], *, per_sample: bool = False
) -> dict[str, Any]:
    """Share of answers equal to their reference after ``normalize_answer``, 0-1."""
    _pairs(predictions, references)
    pairs = zip(predictions, references, strict=True)
    hits = [float(normalize_answer(pred) == normalize_answer(ref)) for pred, ref in pairs]
    return _mean("exact_match", hits, per_sample)


_KORQUAD_REMOVED = re.compile(r"[\s'\"《》<>〈〉()‘’" + re.escape(string.punctuation) + "]")


def compute_char_f1(
    predictions: Sequence[str], references: Sequence[str], *, per_sample: bool = False
) -> dict[str, Any]:
    """KorQuAD 1.0's official F1, 0-1: characters in common, *without order*, after lower-casing and without white
    space and ASCII punctuation. "울서" for "서울" therefore scores 1.0."""
    _pairs(predictions, references)

    def score(prediction: str, reference: str) -> float:
        left, right = (
            Counter(_KORQUAD_REMOVED.sub("", unicodedata.normalize("NFC", text).lower()))
            for text in (prediction, reference)
        )
        common = (left & right).total()
        return 2 * common / (left.total() + right.total()) if common else 0.0

    values = [score(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    return _mean("char_f1", values, per_sample)


def _canonical(text: str) -> str:
    """Without white space and punctuation, except where they part two numbers: "1.5", "10~20" -> "10 20"."""
    text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", unicodedata.normalize("NFC", text))  # 1,500 -> 1500
    kept: list[str] = []
    gap = ""
    for character in text:
        if character.isspace() or character in "~`" or _is_punctuation(character):
            gap += character
            continue
        if gap and kept and kept[-1].isdecimal() and character.isdecimal():
            kept.append("." if gap == "." else " ")
        kept.append(character)
        gap = ""
    return "".join(kept)


def answer_contained(prediction: str, reference: str) -> bool:
    """Whether every sentence of ``reference`` (form, copula and punctuation stripped) stands in ``prediction``.

    White space and punctuation are ignored; a number must not go on: "310W" stands neither in "1310W" nor in
    "1,310W", "5L" not in "1.5L". A reference without a word is contained nowhere.
    """
    cores = [core for core in map(_canonical, answer_cores(reference)) if core]
    text = _canonical(prediction)
    for core in cores:
        before = r"(?<!\d)(?<!\d\.)" if core[0].isdecimal() else ""
        after = r"(?!\d)(?!\.\d)" if core[-1].isdecimal() else ""
        if not re.search(before + re.escape(core) + after, text):
            return False
    return bool(cores)


def compute_answer_contained(
    predictions: Sequence[str], references: Sequence[str], *, per_sample: bool = False
) -> dict[str, Any]:
    """Share of answers that hold everything their reference says (``answer_contained``), 0-1. It asks neither for
    brevity nor for form, so read it beside exact match: repeating the whole document would score 1."""
    _pairs(predictions, references)
    hits = [answer_contained(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
    return _mean("answer_contained", hits, per_sample)


def compute_abstention(
    predictions: Sequence[str], answerable: Sequence[bool], *, per_sample: bool = False
) -> dict[str, Any]:
    """How often the answer says that there is none: ``abstention`` among the unanswerable questions (higher is
    better), ``false_abstention`` among the answerable (lower is better); None where there is no such question."""
    _pairs(predictions, answerable)
    said = np.array([is_abstention(text) for text in predictions], dtype=float)
    has_answer = np.asarray(answerable, dtype=bool)
    result: dict[str, Any] = {
        "abstention": float(said[~has_answer].mean()) if (~has_answer).any() else None,
        "false_abstention": float(said[has_answer].mean()) if has_answer.any() else None,
    }
    return result | ({"per_sample": said.tolist()} if per_sample else {})


# --- The same as evaluate.Metric -------------------------------------------------------------------------------


def _abstention_by_reference(
    predictions: Sequence[str], references: Sequence[str], **options: Any
) -> dict[str, Any]:
    return compute_abstention(predictions, [not is_abstention(text) for text in references], **options)


METRICS: dict[str, Callable[..., dict[str, Any]]] = {
    "rouge": compute_rouge,
    "bleu": compute_bleu,
    "cosine_similarity": compute_cosine_similarity,
    "exact_match": compute_exact_match,
    "char_f1": compute_char_f1,
    "answer_contained": compute_answer_contained,
    "abstention": _abstention_by_reference,
}


def load_metric(name: str, **options: Any) -> Any:
    """An ``evaluate.Metric`` of this package by name, like ``evaluate.load`` but without a download; ``options``
    go to the function (``load_metric("cosine_similarity", embedder=...)``). Combine with ``evaluate.combine``.

    "abstention" calls a question unanswerable where its reference abstains.
    """
    if name not in METRICS:
        raise ValueError(f"'{name}' 지표는 없습니다. {', '.join(METRICS)} 가운데에서 골라 주세요.")
    import datasets
    import evaluate

    function = METRICS[name]

    class KoreanMetric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            text = datasets.Value("string")
            return evaluate.MetricInfo(
                description=function.__doc__ or name,
                citation="",
                inputs_description="predictions, references: list[str]",
                features=datasets.Features({"predictions": text, "references": text}),
            )

        def _compute(
            self, *, predictions: list[str], references: list[str], **arguments: Any
        ) -> dict[str, Any]:
            return function(list(predictions), list(references), **options, **arguments)

    KoreanMetric.__name__ = name  # evaluate reads the metric's name from its class
    return KoreanMetric(keep_in_memory=True)
