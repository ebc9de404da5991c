"""Scoring 5,000 pairs with all lexical metrics and 1,000 bootstrap samples, beside scoring each pair by its own call.

``python -m benchmarks.scoring`` measures once and writes its section of docs/benchmarks.md (some minutes);
``python -m benchmarks.scoring 500`` takes that many pairs and only prints.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from random import Random
from types import SimpleNamespace

import numpy as np

from benchmarks import machine, write_section
from src import scoring
from src.data.corpus import read_corpus
from src.data.text import split_sentences
from src.evaluation.comparison import score_sides
from src.evaluation.resampling import paired_differences
from src.profiles import PROFILES
from src.raft.answers import ABSTENTION, format_answer, strip_answer_form
from src.scoring import bleu as overlap

PAIRS, BOOTSTRAP, FASTER = 5_000, 1_000, 5
LEXICAL = {metric.function: metric.compute for metric in scoring.METRICS.values()}
del LEXICAL["cosine_similarity"]


def make_pairs(count: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Answers and references from the corpus: half the references short answers, half sentences of documents; the
    answers repeat them, drop or exchange words, lose the form, or abstain."""
    rng = Random(seed)
    samples, _ = read_corpus(PROFILES["tiny"])
    answers = [format_answer(sample.answer) for sample in samples]
    sentences = sorted({text for sample in samples for text in split_sentences(sample.context)})
    references = [rng.choice((answers, sentences)[number % 2]) for number in range(count)]
    predictions = []
    for reference in references:
        words, kind = reference.split(), rng.randrange(5)
        if kind == 1:
            words = [word for word in words if rng.random() < 0.7]
        elif kind == 2:
            words[rng.randrange(len(words))] = rng.choice(rng.choice(sentences).split())
        elif kind == 3:
            words = strip_answer_form(reference).split()
        predictions.append(ABSTENTION if kind == 4 else " ".join(words))
    return predictions, references


def all_at_once(predictions: list[str], references: list[str]) -> dict[str, np.ndarray]:
    """What ``compare_systems`` does for one system: scores a sample, then ``BOOTSTRAP`` resamples and as many
    exchanges against the answers of the next pair over."""
    rows = [SimpleNamespace(answer=text, answerable=True) for text in references]
    scored = score_sides({"base": predictions}, rows, None)["base"]
    other = {name: np.roll(column, 1, axis=0) for name, column in scored.items()}
    paired_differences(other, scored, n_resamples=BOOTSTRAP, seed=0)
    values = {name: column[:, 0] for name, column in scored.items() if not scoring.METRICS[name].counts}
    values["abstention"] = values.pop("false_abstention")  # every reference here is an answer
    values["bleu"] = scoring.bleu_from_statistics(scored["bleu"], effective_order=True)
    values["chrf"] = scoring.chrf_from_statistics(scored["chrf"])
    return values


def own_functions(prediction: str, reference: str) -> dict[str, float]:
    """One pair by this package's functions."""
    values = {}
    for name, function in LEXICAL.items():
        result = function([prediction], [reference], per_sample=True)
        values |= (
            {key: column[0] for key, column in result["per_sample"].items()}
            if name == "rouge"
            else {name: result["per_sample"][0]}
        )
    return values


def evaluate_metrics() -> Callable[[str, str], dict[str, float]]:
    """One pair by ``evaluate.Metric.compute``, as notebooks with the evaluate library do."""
    metrics = {name: scoring.load_metric(name) for name in LEXICAL}

    def score(prediction: str, reference: str) -> dict[str, float]:
        values = {}
        for name, metric in metrics.items():
            result = metric.compute(predictions=[prediction], references=[reference], per_sample=True)
            values |= (
                {key: column[0] for key, column in result["per_sample"].items()}
                if name == "rouge"
                else {name: result["per_sample"][0]}
            )
        return values

    return score


def library_calls(prediction: str, reference: str) -> dict[str, float]:
    """One pair by the libraries' own functions (a scorer, ``sentence_bleu`` and ``sentence_chrf`` a pair)."""
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    class Mecab:
        def tokenize(self, text: str) -> list[str]:
            return scoring.TOKENIZERS["mecab"](text)

    rouge = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Mecab()).score(reference, prediction)
    values = {name: score.fmeasure for name, score in rouge.items()}
    values["bleu"] = sacrebleu.sentence_bleu(prediction, [reference], tokenize="ko-mecab").score
    values["chrf"] = sacrebleu.sentence_chrf(prediction, [reference]).score
    for name in ("exact_match", "char_f1", "answer_contained", "abstention"):
        values[name] = LEXICAL[name]([prediction], [reference], per_sample=True)["per_sample"][0]
    return values


def _forget() -> None:
    """Nothing may be tokenized beforehand."""
    overlap._sacrebleu().tokenizer.__class__.__call__.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", nargs="?", type=int)
    asked = parser.parse_args().pairs
    predictions, references = make_pairs(asked or PAIRS)
    all_at_once(["예"] * 2, ["예"] * 2)  # imports and the dictionary
    _forget()
    started = time.perf_counter()
    ours = all_at_once(predictions, references)
    fast = time.perf_counter() - started
    rows = [f"| 이 워크숍: 한 번에, 부트스트랩·무작위화 {BOOTSTRAP:,}번씩 포함 | {fast:.1f} | – | – |"]
    ratios = {}
    ways = {
        "쌍마다 `evaluate` 지표의 `compute`": evaluate_metrics(),
        "쌍마다 라이브러리 함수(`sentence_bleu` 등)": library_calls,
        "쌍마다 이 워크숍의 함수": own_functions,
    }
    for label, score in ways.items():
        score("예", "예")
        _forget()
        started = time.perf_counter()
        looped = [score(pred, ref) for pred, ref in zip(predictions, references, strict=True)]
        seconds = time.perf_counter() - started
        ratios[label] = seconds / fast
        worst = max(abs(row[name] - ours[name][i]) for i, row in enumerate(looped) for name in row)
        rows.append(f"| {label}, 부트스트랩 없이 | {seconds:.1f} | {ratios[label]:.1f}배 | {worst:.0e} |")
        print(rows[-1], flush=True)
    by_evaluate, by_library = list(ratios.values())[:2]
    text = "\n".join(
        [
            "## 채점",
            "",
            f"말뭉치로 만든 답–정답 {len(references):,}쌍을 겹침·정오 지표 모두(ROUGE-1/2/L, BLEU, chrF2, 정확히 일치, "
            "글자 F1, 정답 포함, 답 없음)로 한 번 채점했습니다. 임베더는 뺐습니다. 마지막 열은 쌍마다의 점수가 한 번에 "
            "구한 것과 가장 크게 다른 만큼입니다.",
            "",
            "| 방법 | 초 | 걸린 시간의 비 | 점수의 차이 |",
            "|---|---|---|---|",
            *rows,
            "",
            f"반복문에는 부트스트랩이 없는데도, 한 번에 채점하는 쪽이 쌍마다 `evaluate` 지표를 부르는 것의 {by_evaluate:.1f}배 "
            f"속도입니다(목표 {FASTER:g}배). 지표 객체를 거치지 않고 라이브러리 함수를 바로 부르는 것과 견주면 {by_library:.1f}배입니다. "
            "마지막 줄은 이 워크숍의 함수를 하나씩 부른 것이고, 나누어 채점해도 같은 점수임을 보입니다.",
            "",
            f"{machine('sacrebleu', 'rouge_score', 'evaluate', 'numpy')} 명령: `python -m benchmarks.scoring`",
        ]
    )
    print(text)
    if asked is None:
        write_section("scoring", text)


if __name__ == "__main__":
    main()
