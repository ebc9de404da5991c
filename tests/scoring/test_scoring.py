"""Known values, the traps of Korean scoring, and that no answer whatever makes a score crash."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src import scoring
from src.evaluation.comparison import score_sides
from src.raft.answers import ABSTENTION
from src.scoring import tokenizers
from src.scoring.bleu import bleu_from_statistics, bleu_statistics, compute_bleu, compute_chrf
from src.scoring.correctness import (
    compute_abstention,
    compute_answer_contained,
    compute_char_f1,
    compute_exact_match,
    normalize_answer,
)
from src.scoring.cosine import compute_cosine_similarity
from src.scoring.metrics import load_metric
from src.scoring.rouge import compute_rouge

LEFT, RIGHT = ["서울의 인구는 약 천만 명입니다"], ["서울 인구는 약 1천만 명입니다"]
CAT = ["the cat sat"], ["the cat is on the mat"]
SAME = ["소비 전력은 310W입니다.", "보증 기간은 구입한 날부터 2년입니다.", "🙂", "예"]
ODD = ["", " ", "\n\t", "예", "🙂🙂", "..", "a\x00b", "1", "가나다라 " * 5000, "<b>&amp;</b>", ABSTENTION]


class CharacterCounts:
    """Stands in for a sentence-transformers model."""

    def encode(self, texts, **kwargs):
        return np.array(
            [[text.count(letter) for letter in "가나다라 1🙂"] for text in texts], dtype=np.float32
        )


FUNCTIONS = {
    "rouge": compute_rouge,
    "bleu": compute_bleu,
    "chrf": compute_chrf,
    "cosine": lambda p, r, **o: compute_cosine_similarity(p, r, CharacterCounts(), **o),
    "exact_match": compute_exact_match,
    "char_f1": compute_char_f1,
    "answer_contained": compute_answer_contained,
    "abstention": lambda p, r, **o: compute_abstention(p, [len(text) % 2 == 0 for text in r], **o),
}
LOADABLE = list(dict.fromkeys(metric.function for metric in scoring.METRICS.values()))


@pytest.mark.parametrize(
    ("tokenizer", "expected"),
    [("mecab", (0.875, 0.571, 0.875)), ("eojeol", (0.6, 0.25, 0.6)), ("char", (0.923, 0.75, 0.923))],
)
def test_rouge_of_the_korean_pair(tokenizer, expected):
    scores = compute_rouge(LEFT, RIGHT, tokenizer=tokenizer)
    assert (scores["rouge1"], scores["rouge2"], scores["rougeL"]) == pytest.approx(expected, abs=5e-4)


def test_default_tokenizer_is_blind_to_hangul_and_ours_is_not():
    from rouge_score.rouge_scorer import RougeScorer

    default = RougeScorer(["rouge1", "rouge2", "rougeL"])
    seoul, busan = "2024년 서울 인구는 940만 명", "2024년 부산 면적은 940만 평"
    assert default.score("소비 전력은", "소비 전력은")["rouge1"].fmeasure == 0
    assert default.score(seoul, busan)["rouge1"].fmeasure == 1.0
    assert {value.fmeasure for value in default.score(LEFT[0], RIGHT[0]).values()} == {0}
    for tokenizer in scoring.TOKENIZERS:
        assert compute_rouge(["소비 전력은"], ["소비 전력은"], tokenizer=tokenizer)["rouge1"] == 1.0
        assert compute_rouge([seoul], [busan], tokenizer=tokenizer)["rouge1"] < 0.75


def test_the_cat_sat():
    assert compute_rouge(*CAT, measure="recall")["rouge1"] == pytest.approx(2 / 6)
    assert compute_rouge(*CAT, measure="precision")["rouge1"] == pytest.approx(2 / 3)
    bleu1 = compute_bleu(*CAT, max_ngram_order=1)
    assert bleu1["bleu"] == pytest.approx(24.53, abs=0.005)  # 2/3 times the brevity penalty exp(1 - 6/3)
    assert bleu1["bleu"] == pytest.approx(100 * 2 / 3 * math.exp(-1))
    assert "tok:ko-mecab" in bleu1["signature"]


def test_bleu_of_exact_one_word_answers():
    """Without effective order a text shorter than four tokens has no BLEU; over a corpus of such there is none at all."""
    from sacrebleu.metrics import BLEU

    words = ["서울", "부산", "대전"]
    for tokenizer in ("13a", "ko-mecab"):
        assert BLEU(tokenize=tokenizer).corpus_score(words, [words]).score == 0
        assert BLEU(tokenize=tokenizer).sentence_score("서울", ["서울"]).score == 0
    ours = compute_bleu(words, words, per_sample=True)
    assert ours["bleu"] == 0  # as sacrebleu: the table's exact match and character F1 are for these
    assert ours["per_sample"] == pytest.approx([100] * 3)
    pairs = words, words
    assert (
        scoring.compute_exact_match(*pairs)["exact_match"] == scoring.compute_char_f1(*pairs)["char_f1"] == 1
    )


def test_chrf_sees_a_shared_stem_and_scores_one_character():
    stem = compute_chrf(["필터를 씻습니다"], ["필터는 씻어요"])["chrf"]
    assert 10 < stem < 60 and compute_chrf(["냉장고"], ["필터는 씻어요"])["chrf"] == 0
    scores = compute_chrf(["예", "아니요"], ["예", "예"], per_sample=True)
    assert scores["per_sample"] == pytest.approx([100, 0])
    assert scores["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no")


def test_char_f1_ignores_order_and_punctuation():
    assert compute_char_f1(["울서"], ["서울"])["char_f1"] == 1.0
    assert compute_char_f1(["《서울》, 시."], ["서울시"])["char_f1"] == 1.0
    assert compute_char_f1(["서울시"], ["서울"])["char_f1"] == pytest.approx(0.8)
    assert compute_char_f1(["부산"], ["서울"])["char_f1"] == 0.0


@pytest.mark.parametrize("name", ["rouge", "exact_match", "char_f1", "answer_contained", "cosine"])
def test_identical_answers_score_one(name):
    texts = ["가나 다라 마바 사아입니다.", "310W입니다.", "가나다 🙂 라"]
    if name == "cosine":
        texts = [texts[0], texts[2]]  # the stand-in knows no letter of the other
    scores = FUNCTIONS[name](texts, texts)
    assert [scores[key] for key in ("rouge1", "rouge2", "rougeL") if key in scores] in ([], [1.0, 1.0, 1.0])
    assert all(value == pytest.approx(1.0) for value in scores.values())


def test_bleu_of_exact_answers_and_its_short_answer_trap():
    assert compute_bleu(SAME, SAME)["bleu"] == pytest.approx(100)
    exact_words = compute_bleu(["예", "3일"], ["예", "3일"], per_sample=True)
    assert exact_words["bleu"] == 0  # no 4-gram anywhere: corpus BLEU is undefined, sacrebleu says 0
    assert exact_words["per_sample"] == pytest.approx([100, 100])
    assert compute_exact_match(["예", "3일"], ["예", "3일"])["exact_match"] == 1.0


words = st.lists(st.sampled_from("전력 기간 필터 은 는 2년 310W 입니다 보증".split()), max_size=9).map(
    " ".join
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.integers(1, 4))
def test_bleu_from_statistics_is_sacrebleu(pairs, order):
    from sacrebleu.metrics import BLEU

    predictions, references = map(list, zip(*pairs, strict=True))
    statistics = bleu_statistics(predictions, references, tokenize="none", max_ngram_order=order)
    corpus = BLEU(tokenize="none", max_ngram_order=order, force=True)
    sentence = BLEU(tokenize="none", max_ngram_order=order, effective_order=True)
    expected = corpus.corpus_score(predictions, [references]).score
    assert float(bleu_from_statistics(statistics.sum(axis=0))) == pytest.approx(expected, abs=1e-9)
    one_by_one = [sentence.sentence_score(p, [r]).score for p, r in pairs]
    assert bleu_from_statistics(statistics, effective_order=True).tolist() == pytest.approx(
        one_by_one, abs=1e-9
    )


@pytest.mark.parametrize(
    ("prediction", "reference", "contained"),
    [
        ("문맥에 따르면 310W입니다.", "310W입니다.", True),
        ("소비 전력은 310 W 정도예요", "문맥에 따르면 310W입니다.", True),
        ("**310W**", "310W입니다.", True),
        ("1310W입니다.", "310W입니다.", False),
        ("1,310W입니다.", "310W입니다.", False),
        ("3100W", "310입니다.", False),
        ("1.5L입니다.", "5L입니다.", False),
        ("15L입니다.", "1.5L입니다.", False),
        ("1500원", "1,500원입니다.", True),
        ("10-20분", "10~20분입니다.", True),
        ("1020분", "10~20분입니다.", False),
        ("하루 말립니다. 미지근한 물로 헹굽니다.", "미지근한 물로 헹굽니다. 하루 말립니다.", True),
        ("미지근한 물로 헹굽니다.", "미지근한 물로 헹굽니다. 하루 말립니다.", False),
        ("20도", "20%입니다.", False),
        ("", "310W입니다.", False),
        ("아무 말", "", False),
        (ABSTENTION, "310W입니다.", False),
    ],
)
def test_answer_contained(prediction, reference, contained):
    assert compute_answer_contained([prediction], [reference])["answer_contained"] == contained


def test_exact_match_forgives_spacing_and_final_punctuation_only():
    assert normalize_answer(" 310W \n입니다. ") == "310W 입니다"
    assert normalize_answer("한") == normalize_answer("\u1112\u1161\u11ab")  # NFD from macOS file names
    predictions = ["310W입니다!", "310W입니다", "310w입니다.", "1.5", "20%"]
    references = ["310W입니다.", "310W입니다 .", "310W입니다.", "15", "20"]
    scores = compute_exact_match(predictions, references, per_sample=True)
    assert scores == {"exact_match": 0.4, "per_sample": [1, 1, 0, 0, 0]}


def test_abstention_counts_both_kinds():
    answers = [ABSTENTION, "310W입니다.", ABSTENTION, "2년입니다.", "3일입니다."]
    scores = compute_abstention(answers, [False, False, True, True, True])
    assert scores == {"abstention": 0.5, "false_abstention": pytest.approx(1 / 3)}
    assert compute_abstention(["예"], [True]) == {"abstention": None, "false_abstention": 0.0}


def test_cosine_is_the_angle_and_encodes_each_text_once():
    class Once(CharacterCounts):
        def encode(self, texts, **kwargs):
            assert len(texts) == len(set(texts))
            return super().encode(texts)

    result = compute_cosine_similarity(["가", "가", "가나"], ["나", "가", "가"], Once(), per_sample=True)
    assert result["per_sample"] == pytest.approx([0, 1, 1 / math.sqrt(2)])
    assert result["cosine_similarity"] == pytest.approx(np.mean(result["per_sample"]))


def test_cosine_of_an_empty_answer():
    class Semantic(CharacterCounts):
        def encode(self, texts, **kwargs):
            return super().encode([text + "가" for text in texts])  # a vector even for nothing

    result = compute_cosine_similarity(["", "  ", "나"], ["가", "", "나"], Semantic(), per_sample=True)
    assert result["per_sample"] == pytest.approx([0, 0, 1])


def test_each_text_is_tokenized_once_over_all_metrics(monkeypatch):
    from sacrebleu.tokenizers.tokenizer_ko_mecab import TokenizerKoMecab

    compute_bleu(["예"], ["예"])
    tokenizer = tokenizers._sacrebleu().tokenizer
    TokenizerKoMecab.__call__.cache_clear()
    lines, tagger = [], tokenizer.tagger

    class Counting:
        def parse(self, line):
            lines.append(line)
            return tagger.parse(line)

    monkeypatch.setattr(tokenizer, "tagger", Counting())
    rows = [SimpleNamespace(answer=text, answerable=True) for text in ("가 나", "다 라", "가 나")]
    sides = {"base": ["가 나", "마", "바"], "few_shot": ["마", "사", "다 라"], "tuned": ["가 나", "바", "자"]}
    score_sides(sides, rows, CharacterCounts())
    assert sorted(lines) == ["가 나", "다 라", "마", "바", "사", "자"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_odd_answers_and_wrong_calls(name):
    scores = FUNCTIONS[name](ODD, list(reversed(ODD)), per_sample=True)
    json.dumps(scores, allow_nan=False)
    samples = scores["per_sample"]
    assert {len(values) for values in (samples.values() if isinstance(samples, dict) else [samples])} == {
        len(ODD)
    }
    with pytest.raises(ValueError, match="수가 다릅니다"):
        FUNCTIONS[name](["예"], ["예", "예"])
    with pytest.raises(ValueError, match="견줄 질문이 없습니다"):
        FUNCTIONS[name]([], [])


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name != "cosine"])
def test_very_long_texts(name):
    """Hundreds of kilobytes: repeated sentences, and one "word" without white space."""
    seoul, letters = "서울의 인구는 약 천만 명입니다. " * 5_000, "아" * 100_000
    predictions, references = [seoul, seoul, letters, "예"], [seoul + "예", "310W입니다.", letters, letters]
    scores = FUNCTIONS[name](predictions, references)
    json.dumps(scores, allow_nan=False)


def test_rouge_l_is_the_table_of_rouge_score():
    """rapidfuzz counts the same subsequence, of long texts with few and with many kinds of tokens, and of nothing."""
    from rouge_score.rouge_scorer import _score_lcs

    random = np.random.default_rng(0)
    for letters in (2, 5, 40):
        pairs = [
            [" ".join(random.integers(letters, size=random.integers(0, 90)).astype(str)) for _ in "ab"]
            for _ in range(60)
        ]
        ours = compute_rouge(*zip(*pairs, strict=True), tokenizer="eojeol", per_sample=True)["per_sample"]
        theirs = [_score_lcs(reference.split(), answer.split()).fmeasure for answer, reference in pairs]
        assert ours["rougeL"] == pytest.approx(theirs, abs=1e-12)


def test_a_single_string_is_refused():
    with pytest.raises(TypeError, match="목록"):
        compute_rouge("예", "예")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=4))
def test_scores_stay_in_range(pairs):
    predictions, references = map(list, zip(*pairs, strict=True))
    for name, function in FUNCTIONS.items():
        top = 100 + 1e-9 if name in ("bleu", "chrf") else 1 + 1e-9
        for value in function(predictions, references).values():
            assert isinstance(value, str) or value is None or 0 <= value <= top


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet="가나다라마바사 0123W.,", min_size=1, max_size=30))
def test_any_text_matches_itself(text):
    assert compute_exact_match([text], [text])["exact_match"] == 1
    if any(character.isalnum() for character in text):
        assert compute_char_f1([text], [text])["char_f1"] == 1
        assert compute_rouge([text], [text])["rouge1"] == 1


def test_as_evaluate_metrics_without_network(monkeypatch):
    import evaluate

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names = [name for name in LOADABLE if name != "cosine_similarity"]
    metrics = [load_metric(name) for name in names]
    metrics.append(load_metric("cosine_similarity", embedder=CharacterCounts()))
    assert [metric.name for metric in metrics[:-1]] == names
    combined = evaluate.combine(metrics)
    predictions, references = ["문맥에 따르면 310W입니다.", ABSTENTION], ["310W입니다.", ABSTENTION]
    scores = combined.compute(predictions=predictions, references=references)
    assert scores["rougeL"] == compute_rouge(predictions, references)["rougeL"]
    assert scores["bleu"] == compute_bleu(predictions, references)["bleu"]
    assert (scores["abstention"], scores["false_abstention"]) == (1.0, 0.0)
    assert scores["answer_contained"] == 1.0
    assert scores["cosine_similarity"] == FUNCTIONS["cosine"](predictions, references)["cosine_similarity"]
    again = load_metric("rouge", tokenizer="char").compute(predictions=LEFT, references=RIGHT)
    assert again["rouge1"] == pytest.approx(0.923, abs=5e-4)
    with pytest.raises(ValueError, match="지표는 없습니다"):
        load_metric("rouge9")


def test_metrics_give_samples_and_take_odd_texts():
    import evaluate

    texts = ["", "🙂", "\ud83d", "한글 English 123"]
    for name in LOADABLE:
        options = {"embedder": CharacterCounts()} if name == "cosine_similarity" else {}
        samples = load_metric(name, **options).compute(predictions=texts, references=texts, per_sample=True)
        columns = samples["per_sample"].values() if name == "rouge" else [samples["per_sample"]]
        assert all(len(column) == 4 for column in columns)
    both = evaluate.combine([load_metric("exact_match"), load_metric("char_f1")])
    scores = both.compute(predictions=["예"], references=["예"], per_sample=True)
    assert scores["exact_match_per_sample"] == scores["char_f1_per_sample"] == [1.0]


def test_a_cut_emoji_scores_everywhere():
    from src.scoring.embedding import load_embedder

    embedder = load_embedder("data/tiny/embedder")
    scores = compute_cosine_similarity(["\ud83d", "예"], ["예", "예"], embedder, per_sample=True)
    assert scores["per_sample"] == pytest.approx([0, 1])
    for name in LOADABLE:
        metric = load_metric(name, **({"embedder": embedder} if name == "cosine_similarity" else {}))
        metric.add(prediction="\ud83d", reference="예")
        metric.add(prediction="예", reference="\ud83d")
        assert metric.compute()


def test_a_pair_is_added_to_combined_metrics():
    import evaluate

    both = evaluate.combine([load_metric("exact_match"), load_metric("char_f1")])
    both.add(prediction="예", reference="예")
    assert both.compute() == {"exact_match": 1.0, "char_f1": 1.0}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("wrong", [None, 310, float("nan"), ["예"]])
def test_what_is_no_text_is_refused_with_its_question(name, wrong):
    with pytest.raises(ValueError, match=r"^1번 질문\(0부터 셉니다\)의 답이 글이 아니라"):
        FUNCTIONS[name](["예", wrong], ["예", "예"])
    if name != "abstention":  # its second list says whether there is an answer
        with pytest.raises(ValueError, match=r"^0번 질문\(0부터 셉니다\)의 정답이 글이 아니라"):
            FUNCTIONS[name](["예", "예"], [wrong, "예"])


def test_metrics_refuse_what_is_no_text():
    metric = load_metric("exact_match")
    metric.add(prediction="예", reference="예")
    with pytest.raises(ValueError, match=r"^1번 질문.*의 답이 글이 아니라 NoneType"):
        metric.add(prediction=None, reference="예")
    with pytest.raises(ValueError, match=r"^2번 질문.*의 정답이 글이 아니라 NoneType"):
        metric.add_batch(predictions=["예", "예"], references=["예", None])


def test_an_unknown_measure_names_the_choices():
    with pytest.raises(ValueError, match=r"'f1'.*fmeasure, recall, precision"):
        compute_rouge(["예"], ["예"], measure="f1")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_vector_that_is_no_number_is_refused(value):
    class Broken(CharacterCounts):
        def encode(self, texts, **kwargs):
            vectors = super().encode(texts)
            vectors[[text in ("나", "") for text in texts]] = value
            return vectors

    scores = compute_cosine_similarity(["가", ""], ["가", "가"], Broken(), per_sample=True)
    assert scores["per_sample"] == pytest.approx([1, 0])  # the vector of an empty text does not count
    for pairs in ((["가", "나"], ["가", "가"]), (["가", "가"], ["가", "나"])):
        with pytest.raises(ValueError, match=r"1번 질문.*NaN"):
            compute_cosine_similarity(*pairs, Broken())


@pytest.mark.parametrize(
    ("prediction", "reference", "contained"),
    [
        ("예약 버튼을 누릅니다.", "예입니다.", False),
        ("차례를 기다립니다.", "예입니다.", False),
        ("네트워크를 켭니다.", "네.", False),
        ("2개월입니다.", "2개입니다.", False),
        ("30Wh입니다.", "30W입니다.", False),
        ("2.6mm입니다.", "2.6m입니다.", False),
        ("5Lx", "5L입니다.", False),
        ("25m²", "25m입니다.", False),
        ("예입니다.", "예입니다.", True),
        ("예약은 안 되나요? 예, 됩니다.", "예입니다.", True),
        ("네, 가능합니다.", "네.", True),
        ("**흰색**입니다.", "흰색입니다.", True),
        ("빨간색입니다.", "빨간입니다.", True),
        ("물로 씻습니다.", "물입니다.", True),
        ("약2년이며 늘릴 수 있습니다.", "2년입니다.", True),
        ("2 년간입니다.", "2년입니다.", True),
        ("5분정도 걸립니다.", "5분입니다.", True),
        ("15개입니다.", "15입니다.", True),
        ("30W LED입니다.", "30W입니다.", True),
        ("2.6m까지", "2.6m입니다.", True),
    ],
)
def test_a_short_word_or_a_unit_must_end_where_it_is_found(prediction, reference, contained):
    assert compute_answer_contained([prediction], [reference])["answer_contained"] == contained
