"""One change at a time, its cost beside its effect, and the choice by validation alone."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from live_models import live_layers, loaded_models

from src.data.schemas import RaftRecord
from src.evaluation.results import Comparison, Difference
from src.experiments.log import read_experiments
from src.experiments.sweeps import SWEPT, Run, best_run, save_card, sweep, sweep_table, variants
from src.profiles import PROFILES


def test_never_two_changes_at_once():
    base = PROFILES["tiny"]
    options = {name: [getattr(base, name), getattr(base, name) * 2 + 1] for name in SWEPT}
    made = variants(base, options)
    assert len(made) == len(SWEPT)  # the profile's own values are the baseline, not a run
    for name, changed in made:
        moved = {f.name for f in fields(base) if getattr(base, f.name) != getattr(changed, f.name)}
        field = name.split("=")[0]
        assert moved == ({field, "lora_alpha"} if field == "lora_r" else {field})


def test_the_rank_keeps_alpha_over_r():
    ((_, changed),) = variants(PROFILES["tiny"], {"lora_r": [4]})
    assert (changed.lora_r, changed.lora_alpha) == (4, 8)


def test_an_option_that_is_no_setting_is_named():
    with pytest.raises(ValueError, match="seeds"):
        variants(PROFILES["tiny"], {"seeds": [1]})


def run(name, loss, rouge):
    return Run(name, PROFILES["tiny"], {"best_eval_loss": loss, "rougeL": rouge}, None)


def test_the_choice_is_made_by_validation_loss():
    assert best_run([run("a", 0.7, 0.9), run("b", 0.6, 0.1), run("c", 0.6, 0.2)]).name == "b"


@pytest.fixture(scope="module")
def swept(tiny_profile, records_of, tmp_path_factory):
    from src import pipeline

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_OUTPUTS", str(tmp_path_factory.mktemp("sweep")))
        profile = replace(tiny_profile, epochs=1, bleu_records=0, data_files=("mine.csv",))
        folder = profile.output_dir / "custom"
        alive = live_layers()
        with loaded_models() as loaded:  # each is gone before the next one comes
            log = pipeline.train_adapter(profile, records_of, output_dir=folder / "first")
            options = {"lora_r": [2], "epochs": [2]}
            runs = sweep(Run("기준", profile, log, folder / "first"), options, records_of, {"sha256": "abc"})
            again = sweep(runs[0], {"lora_r": [2]}, records_of, {"sha256": "abc"})
            assert len(loaded) == 4 and live_layers() <= alive
        yield runs, again, read_experiments(profile.output_dir)


@pytest.fixture(scope="module")
def records_of():
    rows = [
        RaftRecord(
            id=f"r{i}", instruction="문맥만 근거로 답하세요.", context=[f"모델 {i}의 전력은 {100 + 7 * i}W입니다."],
            question=f"모델 {i}의 전력은?", answer=f"문맥에 따르면 {100 + 7 * i}W입니다.", group_id=f"g{i}",
            golden_index=0, answerable=True, n_tokens=0, seed=0,
        )
        for i in range(12)
    ]  # fmt: skip
    return {"train": rows[:8], "validation": rows[8:], "test": []}


def test_a_sweep_leaves_adapters_rows_and_costs(swept):
    runs, again, logged = swept
    assert [r.name for r in runs] == ["기준", "lora_r=2", "epochs=2"]
    assert all((r.folder / "adapter" / "adapter_model.safetensors").exists() for r in runs)
    assert all(list((r.folder / "runs").rglob("events.out.tfevents.*")) for r in runs)  # TensorBoard, always
    config = json.loads((runs[1].folder / "adapter" / "adapter_config.json").read_text())
    assert config["r"] == 2 and runs[1].log["trainable_parameters"] * 4 == runs[0].log["trainable_parameters"]
    assert runs[2].log["steps"] == 2 * runs[0].log["steps"]
    table = sweep_table(runs)
    assert (table["초"] > 0).all() and (table["최대 메모리(GiB)"] > 0.1).all()
    assert table["검증 손실"].notna().all()
    # The second sweep repeated an experiment: the same loss, and no second row.
    assert again[1].log["best_eval_loss"] == runs[1].log["best_eval_loss"]
    assert logged["remark"].tolist() == ["lora_r=2만 바꿈", "epochs=2만 바꿈"]
    assert logged["data.sha256"].tolist() == ["abc"] * 2 and logged["data.train_records"].tolist() == [8, 8]
    assert logged["peak_memory_gib"].min() > 0.1 and logged["minutes"].notna().all()


def test_the_card_says_where_the_data_came_from(swept):
    comparison = Comparison(7, {"rougeL": Difference("rougeL", 0.1, 0.4, 0.3, (0.2, 0.5), 0.01)})
    path = save_card(swept[0][1], comparison, source="도서관", licence="CC BY 4.0")
    card = path.read_text(encoding="utf-8")
    assert (
        "도서관; CC BY 4.0" in card
        and "mine.csv" in card
        and "r=2" in card
        and "| ROUGE-L | 0.100 | 0.400 |" in card
    )
