"""Training without distractors: the same recipe, a second adapter beside the first, never a second base."""

from __future__ import annotations

from dataclasses import replace

from live_models import loaded_models

from src.experiments.golden_only import (
    GOLDEN_ONLY,
    golden_only_profile,
    golden_only_records,
    load_both_adapters,
)
from src.pipeline import save_clean_records, train_adapter
from src.profiles import ROOT
from src.raft.answers import ABSTENTION

DOCUMENTS = [f"모델 {i}의 소비 전력은 {100 + 7 * i}W입니다." for i in range(8)]


def test_golden_only_is_the_same_recipe_without_distractors(tiny_profile):
    golden = golden_only_profile(tiny_profile)
    changed = {name for name in vars(tiny_profile) if getattr(tiny_profile, name) != getattr(golden, name)}
    assert changed == {"num_distractors", "golden_probability", "bleu_records"}
    assert (golden.num_distractors, golden.golden_probability) == (0, 1.0)


def test_a_second_adapter_stands_beside_the_first(tiny_profile, tmp_path, monkeypatch):
    import torch

    from src.data.splitting import pick
    from src.pipeline import load_records, load_tuned_model
    from src.qlora.adapters import logits_of

    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    rows = (ROOT / "data/raw/support_qa.jsonl").read_text(encoding="utf-8").splitlines()[:150]
    (tmp_path / "few.jsonl").write_text("\n".join(rows), encoding="utf-8")
    profile = replace(
        tiny_profile,
        data_files=(str(tmp_path / "few.jsonl"),),
        epochs=1,
        max_seq_length=640,
        max_validation_records=4,
        eval_steps=2,
    )
    raft = load_records(profile)
    few = {"train": pick(raft["train"], 8, 0), "validation": pick(raft["validation"], 4, 0), "test": []}
    save_clean_records(profile, few, [])
    golden = golden_only_records(profile)
    for split in ("train", "validation"):
        assert sorted(r.id for r in golden[split]) == sorted(r.id for r in few[split])
        assert all(len(r.context) == 1 and r.answerable and not r.answer == ABSTENTION for r in golden[split])
    originals = {r.id: r for r in few["train"] if r.answerable}
    assert originals and all(
        r.context[0] == originals[r.id].context[originals[r.id].golden_index]
        for r in golden["train"]
        if r.id in originals
    )

    train_adapter(profile, few)
    with loaded_models() as loaded:
        model = load_both_adapters(profile)
    assert len(loaded) == 2  # one to train on and one to answer with, never both at once
    assert model.active_adapter == "default" and set(model.peft_config) == {"default", GOLDEN_ONLY}
    ids = torch.arange(20)[None]
    first = logits_of(model, ids)
    assert torch.equal(first, logits_of(load_tuned_model(profile), ids))
    model.set_adapter(GOLDEN_ONLY)
    second = logits_of(model, ids)
    assert not torch.equal(second, first)
    log = profile.artifacts_dir / GOLDEN_ONLY / "training_log.json"
    stamp = log.stat().st_mtime_ns
    del model
    again = load_both_adapters(profile)  # a second time it is read, not trained
    again.set_adapter(GOLDEN_ONLY)
    assert torch.equal(logits_of(again, ids), second) and log.stat().st_mtime_ns == stamp
