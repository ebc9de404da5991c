"""Equal to the references, to 1e-9: rouge_score with the same tokenizer, sacrebleu, KorQuAD's official script."""

from __future__ import annotations

import re
import string
from collections import Counter
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src import scoring
from src.scoring import rouge

SENTENCES = [
    "1989년 2월 15일", "서울지방경찰청 공안분실", "《훈민정음》", "약 3.5%", "LG전자", "학생회관 건물 계단", "예",
    "다온 제습기 DH-2741의 소비 전력은 310W입니다.", "보증 기간은 구입일부터 2년이며, 필터는 제외됩니다.",
    "주어진 문맥에서 답을 찾을 수 없습니다.", "‘한강’(漢江)은 서울을 가로지른다.", "The price is 1,500 won (VAT incl.).",
]  # fmt: skip


def perturbed() -> tuple[list[str], list[str]]:
    """What models do to answers: form added, order lost, half of it, another answer, case, spaces, marks, nothing."""
    rng = Random(3)
    pairs = []
    for text in SENTENCES:
        words = text.split()
        for answer in (
            text, f"{text}입니다.", "".join(rng.sample(text, len(text))), text[: len(text) // 2], "",
            rng.choice(SENTENCES), f"《{text.upper()}》, (참고)", " ".join(text), " ".join(words[::-1]),
            f"문맥에 따르면 {text} 🙂", text.replace("1", "2"), f"'{text}' \"{text}\"",
        ):  # fmt: skip
            pairs.append((answer, text))
    return tuple(map(list, zip(*pairs, strict=True)))


PREDICTIONS, REFERENCES = perturbed()
texts = st.text(alphabet="가나다 라마.,'《a B1!(", max_size=20)


def korquad_normalize(text: str) -> str:
    """As KorQuAD 1.0 defines it: symbols to spaces, lower case, punctuation out, white space fixed."""
    for symbol in ("'", '"', "《", "》", "<", ">", "〈", "〉", r"\(", r"\)", "‘", "’"):
        text = re.sub(symbol, " ", text)
    return " ".join("".join(c for c in text.lower() if c not in set(string.punctuation)).split())


def korquad_f1(prediction: str, reference: str) -> float:
    left, right = ([c for c in korquad_normalize(text) if c != " "] for text in (prediction, reference))
    same = sum((Counter(left) & Counter(right)).values())
    if same == 0:
        return 0
    precision, recall = same / len(left), same / len(right)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("tokenizer", scoring.TOKENIZERS)
@pytest.mark.parametrize("measure", ["fmeasure", "precision", "recall"])
def test_rouge(tokenizer, measure):
    from rouge_score.rouge_scorer import RougeScorer

    ours = SimpleNamespace(tokenize=scoring.TOKENIZERS[tokenizer])
    scorer = RougeScorer(list(rouge.ROUGE_TYPES), tokenizer=ours)
    rows = [scorer.score(ref, pred) for pred, ref in zip(PREDICTIONS, REFERENCES, strict=True)]
    ours = scoring.compute_rouge(
        PREDICTIONS, REFERENCES, tokenizer=tokenizer, measure=measure, per_sample=True
    )
    for name in rouge.ROUGE_TYPES:
        theirs = [getattr(row[name], measure) for row in rows]
        assert ours["per_sample"][name] == pytest.approx(theirs, abs=1e-9)
        assert ours[name] == pytest.approx(sum(theirs) / len(theirs), abs=1e-9)


def test_bleu_and_chrf():
    from sacrebleu.metrics import BLEU, CHRF

    for ours, corpus, sentence, name in (
        (scoring.compute_bleu, BLEU(tokenize="ko-mecab"), BLEU(tokenize="ko-mecab", effective_order=True), "bleu"),
        (scoring.compute_chrf, CHRF(), CHRF(), "chrf"),
    ):  # fmt: skip
        result = ours(PREDICTIONS, REFERENCES, per_sample=True)
        assert result[name] == pytest.approx(corpus.corpus_score(PREDICTIONS, [REFERENCES]).score, abs=1e-9)
        theirs = [
            sentence.sentence_score(pred, [ref]).score
            for pred, ref in zip(PREDICTIONS, REFERENCES, strict=True)
        ]
        assert result["per_sample"] == pytest.approx(theirs, abs=1e-9)
        assert scoring.signatures()[name] == str(corpus.get_signature())


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_korquad_and_chrf_on_any_text(pairs):
    from sacrebleu.metrics import CHRF

    predictions, references = map(list, zip(*pairs, strict=True))
    f1 = scoring.compute_char_f1(predictions, references, per_sample=True)["per_sample"]
    assert f1 == pytest.approx([korquad_f1(*pair) for pair in pairs], abs=1e-9)
    assert [[scoring.korquad_normalize(text) for text in pair] for pair in pairs] == [
        [korquad_normalize(text) for text in pair] for pair in pairs
    ]
    theirs = CHRF().corpus_score(predictions, [references]).score
    assert scoring.compute_chrf(predictions, references)["chrf"] == pytest.approx(theirs, abs=1e-9)


def test_korquad_on_perturbed_answers():
    pairs = list(zip(PREDICTIONS, REFERENCES, strict=True))
    f1 = scoring.compute_char_f1(PREDICTIONS, REFERENCES, per_sample=True)["per_sample"]
    assert f1 == pytest.approx([korquad_f1(*pair) for pair in pairs], abs=1e-9)
    assert [scoring.korquad_normalize(p) for p in PREDICTIONS] == [korquad_normalize(p) for p in PREDICTIONS]
