"""Recipes on validation: two small cells from end to end, the counts by hand, and what the tables say of them."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from dataclasses import replace

import pytest
from raft_records import DOCUMENT, OTHER, left_out, record

from benchmarks import recipe
from src.experiments import recipes
from src.experiments.recipe_tables import (
    BASE_NAME,
    GOLDEN_NAME,
    VIEWS,
    recipe_table,
    recipe_view,
    view_table,
    view_verdict,
)
from src.experiments.recipes import BASE, GOLDEN_ALONE, read_rows, score_exams, search, settings_of
from src.experiments.sweeps import with_settings
from src.profiles import PROFILES, ROOT
from src.raft.answers import ABSTENTION, QUOTE_BEGIN, QUOTE_END, final_answer, quotes_in

TINY = PROFILES["tiny"]


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """The tiny profile on a few rows, with hardly a step."""
    folder = tmp_path_factory.mktemp("recipes")
    rows = (ROOT / "data/raw/support_qa.jsonl").read_text(encoding="utf-8").splitlines()[:130]
    (folder / "few.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return replace(
        TINY, data_files=(str(folder / "few.jsonl"),), epochs=0.1, max_validation_records=2, eval_steps=1,
        open_book_questions=4, bootstrap_samples=50, max_new_tokens=8, validation_ratio=0.2,
    )  # fmt: skip


@pytest.fixture(scope="module")
def made(profile, tmp_path_factory):
    """Base and one cell, stopped after them, gone on with, and asked for once more."""
    folder = tmp_path_factory.mktemp("rows")
    path, wanted = folder / "rows.jsonl", [BASE, {}, {"num_distractors": (1, 2), "add_cot": True}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_OUTPUTS", str(folder))
        benches = []
        build = recipes.build_bench
        patch.setattr(recipes, "build_bench", lambda p: benches.append(build(p)) or benches[-1])
        first = search(profile, wanted, [1], path, limit=2)
        path.write_text(path.read_text() + '{"torn', encoding="utf-8")
        rows = search(profile, wanted, [1], path)
        again = search(profile, wanted, [1], path)
    return first, rows, again, benches, path


def test_an_interrupted_search_goes_on(made):
    first, rows, again, benches, _ = made
    assert len(first) == 2 and len(rows) == 3 and rows[:2] == first and again == rows
    assert len(benches) == 2  # the third time there was nothing to do


def test_a_row_tells_what_was_changed_and_what_came_of_it(made, profile):
    base, plain, other = made[1]
    assert "settings" not in base and plain["settings"] == settings_of(profile)
    assert (other["settings"]["num_distractors"], other["settings"]["add_cot"]) == ([1, 2], True)
    products = {paper.group_id for paper in made[3][0].exams["top 3"]}
    for row in (base, plain, other):
        scores = row["scores"]
        assert {len(counts) for counts in scores.values()} == {len(products)}
        assert sum(n for _, n in scores["right@10"]) == sum(n for _, n in scores["abstention"]) == 4
        assert all(0 <= good <= n for counts in scores.values() for good, n in counts)


def test_a_reasoned_answer_gets_the_room_that_it_needs(made, profile):
    bench = made[3][0]
    few = bench.splits | {"train": bench.splits["train"][:12]}
    records = replace(bench, splits=few).records(replace(profile, add_cot=True))["train"]
    room = recipes._longest_reasoning(records, bench.tokenizer)
    assert room > profile.max_new_tokens and any(record.cot for record in records)
    longest = max((r for r in records if r.cot), key=lambda r: len(r.cot + r.answer))
    assert len(bench.tokenizer.encode(f"{longest.cot}\n{longest.answer}")) < room
    assert recipes._longest_reasoning([r for r in records if not r.cot], bench.tokenizer) == 0


def test_only_validation_products_are_asked_about(made, profile):
    bench = made[3][0]
    assert set(bench.splits) == {"train", "validation"}
    held_out = {sample.group_id for sample in bench.splits["validation"]}
    assert {paper.group_id for papers in bench.exams.values() for paper in papers} <= held_out
    assert not held_out & {sample.group_id for sample in bench.splits["train"]}
    assert all(len(papers) == 4 for papers in bench.exams.values())
    assert not any(paper.answerable for paper in bench.exams["without"])


def test_rows_of_another_base_or_other_data_do_not_count(made, profile):
    assert len(read_rows(made[4], profile)) == 3
    assert read_rows(made[4], replace(profile, data_files=TINY.data_files)) == []
    assert read_rows(made[4], replace(profile, lora_r=4)) == made[1]  # another recipe is what they are about
    assert read_rows(made[4].parent / "none.jsonl", profile) == []


def test_scores_are_counted_by_product_and_only_the_final_answer_counts():
    quoted = f"질문의 답은 [문서 2]에 있습니다. {QUOTE_BEGIN}소비 전력은 310W입니다.{QUOTE_END}"
    known, empty = record(1, group_id="가"), left_out(2, group_id="나")
    papers = [known, record(3, group_id="가"), record(4, group_id="나"), empty]
    said = [
        f"{quoted}\n{known.answer}",
        f"{quoted}\n{ABSTENTION}",
        f"{QUOTE_BEGIN}310W {known.answer}",
        ABSTENTION,
    ]
    none = [left_out(n, group_id=g) for n, g in enumerate("가가나나")]
    exams = {"top 3": papers, "without": none, "changed 3": papers}
    answers = {"top 3": said, "without": [ABSTENTION, "310W", "5W", ABSTENTION], "changed 3": said}
    scores = score_exams(exams, answers)
    assert scores["value@3"] == scores["changed@3"] == scores["exact_match"] == [[1, 2], [0, 1]]
    assert scores["right@3"] == [[1, 2], [1, 2]]
    assert scores["abstention"] == [[1, 2], [1, 2]] and scores["false_abstention"] == [[1, 2], [0, 1]]
    assert scores["quotes"] == [[2, 2], [0, 0]]
    papers[0].context[:] = [OTHER, DOCUMENT.replace("310", "410")]
    assert score_exams(exams, answers)["quotes"] == [[1, 2], [0, 0]]


def test_what_stands_behind_the_reasoning():
    assert final_answer("문맥에 따르면 310W입니다.") == "문맥에 따르면 310W입니다."
    assert final_answer(f"가 {QUOTE_BEGIN}나{QUOTE_END} {QUOTE_BEGIN}다{QUOTE_END}\n라") == "라"
    assert final_answer(f"가 {QUOTE_BEGIN}310W입니다") == ""
    assert quotes_in(f"가 {QUOTE_BEGIN}나{QUOTE_END} {QUOTE_BEGIN}다{QUOTE_END}\n라") == ["나", "다"]


def row(profile, seed, good, changed=None, base=False):
    """A row in which ``good`` of ten questions are right with each of seven products."""
    counts = [[good, 10]] * 7
    names = [f"{kind}@{k}" for kind in ("right", "value") for k in recipes.KS]
    scores = dict.fromkeys(
        [*names, "abstention", "false_abstention", "exact_match", "changed@3", "changed@10"], counts
    )
    settings = {} if base else {"settings": settings_of(with_settings(profile, changed or {}))}
    return settings | {
        "seed": seed, "scores": scores | {"quotes": [[good, 10 * bool(changed)]] * 7},
        "answer_tokens": 9.0, "answer_seconds": 2.0, "training_seconds": 60.0,
    }  # fmt: skip


def test_tables_and_words_by_hand():
    rows = [
        row(TINY, 1, 8), row(TINY, 2, 6), row(TINY, 1, 9, {"golden_probability": 0.6}),
        row(TINY, 2, 5, {"golden_probability": 1.0}), row(TINY, 1, 3, {"num_distractors": (1, 4)}),
        row(TINY, 1, 1, GOLDEN_ALONE), row(TINY, 1, 0, base=True), row(TINY, 1, 2, {"lora_r": 8, "golden_probability": 0.6}),
    ]  # fmt: skip
    view = VIEWS["golden_probability"]
    table = view_table(rows, TINY, view)
    assert list(table.index) == ["0.6", "0.8 (프로파일)", "1"]  # the one with two changes is not among them
    assert table["바르게 답 없음"].tolist() == ["0.900", "0.700", "0.500"]
    # Over the seeds that both have: .9 against .8, and .5 against .6.
    assert table["바르게 답 없음의 차이"].tolist() == [
        "+0.100 (+0.100 ~ +0.100)",
        "–",
        "-0.100 (-0.100 ~ -0.100)",
    ]
    told = view_verdict(rows, TINY, view).splitlines()
    assert told[0] == "바르게 답 없음: 나아짐 0.6(+0.100); 나빠짐 1(-0.100)"
    assert told[1] == "잘못 답 없음 ↓: 나아짐 1(-0.100); 나빠짐 0.6(+0.100)"  # what should be low
    assert list(view_table(rows, TINY, VIEWS["num_distractors"]).index) == [
        BASE_NAME,
        GOLDEN_NAME,
        "2 (프로파일)",
        "1~4",
    ]
    assert view_table(rows, TINY, VIEWS["add_cot"]) is None
    whole = recipe_table(rows, TINY)
    order = list(whole.index)
    assert (order[0], order[-1]) == ("golden_probability=0.6", BASE_NAME)
    assert "golden_probability=0.6, lora_r=8" in {", ".join(sorted(name.split(", "))) for name in whole.index}
    assert whole.loc["프로파일 그대로", "평균"] == "0.700"


def test_the_command_line_and_its_page(made, profile, monkeypatch, tmp_path):
    assert recipe.option("num_distractors=2,1-4") == ("num_distractors", [2, (1, 4)])
    assert recipe.option("learning_rate=1e-3,2e-3") == ("learning_rate", [1e-3, 2e-3])
    assert recipe.option("add_cot=1,off") == ("add_cot", [True, False]) and recipe.option("lora_r=8")[1] == [
        8
    ]
    for wrong in ("seed=1", "lora_r", "lora_r=", "lora_r=big"):
        with pytest.raises(ArgumentTypeError, match="읽을 수 없습니다"):
            recipe.option(wrong)
    one = recipe.cells(TINY, recipe.PLAN)
    assert one[:3] == [BASE, {}, GOLDEN_ALONE] and all(len(changed) == 1 for changed in one[3:])
    crossed = recipe.cells(TINY, {"lora_r": [8, 16], "golden_probability": [0.6, 0.9]}, cross=True)
    assert len(crossed) == 3 + 4 and crossed[-1] == {"lora_r": 16, "golden_probability": 0.9}
    said = {}
    monkeypatch.setattr(recipe, "active_profile", lambda: profile)
    monkeypatch.setattr(recipe, "write_section", lambda name, text: said.update({name: text}))
    recipe.main(["--report", "--rows", str(made[4])])
    assert (
        BASE_NAME in said["recipe"]
        and "num_distractors=1~2" in said["recipe"]
        and "None" not in said["recipe"]
    )
    with pytest.raises(SystemExit, match="잰 행이 없습니다"):
        recipe.main(["--report", "--rows", str(tmp_path / "none.jsonl")])


def test_the_notebook_reads_the_rows_or_says_how_to_make_them(made, profile, tmp_path):
    table, told = recipe_view(profile, "num_distractors", tmp_path / "none.jsonl")
    assert table is None and told.endswith("WORKSHOP_PROFILE=tiny .venv/bin/python -m benchmarks.recipe")
    table, told = recipe_view(profile, "num_distractors", made[4])
    assert list(table.index) == [BASE_NAME, "2 (프로파일)"]  # the third row has two changes
    assert told.startswith("프로파일의 값(2)과 견주어\nk=3: ") and told.count("\n") == 2


def test_what_is_kept_beside_the_docs_can_be_read():
    if recipes.ROWS.exists():
        rows = [json.loads(line) for line in recipes.ROWS.read_text(encoding="utf-8").splitlines()]
        assert all({"conditions", "seed", "scores"} <= set(row) for row in rows)
