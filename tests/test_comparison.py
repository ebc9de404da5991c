"""Intervals that cover, BLEU resampled as sacrebleu would score it, and pages that escape what they show."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src import scoring
from src.comparison import (
    METRICS,
    _mean,
    compare_systems,
    comparison_page,
    comparison_table,
    judgement,
    paired_difference,
    plot_comparison,
    sample_table,
    verdict,
)
from src.evidence import ABSTENTION
from src.schemas import RaftRecord


class CharacterCounts:
    def encode(self, texts, **kwargs):
        return np.array(
            [[text.count(letter) + 1 for letter in "문맥에 따르면W입니다"] for text in texts],
            dtype=np.float32,
        )


def make_record(number: int, answerable: bool = True) -> RaftRecord:
    answer = f"문맥에 따르면 {300 + number}W입니다." if answerable else ABSTENTION
    return RaftRecord(
        id=str(number), instruction="답하세요.", context=["소비 전력 안내입니다.", "<b>다른 문서</b>"],
        question=f"제품 {number}의 소비 전력은?", answer=answer, group_id=f"제품 {number}",
        golden_index=0 if answerable else None, answerable=answerable, n_tokens=20, seed=0,
    )  # fmt: skip


RECORDS = [make_record(number, answerable=number % 4 != 0) for number in range(40)]
REFERENCES = [record.answer for record in RECORDS]
SHORT = [f"{300 + number}W입니다." for number in range(40)]


def compare(base, tuned, records=RECORDS, **options):
    return compare_systems(base, tuned, records, n_bootstrap=options.pop("n_bootstrap", 300), **options)


def test_form_counts_and_scores():
    result = compare(SHORT, REFERENCES, embedder=CharacterCounts(), embedder_name="글자 겹침")
    assert (result["n"], result["n_answerable"], result["n_unanswerable"]) == (40, 30, 10)
    assert set(result["metrics"]) == set(METRICS) and result["embedder"] == "글자 겹침"
    for entry in result["metrics"].values():
        assert set(entry) == {"base", "tuned", "difference", "interval", "p_value"}
        low, high = entry["interval"]
        assert low <= entry["difference"] <= high and 0 < entry["p_value"] <= 1
    assert "tok:ko-mecab" in result["signatures"]["bleu"]
    metrics = result["metrics"]
    assert metrics["exact_match"]["base"] == 0 and metrics["exact_match"]["tuned"] == 1
    assert metrics["answer_contained"]["base"] == metrics["answer_contained"]["tuned"] == 1
    assert metrics["abstention"]["base"] == 0 and metrics["abstention"]["tuned"] == 1
    assert metrics["false_abstention"]["difference"] == 0
    assert metrics["bleu"]["base"] == pytest.approx(scoring.compute_bleu(SHORT, REFERENCES)["bleu"], abs=1e-6)
    rouge = scoring.compute_rouge(SHORT, REFERENCES)
    assert {name: metrics[name]["base"] for name in rouge} == pytest.approx(rouge, abs=1e-6)


def test_same_bytes_on_every_run_and_from_dicts():
    dump = json.dumps(compare(SHORT, REFERENCES, embedder=CharacterCounts()), allow_nan=False)
    rows = [record.model_dump() for record in RECORDS]
    assert dump == json.dumps(compare(SHORT, REFERENCES, rows, embedder=CharacterCounts()))
    assert dump != json.dumps(compare(SHORT, REFERENCES, embedder=CharacterCounts(), seed=1))


def test_metrics_without_a_question_are_left_out():
    records = [record for record in RECORDS if record.answerable]
    answers = [record.answer for record in records]
    result = compare(answers, answers, records)
    assert "abstention" not in result["metrics"] and "cosine_similarity" not in result["metrics"]
    assert result["embedder"] is None


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="수가 다릅니다"):
        compare(SHORT[:-1], REFERENCES)


def test_interval_covers_and_p_value_is_uniform_enough():
    random = np.random.default_rng(0)
    n, repetitions, effect = 60, 200, 0.1
    covered = false_alarms = 0
    for repetition in range(repetitions):
        base = random.uniform(0, 0.6, n)
        noise = random.normal(0, 0.2, n)
        ones = np.ones(n)
        options = {"n_resamples": 300, "seed": repetition}
        moved = paired_difference(
            np.column_stack([base, ones]), np.column_stack([base + noise + effect, ones]), _mean, **options
        )
        low, high = moved["interval"]
        covered += low <= effect <= high
        still = paired_difference(
            np.column_stack([base, ones]), np.column_stack([base + noise, ones]), _mean, **options
        )
        false_alarms += still["p_value"] <= 0.05
    assert 0.89 <= covered / repetitions <= 0.99
    assert 0.01 <= false_alarms / repetitions <= 0.11


def test_interval_width_is_the_normal_one():
    difference = np.random.default_rng(3).normal(0.05, 0.3, 400)
    zero, ones = np.zeros(400), np.ones(400)
    entry = paired_difference(
        np.column_stack([zero, ones]), np.column_stack([difference, ones]), _mean, n_resamples=4000, seed=0
    )
    half = (entry["interval"][1] - entry["interval"][0]) / 2
    assert half == pytest.approx(1.96 * difference.std() / 20, rel=0.05)
    z = difference.mean() / (np.sqrt((difference**2).mean()) / 20)
    from scipy.stats import norm

    assert entry["p_value"] == pytest.approx(2 * norm.sf(abs(z)), abs=0.015)


def test_bleu_interval_is_what_rescoring_each_draw_gives():
    base, tuned = scoring.bleu_statistics(SHORT, REFERENCES), scoring.bleu_statistics(REFERENCES, REFERENCES)
    entry = paired_difference(base, tuned, scoring.bleu_from_statistics, n_resamples=50, seed=7)
    draws = np.random.default_rng(7).multinomial(40, np.full(40, 1 / 40), size=50)
    differences = []
    for draw in draws:
        chosen = np.repeat(np.arange(40), draw)
        references = [REFERENCES[index] for index in chosen]
        scores = [
            scoring.compute_bleu([side[index] for index in chosen], references)
            for side in (SHORT, REFERENCES)
        ]
        differences.append(scores[1]["bleu"] - scores[0]["bleu"])
    assert entry["interval"] == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=1e-5)


def test_verdict_says_better_no_improvement_worse_and_mixed():
    assert "낫습니다" in verdict(compare(SHORT, REFERENCES))
    assert "나빠졌습니다" in verdict(compare(REFERENCES, SHORT))
    same = compare(SHORT, SHORT)
    assert same["metrics"]["rougeL"]["interval"] == [0, 0] and same["metrics"]["rougeL"]["p_value"] == 1
    assert "나아졌다고 할 근거가 없습니다" in verdict(same)
    assert judgement("rougeL", same["metrics"]["rougeL"]) == "같음"
    one_lucky = [*SHORT[:39], REFERENCES[39]]
    assert "나아졌다고 할 근거가 없습니다" in verdict(compare(SHORT, one_lucky))
    always_abstains = [ABSTENTION] * 40
    form_only = ["문맥에 따르면 1W입니다." if record.answerable else ABSTENTION for record in RECORDS]
    assert "엇갈립니다" in verdict(compare(SHORT, form_only))
    mixed = compare(form_only, always_abstains)
    assert judgement("false_abstention", mixed["metrics"]["false_abstention"]) == "나빠짐"
    assert "나빠진 지표" in verdict(mixed) or "나빠졌습니다" in verdict(mixed)


def test_table_and_chart(tmp_path):
    import warnings

    result = compare(SHORT, REFERENCES, embedder=CharacterCounts())
    table = comparison_table(result)
    assert list(table.index) == [label for label, _ in METRICS.values()]
    assert table.loc["정확히 일치", ["베이스 모델", "튜닝한 모델", "판정"]].tolist() == [0.0, 1.0, "나아짐"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing Hangul glyph is a warning
        figure = plot_comparison(result, tmp_path / "chart.png")
    left, right = figure.axes
    assert left.get_ylim()[1] < 2 and right.get_ylim()[1] > 100
    assert (tmp_path / "chart.png").stat().st_size > 5000


def test_samples_are_sorted_by_difference():
    tuned = [ABSTENTION if number == 5 else text for number, text in enumerate(REFERENCES)]
    table = sample_table(RECORDS, SHORT, tuned)
    assert table["차이"].is_monotonic_decreasing and len(table) == 40
    assert table.iloc[-1]["질문"] == RECORDS[5].question and table.iloc[-1]["차이"] < 0
    assert len(sample_table(RECORDS, SHORT, tuned, n=3)) == 6


def test_page_stands_alone_and_escapes(tmp_path):
    attack = '<script>alert("x")</script><img src=x onerror=1>'
    records = [
        RECORDS[1].model_copy(update={"question": attack, "context": [attack], "answer": attack}),
        RECORDS[2],
    ]
    base, tuned = [attack, "예"], ["문맥에 따르면", attack]
    result = compare(base, tuned, records, embedder=CharacterCounts(), embedder_name=attack)
    path = comparison_page(result, records, base, tuned, tmp_path / "deep" / "comparison.html", title=attack)
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 6  # title twice, question, context, answer, both systems
    assert "http://" not in page and "https://" not in page
    again = comparison_page(result, records, base, tuned, tmp_path / "again.html", title=attack)
    assert page == again.read_text(encoding="utf-8")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30), st.booleans()), min_size=1, max_size=5))
def test_any_answers_can_be_compared(rows):
    records = [RECORDS[1].model_copy(update={"answerable": answerable}) for _, _, answerable in rows]
    base, tuned = [row[0] for row in rows], [row[1] for row in rows]
    result = compare(base, tuned, records, n_bootstrap=20)
    json.dumps(result, allow_nan=False)
    assert verdict(result) and len(comparison_table(result)) == len(result["metrics"])
