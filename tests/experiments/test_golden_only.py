"""Training without distractors: the same recipe, a second adapter beside the first, memory said beforehand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from src.experiments.golden_only import (
    GOLDEN_ONLY,
    add_golden_only,
    golden_only_profile,
    golden_only_records,
    train_golden_only,
)
from src.pipeline import save_clean_records
from src.profiles import ROOT
from src.qlora.memory import GIB, estimate_vram
from src.raft.answers import ABSTENTION

DOCUMENTS = [f"모델 {i}의 소비 전력은 {100 + 7 * i}W입니다." for i in range(8)]


def test_memory_is_spoken_of_only_where_it_will_not_do(tiny_profile, monkeypatch, capsys):
    import torch

    from src.experiments import golden_only

    need = estimate_vram(tiny_profile, seq_length=7)["total"]
    trained = []
    row = SimpleNamespace(n_tokens=7)
    monkeypatch.setattr(
        golden_only, "golden_only_records", lambda profile: {"train": [row], "validation": []}
    )
    monkeypatch.setattr(golden_only, "train_adapter", lambda *args, **options: trained.append(options))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    for cuda, free, spoken in ((True, need * 0.9, True), (True, need * 1.1, False), (False, 0, False)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (int(free * GIB), 10**12))
        train_golden_only(tiny_profile)
        printed = capsys.readouterr().out
        assert ("golden_only.train_golden_only(profile)" in printed) == spoken == bool(printed)
    assert [options["output_dir"] for options in trained] == [tiny_profile.artifacts_dir / GOLDEN_ONLY] * 3


def test_golden_only_is_the_same_recipe_without_distractors(tiny_profile):
    golden = golden_only_profile(tiny_profile)
    changed = {name for name in vars(tiny_profile) if getattr(tiny_profile, name) != getattr(golden, name)}
    assert changed == {"num_distractors", "golden_probability", "bleu_records"}
    assert (golden.num_distractors, golden.golden_probability) == (0, 1.0)


def test_a_second_adapter_stands_beside_the_first(tiny_profile, nf4_base, tmp_path, monkeypatch):
    import torch

    from src.data.splitting import pick
    from src.pipeline import load_records
    from src.qlora.adapters import attach_adapter

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

    model = attach_adapter(nf4_base, profile).eval()
    ids = torch.arange(20)[None]
    first = logits(model, ids)
    add_golden_only(model, profile)
    assert model.active_adapter == "default" and set(model.peft_config) == {"default", GOLDEN_ONLY}
    assert torch.equal(logits(model, ids), first)
    model.set_adapter(GOLDEN_ONLY)
    second = logits(model, ids)
    assert not torch.equal(second, first)
    log = profile.artifacts_dir / GOLDEN_ONLY / "training_log.json"
    stamp = log.stat().st_mtime_ns
    again = add_golden_only(attach_adapter_again(profile), profile)  # a second time it is read, not trained
    again.set_adapter(GOLDEN_ONLY)
    assert torch.equal(logits(again, ids), second) and log.stat().st_mtime_ns == stamp


def logits(model, ids):
    import torch

    with torch.no_grad():
        return model(ids).logits


def attach_adapter_again(profile):
    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model

    return attach_adapter(
        load_base_model(profile, quantization_config=build_bnb_config(profile)), profile
    ).eval()
