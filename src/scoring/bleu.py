"""BLEU and chrF by sacrebleu, with Korean tokenization, a signature, and statistics that can be resampled."""

from functools import cache
from typing import Any

import numpy as np

from src.scoring.tokenizers import Scores, Texts, _sacrebleu, check_pairs, clean


def _statistics(metric: Any, predictions: Texts, references: Texts) -> np.ndarray:
    check_pairs(predictions, references)
    answers, wanted = ([clean(text) for text in side] for side in (predictions, references))
    return np.array(metric._extract_corpus_statistics(answers, [wanted]))


def bleu_statistics(
    predictions: Texts, references: Texts, *, tokenize: str = "ko-mecab", max_ngram_order: int = 4
) -> np.ndarray:
    """sacrebleu's sufficient statistics a sample: int (n, 2 + 2 * order) = lengths of answer and reference, then
    matching n-grams and n-grams of the answer by order. Their sum over samples determines corpus BLEU."""
    return _statistics(_sacrebleu(tokenize, max_ngram_order), predictions, references)


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
    predictions: Texts,
    references: Texts,
    *,
    tokenize: str = "ko-mecab",
    max_ngram_order: int = 4,
    per_sample: bool = False,
) -> Scores:
    """Corpus BLEU, 0-100, by sacrebleu (Post 2018), with the signature that says how it was computed.

    Answers that are all shorter than four morphemes have a corpus BLEU of 0 even when exact: look at exact match
    and character F1 there. ``per_sample`` adds sentence BLEU with ``effective_order``, which has no such zero.
    """
    statistics = bleu_statistics(predictions, references, tokenize=tokenize, max_ngram_order=max_ngram_order)
    bleu = _sacrebleu(tokenize, max_ngram_order)
    score = bleu._compute_score_from_stats(statistics.sum(axis=0).tolist()).score
    result: Scores = {"bleu": float(score), "signature": str(bleu.get_signature())}
    each = bleu_from_statistics(statistics, effective_order=True)
    return result | ({"per_sample": each.tolist()} if per_sample else {})


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def chrf_statistics(predictions: Texts, references: Texts) -> np.ndarray:
    """sacrebleu's sufficient statistics a sample: int (n, 18) = for n-grams of 1 to 6 characters, those of the
    answer, of the reference, and in common. Their sum over samples determines corpus chrF2."""
    return _statistics(_chrf(), predictions, references)


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


def compute_chrf(predictions: Texts, references: Texts, *, per_sample: bool = False) -> Scores:
    """Corpus chrF2, 0-100, by sacrebleu, with its signature: n-grams of 1 to 6 characters without white space.

    It needs no tokenizer and forgives a wrong ending or particle where BLEU does not; a text of one character
    still has a score. ``per_sample`` adds sentence chrF2.
    """
    statistics = chrf_statistics(predictions, references)
    score, each = chrf_from_statistics(statistics.sum(axis=0)), chrf_from_statistics(statistics)
    result: Scores = {"chrf": float(score), "chrf_signature": str(_chrf().get_signature())}
    return result | ({"per_sample": each.tolist()} if per_sample else {})


def signatures() -> dict[str, str]:
    """How BLEU and chrF2 are computed here, in sacrebleu's words: scores with other signatures do not compare."""
    texts = (["예"], ["예"])
    return {"bleu": compute_bleu(*texts)["signature"], "chrf": compute_chrf(*texts)["chrf_signature"]}
