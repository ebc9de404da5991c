"""Intervals that cover, BLEU resampled as sacrebleu would score it, and pages that escape what they show."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src import scoring
from src.data.schemas import RaftRecord
from src.evaluation.comparison import compare_systems
from src.evaluation.pages import comparison_page, mark_overlap, plot_comparison
from src.evaluation.results import FEW_GROUPS, Comparison, Difference
from src.evaluation.tables import compare_parts, comparison_table, length_labels, sample_table
from src.raft.answers import ABSTENTION
from src.scoring.metrics import METRICS, sample_scores


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
    assert (result.n, result.n_answerable, result.n_unanswerable) == (40, 30, 10)
    assert result.n_groups == 40
    assert list(result.metrics) == list(METRICS) and result.embedder == "글자 겹침"
    for name, entry in result.metrics.items():
        low, high = entry.interval
        assert entry.metric == name and low <= entry.difference <= high and 0 < entry.p_value <= 1
    assert "tok:ko-mecab" in result.signatures["bleu"]
    metrics = result.metrics
    assert (metrics["exact_match"].base, metrics["exact_match"].tuned) == (0, 1)
    assert metrics["answer_contained"].base == metrics["answer_contained"].tuned == 1
    assert (metrics["abstention"].base, metrics["abstention"].tuned) == (0, 1)
    assert metrics["false_abstention"].difference == 0
    assert metrics["bleu"].base == pytest.approx(scoring.compute_bleu(SHORT, REFERENCES)["bleu"], abs=1e-6)
    rouge = scoring.compute_rouge(SHORT, REFERENCES)
    assert {name: metrics[name].base for name in rouge} == pytest.approx(rouge, abs=1e-6)


def test_same_bytes_on_every_run_and_back():
    text = compare(SHORT, REFERENCES, few_shot_answers=SHORT, embedder=CharacterCounts()).to_json()
    assert text == compare(SHORT, REFERENCES, few_shot_answers=SHORT, embedder=CharacterCounts()).to_json()
    assert text != compare(SHORT, REFERENCES, embedder=CharacterCounts(), seed=1).to_json()
    again = Comparison.from_json(text)
    assert again.to_json() == text and again.few_shot["exact_match"].base == 0


def test_the_file_has_the_form_that_its_readers_know():
    """Known values, to the byte."""
    records = [make_record(number, answerable=number % 2 == 0) for number in range(4)]
    result = compare(["모름"] * 4, [record.answer for record in records], records, n_bootstrap=20)
    content = json.loads(result.to_json())
    assert list(content) == [
        "n",
        "n_groups",
        "n_answerable",
        "n_unanswerable",
        "metrics",
        "signatures",
        "embedder",
    ]
    assert (content["n"], content["n_groups"], content["embedder"]) == (4, 4, None)
    entry = json.dumps(content["metrics"]["exact_match"], indent=1)
    assert entry == (
        '{\n "base": 0.0,\n "tuned": 1.0,\n "difference": 1.0,\n "interval": [\n  1.0,\n  1.0\n ],\n "p_value": 0.125\n}'
    )
    assert list(content["signatures"]) == ["rouge", "bleu", "chrf", "interval", "p_value"]
    assert result.to_json().startswith('{\n "n": 4,\n "n_groups": 4,\n') and result.to_json().endswith("}\n")
    few_shot = compare(["모름"] * 4, ["모름"] * 4, records, few_shot_answers=["예"] * 4, n_bootstrap=20)
    content = json.loads(few_shot.to_json())
    assert list(content)[-1] == "few_shot"
    assert list(content["few_shot"]["metrics"]["rouge1"]) == [
        "few_shot",
        "tuned",
        "difference",
        "interval",
        "p_value",
    ]


@pytest.mark.parametrize("text", ["{", "[]", '{"n": 3}', '{"n": 3, "metrics": {"rouge1": {}}}'])
def test_what_is_no_comparison_is_not_read_as_one(text):
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        Comparison.from_json(text)


def test_a_result_prints_itself():
    result = compare(SHORT, REFERENCES)
    lines = str(result).splitlines()
    assert len(lines) > len(result.metrics) + 2 and "\n".join(lines).endswith(result.verdict)
    assert re.split(r"\s{2,}", lines[6]) == [
        "정확히 일치",
        "0.000",
        "1.000",
        "+1.000",
        "+1.000 ~ +1.000",
        "나아짐",
    ]
    entry = result.metrics["exact_match"]
    assert str(entry) == "정확히 일치 차이 +1.000, 95% 구간 +1.000~+1.000, p값 0.003"


def test_metrics_without_a_question_are_left_out():
    records = [record for record in RECORDS if record.answerable]
    answers = [record.answer for record in records]
    result = compare(answers, answers, records)
    assert "abstention" not in result.metrics and "cosine_similarity" not in result.metrics
    assert result.embedder is None


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="수가 다릅니다"):
        compare(SHORT[:-1], REFERENCES)


def test_verdict_says_better_no_improvement_worse_and_mixed():
    assert "낫습니다" in compare(SHORT, REFERENCES).verdict
    assert "나빠졌습니다" in compare(REFERENCES, SHORT).verdict
    same = compare(SHORT, SHORT)
    assert same.metrics["rougeL"].interval == (0, 0) and same.metrics["rougeL"].p_value == 1
    assert "나아졌다고 할 근거가 없습니다" in same.verdict
    assert same.metrics["rougeL"].judgement == "같음"
    one_lucky = [*SHORT[:39], REFERENCES[39]]
    assert "나아졌다고 할 근거가 없습니다" in compare(SHORT, one_lucky).verdict
    always_abstains = [ABSTENTION] * 40
    form_only = ["문맥에 따르면 1W입니다." if record.answerable else ABSTENTION for record in RECORDS]
    assert "엇갈립니다" in compare(SHORT, form_only).verdict
    mixed = compare(form_only, always_abstains)
    assert mixed.metrics["false_abstention"].judgement == "나빠짐"
    assert "나빠진 지표" in mixed.verdict or "나빠졌습니다" in mixed.verdict


def test_table_and_chart(tmp_path):
    import warnings

    import koreanize_matplotlib  # noqa: F401  (warns of distutils when imported)

    result = compare(SHORT, REFERENCES, embedder=CharacterCounts())
    table = comparison_table(result)
    assert list(table.index) == [metric.title for metric in METRICS.values()]
    assert table.loc["정확히 일치", ["베이스 모델", "튜닝한 모델", "판정"]].tolist() == [0.0, 1.0, "나아짐"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing Hangul glyph is a warning
        figure = plot_comparison(result)
        figure.savefig(tmp_path / "chart.png")
    left, right = figure.axes
    assert left.get_ylim()[1] < 2 and right.get_ylim()[1] > 100
    assert (tmp_path / "chart.png").stat().st_size > 5000


def test_samples_are_sorted_by_difference():
    tuned = [ABSTENTION if number == 5 else text for number, text in enumerate(REFERENCES)]
    table = sample_table(RECORDS, SHORT, tuned)
    assert table["차이"].is_monotonic_decreasing and len(table) == 40
    assert table.iloc[-1]["질문"] == RECORDS[5].question and table.iloc[-1]["차이"] < 0


def test_page_stands_alone_and_escapes(tmp_path):
    attack = '<script>alert("x")</script><img src=x onerror=1>'
    records = [
        RECORDS[1].model_copy(update={"question": attack, "context": [attack], "answer": attack}),
        RECORDS[2],
    ]
    base, tuned = [attack, "예"], ["문맥에 따르면", attack]
    result = compare(base, tuned, records, embedder=CharacterCounts(), embedder_name=attack)
    path = comparison_page(result, records, base, tuned, tmp_path / "deep" / "comparison.html")
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and "<img src=x" not in page
    assert page.count("&lt;script&gt;") >= 5  # question, context, answer, both systems; the embedder's name
    assert "http://" not in page and "https://" not in page
    assert "default-src 'none'" in page and "script-src" not in page  # not even a script that got in may run
    again = comparison_page(result, records, base, tuned, tmp_path / "again.html")
    assert page == again.read_text(encoding="utf-8")


def page_text(tmp_path, records, base, tuned, **options) -> str:
    result = compare(base, tuned, records, n_bootstrap=20)
    return comparison_page(result, records, base, tuned, tmp_path / "p.html", **options).read_text("utf-8")


def test_page_opens_with_the_point_and_folds_the_rest(tmp_path):
    tuned = [SHORT[n] if n in (1, 2, 3) else "아니요" if 30 < n < 38 else REFERENCES[n] for n in range(40)]
    page = page_text(
        tmp_path, RECORDS, SHORT, tuned, parts={"주제별": comparison_table(compare(SHORT, tuned))}
    )
    order = [
        'class="verdict"',
        "<table",
        "가장 나아진 질문",
        "가장 나빠진 질문",
        "나머지 질문",
        "<img",
        "주제별",
    ]
    assert sorted(order, key=page.index) == order
    unfolded, folded = page.split("<h2>나머지 질문</h2>")
    assert unfolded.count("<article>") == 6 and page.count("<article>") == 40
    table = sample_table(RECORDS, SHORT, tuned)
    counts = [(table["차이"] > 0).sum() - 3, (table["차이"] == 0).sum(), (table["차이"] < 0).sum() - 3]
    named = ("나아진", "점수가 같은", "나빠진")
    assert re.findall(r"<summary>(\S+|점수가 같은) 질문 (\d+)개", folded) == [
        (name, str(count)) for name, count in zip(named, counts, strict=True)
    ]
    best, worst = unfolded.split("<h2>가장 나빠진 질문</h2>")
    shown = [float(text) for text in re.findall(r">([+-][\d.]+)</span>", worst)]
    assert shown == sorted(shown) and shown[0] == pytest.approx(table["차이"].min(), abs=0.005)
    assert max(float(text) for text in re.findall(r">([+-][\d.]+)</span>", best)) == pytest.approx(
        table["차이"].max(), abs=0.005
    )
    # Twenty unanswerable questions have one reference: they would fill both lists alike.
    assert best.count(f"<p>{ABSTENTION}</p>") == 1


def test_page_says_where_no_question_changed(tmp_path):
    page = page_text(tmp_path, RECORDS, SHORT, SHORT)
    assert "나아진 질문이 없습니다" in page and "나빠진 질문이 없습니다" in page
    assert page.count("<article>") == 40 and "점수가 같은 질문 40개" in page


def test_summary_rows_are_what_comparison_table_has():
    result = compare(SHORT, REFERENCES, few_shot_answers=SHORT, embedder=CharacterCounts())
    table = comparison_table(result)
    rows = result.rows()
    assert [row["지표"] for row in rows] == list(table.index)
    for row in rows:
        own = table.loc[row["지표"]]
        digits = 1 if own["범위"] == "0–100" else 3
        assert row["판정"] == own["판정"]
        for name in ("베이스 모델", "예시를 준 베이스", "튜닝한 모델", "차이"):
            assert float(row[name]) == pytest.approx(own[name], abs=0.6 * 10**-digits)
        low, high = map(float, row["차이의 95% 구간"].split(" ~ "))
        assert (low, high) == pytest.approx((own["95% 하한"], own["95% 상한"]), abs=0.6 * 10**-digits)


def test_table_and_pages_round_alike():
    result = compare(SHORT, REFERENCES)
    entry = replace(result.metrics["exact_match"], tuned=0.9175)
    result = replace(result, metrics={**result.metrics, "exact_match": entry})
    (row,) = (row for row in result.rows() if row["지표"] == entry.title)
    assert f"{comparison_table(result).loc[entry.title, '튜닝한 모델']:.3f}" == row["튜닝한 모델"] == "0.917"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30), st.booleans()), min_size=1, max_size=5))
def test_any_answers_can_be_compared(rows):
    records = [RECORDS[1].model_copy(update={"answerable": answerable}) for _, _, answerable in rows]
    base, tuned = [row[0] for row in rows], [row[1] for row in rows]
    result = compare(base, tuned, records, n_bootstrap=20)
    assert Comparison.from_json(result.to_json()) == result
    assert result.verdict and len(comparison_table(result)) == len(result.metrics)


def test_few_shot_is_a_third_system(tmp_path):
    plain = compare(SHORT, REFERENCES)
    result = compare(SHORT, REFERENCES, few_shot_answers=REFERENCES[:20] + SHORT[20:])
    assert replace(result, few_shot=None) == plain
    entry = result.few_shot["exact_match"]
    assert (entry.base, entry.tuned, entry.difference) == (0.5, 1.0, 0.5)
    assert "견주어도 낫습니다" in result.verdict
    assert "튜닝하지 않아도 됩니다" in compare(SHORT, SHORT, few_shot_answers=REFERENCES).verdict
    assert "낫다고 할 근거는 없습니다" in compare(SHORT, REFERENCES, few_shot_answers=REFERENCES).verdict
    table = comparison_table(result)
    assert table.loc["정확히 일치", "예시를 준 베이스"] == 0.5
    assert "예시를 준 베이스" not in comparison_table(plain)
    left, _ = plot_comparison(result).axes
    assert len(left.containers) == 3
    page = comparison_page(
        result, RECORDS, SHORT, REFERENCES, tmp_path / "p.html", few_shot_answers=["셋째 답"] * 40
    ).read_text(encoding="utf-8")
    assert page.count("셋째") == 40
    with pytest.raises(ValueError, match="수가 다릅니다"):
        compare(SHORT, REFERENCES, few_shot_answers=SHORT[:-1])


def test_products_are_what_is_resampled():
    """One product of ten got everything right: by questions that is certain, by products it is not."""
    records = [
        make_record(number).model_copy(update={"group_id": str(number // 10)}) for number in range(100)
    ]
    references = [record.answer for record in records]
    wrong = ["문맥에 따르면 1W입니다."] * 100
    tuned = references[:10] + wrong[10:]
    by_product = compare(wrong, tuned, records)
    assert by_product.n_groups == 10
    assert by_product.metrics["exact_match"].judgement == "차이 불확실"
    alone = [record.model_copy(update={"group_id": ""}) for record in records]
    by_question = compare(wrong, tuned, alone)
    assert by_question.n_groups == 100
    assert by_question.metrics["exact_match"].judgement == "나아짐"
    one = [record.model_copy(update={"group_id": "하나"}) for record in records]
    assert compare(wrong, tuned, one).metrics == by_question.metrics
    few = [record.model_copy(update={"group_id": str(i % 3)}) for i, record in enumerate(records)]
    text = compare(wrong, references, few).verdict
    assert "3개뿐이라" in text and "나아졌다고 할 근거가 없습니다" in text


def test_percent_only_above_the_floor():
    def percent(metric, base, tuned):
        return Difference(metric, base, tuned, tuned - base, (0, 0), 1).percent_change

    assert percent("bleu", 0.6, 85.0) is None and percent("exact_match", 0.0, 0.9) is None
    assert percent("rouge1", 0.5, 0.6) == pytest.approx(20)
    table = comparison_table(compare(SHORT, REFERENCES))
    assert table.loc["정확히 일치", "변화율(%)"] == "–"
    assert list(table.columns).index("차이") < list(table.columns).index("변화율(%)")


def test_parts_by_topic_and_length():
    records = [
        record.model_copy(update={"topic": "가나"[number % 2]}) for number, record in enumerate(RECORDS)
    ]
    tuned = [REFERENCES[i] if i % 2 else SHORT[i] for i in range(40)]
    table = compare_parts(SHORT, tuned, records, [record.topic for record in records], n_bootstrap=200)
    assert table.index.tolist() == ["나", "가"] and table.loc["가", "차이"] == 0
    assert table.loc["나", "판정"] == "나아짐" and table["질문 수"].tolist() == [20, 20]
    values = scoring.compute_rouge(SHORT[1::2], REFERENCES[1::2])["rougeL"]
    assert table.loc["나", "베이스 모델"] == pytest.approx(values, abs=1e-3)
    labels = length_labels(records)
    lengths = [len(scoring.TOKENIZERS["mecab"](text)) for text in REFERENCES]
    by_label = {
        label: {n for n, other in zip(lengths, labels, strict=True) if other == label} for label in labels
    }
    assert len(by_label) > 1
    for label, seen in by_label.items():
        assert label in (f"정답 {min(seen)}–{max(seen)}형태소", f"정답 {min(seen)}형태소")
    assert len(compare_parts(SHORT, tuned, records, labels, n_bootstrap=50)) == len(by_label)


def test_a_verdict_on_few_products_does_not_contradict_itself():
    records = [make_record(number, answerable=False) for number in range(5)]
    result = compare(["a"] * 5, [ABSTENTION] * 5, records, n_bootstrap=50)
    assert result.metrics["rougeL"].p_value == 0.0625  # 2 of 2^5 exchanges
    assert "all 32 exchanges" in result.signatures["p_value"]
    text = result.verdict
    assert (
        "낫습니다" not in text and f"5개뿐이라 우연과 가를 수 없습니다. {FEW_GROUPS}개 이상이 되도록" in text
    )
    enough = compare(
        ["a"] * FEW_GROUPS, [ABSTENTION] * FEW_GROUPS, [make_record(i, False) for i in range(FEW_GROUPS)]
    )
    assert "낫습니다" in enough.verdict and "뿐이라" not in enough.verdict


def test_a_part_of_one_product_is_resampled_by_question():
    records = [
        record.model_copy(update={"group_id": f"제품 {number % 20 if number < 20 else '하나'}"})
        for number, record in enumerate(RECORDS)
    ]
    labels = ["여럿"] * 20 + ["하나"] * 20
    tuned = [REFERENCES[i] if i % 3 else SHORT[i] for i in range(40)]
    table = compare_parts(SHORT, tuned, records, labels, n_bootstrap=200)
    assert table.loc["하나", "제품·문서 수"] == 1
    low, high = table.loc["하나", ["95% 하한", "95% 상한"]]
    assert low < table.loc["하나", "차이"] < high
    alone = compare(SHORT[20:], tuned[20:], records[20:], n_bootstrap=200).metrics["rougeL"]
    assert [low, high] == pytest.approx(alone.interval, abs=1e-3)


def test_lists_metrics_and_scores_are_checked():
    same = SHORT[:30]
    with pytest.raises(ValueError, match="질문 30개, 부분의 이름 2개"):
        compare_parts(same, same, RECORDS[:30], ["a", "b"])
    with pytest.raises(ValueError, match="베이스 모델 29개"):
        compare_parts(same[:-1], same, RECORDS[:30], ["a"] * 30)
    for options in ({}, {"few_shot_answers": SHORT[:3]}):
        with pytest.raises(ValueError, match="수가 다릅니다"):
            sample_table(RECORDS, SHORT[:-1] if not options else SHORT, SHORT, **options)

    class Broken(CharacterCounts):
        def encode(self, texts, **kwargs):
            return super().encode(texts) * np.nan

    with pytest.raises(ValueError, match="cosine_similarity"):
        compare(SHORT, REFERENCES, embedder=Broken())


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_has_a_value_a_sample_within_its_scale(metric):
    options = {"embedder": CharacterCounts()} if metric == "cosine_similarity" else {}
    values = sample_scores(metric, SHORT, REFERENCES, **options)
    assert len(values) == 40 and all(0 <= value <= METRICS[metric].top + 1e-9 for value in values)


def test_matching_words_are_marked_and_missing_ones_named(tmp_path):
    pieces, missing = mark_overlap("서울 인구는 약 1천만 명입니다", "서울의 인구는 약 천만 명입니다")
    assert pieces[0] == ("서울", True) and pieces[pieces.index(("약", True)) + 1] == (" 1", False)
    assert missing == ["의"]
    assert mark_overlap("예 예", "예") == ([("예", True), (" 예", False)], [])  # once there, once marked
    assert mark_overlap("", "예") == ([], ["예"])
    parts = {"주제별": compare_parts(SHORT, REFERENCES, RECORDS, ["<주제>"] * 40, n_bootstrap=20)}
    result = compare(SHORT, REFERENCES)
    page = comparison_page(result, RECORDS, SHORT, REFERENCES, tmp_path / "p.html", parts=parts).read_text(
        "utf-8"
    )
    assert "<h2>주제별</h2>" in page and "&lt;주제&gt;" in page and "<주제>" not in page
    assert "<del>문맥</del>" in page and page.count("<mark>") > 40


@given(st.text(max_size=40), st.text(max_size=40))
def test_marking_keeps_every_character(answer, reference):
    pieces, _ = mark_overlap(answer, reference)
    assert "".join(text for text, _ in pieces) == unicodedata.normalize("NFC", answer)


def test_samples_with_the_third_system():
    table = sample_table(RECORDS, SHORT, REFERENCES, few_shot_answers=SHORT)
    assert (table["예시 점수"] == table["베이스 점수"]).all() and set(table["튜닝 점수"]) == {1.0}
