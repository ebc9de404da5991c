"""The command that measures a card, as it runs without one: small, and nothing of it gets onto the page."""

from __future__ import annotations

import gc
import importlib.util
import weakref
from dataclasses import replace

import pytest
import torch

from benchmarks import gpu, true_shape
from benchmarks.random_weights import random_model
from src.qlora import MODELS, PHASES, estimate_vram
from src.qlora.memory import TERMS
from src.qlora.registry import ModelShape

SHORT = replace(gpu.ON_CPU, max_seq_length=96, max_new_tokens=8, batch_size=2, gradient_accumulation_steps=1)
SMALLER = ModelShape(2, 128, 320, 4, 2, 32, 3000, tied=False)


@pytest.fixture
def live_bases(monkeypatch):
    """Bases that were still alive when another was loaded."""
    alive, loaded = [], []

    def load(*args, **kwargs):
        gc.collect()
        alive.append(sum(base() is not None for base in loaded))
        base = load_base_model(*args, **kwargs)
        loaded.append(weakref.ref(base))
        return base

    load_base_model = gpu.load_base_model
    monkeypatch.setattr(gpu, "load_base_model", load)
    return alive


def measured(profile):
    with random_model(profile, SMALLER) as made:
        found = gpu.measure(made)
        told = {phase: estimate_vram(made, phase)["total"] for phase in PHASES}
        return found, told, gpu.report(made, found, [])


def test_every_row_is_measured_and_beside_its_estimate(live_bases):
    found, told, text = measured(SHORT)
    assert live_bases == [0, 0, 0]
    assert found.memory.keys() == {gpu.LOADED, *PHASES.values()}
    for phase, gib in told.items():
        estimated, peak = found.memory[PHASES[phase]]
        assert estimated == gib and 0.6 * gib < peak < 1.6 * gib, phase
    estimated, loaded = found.memory[gpu.LOADED]
    assert loaded == pytest.approx(estimated, rel=1e-3)  # constants come in whole blocks
    # Longer records and prompts: every phase but the weights themselves is measured anew.
    longer, _, _ = measured(replace(SHORT, max_seq_length=384))
    assert longer.memory[gpu.LOADED][1] == loaded
    for name in PHASES.values():
        assert longer.memory[name][1] > found.memory[name][1] > loaded, name
    assert {gpu.OURS, gpu.ANSWERING} <= found.speed.keys() and min(found.speed.values()) > 0
    assert 0 < found.logits["relative_error"] < 0.05 and found.logits["same_token"] > 0.9
    guests = {gpu.TRL: "trl", gpu.UNSLOTH: "unsloth"}
    absent = [name for name, module in guests.items() if not importlib.util.find_spec(module)]
    assert [line.split(":")[0] for line in found.missing] == [name.split(":")[0] for name in absent]
    for _, peak in found.memory.values():
        assert f" {peak * 1024:.2f} |" in text


def test_what_fails_is_said_and_the_others_go_on(monkeypatch):
    def fails(model, profile, phase):
        raise torch.OutOfMemoryError("CUDA out of memory.\nGPU 0 has …")

    monkeypatch.setattr(gpu, "answer", fails)
    found, _, text = measured(SHORT)
    assert not found.memory.keys() & {PHASES["answering"], PHASES["few_shot"], PHASES["open_book"]}
    assert {PHASES["training"], PHASES["parity"]} <= found.memory.keys()
    assert f"{PHASES['answering']}: 재지 못했습니다. CUDA out of memory." in text
    assert gpu.ANSWERING not in found.speed


@pytest.mark.skipif(torch.cuda.is_available(), reason="a card is measured for the page")
def test_without_a_card_the_page_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "ON_CPU", SHORT)
    monkeypatch.setattr(gpu, "SMALL", SMALLER)
    monkeypatch.setattr(gpu, "write_section", lambda *_: pytest.fail("a CPU was written down as a card"))
    gpu.main()
    text = capsys.readouterr().out
    assert "카드에서 잰 것이 아닙니다" in text and "쓰지 않았습니다" in text
    page = gpu.PAGE.read_text(encoding="utf-8")
    section = page.split("<!-- gpu: begin -->")[1].split("<!-- gpu: end -->")[0]
    assert "아직 어떤 카드에서도 재지 않았습니다" in section and "|" not in section
    assert not [key for key in MODELS if key.startswith("random-weights")]


# --- the true shape on a CPU -----------------------------------------------------------------------------------


def test_logits_are_told_from_other_tensors():
    with true_shape.Kinds(vocab=10) as meter:
        logits = torch.ones(4, 10)
        rest = torch.ones(8, 8)
        logits = logits.sum()  # gone when most lies in memory
        more = torch.ones(8, 8)
    assert meter.most_logits == 160 and meter.logits_at_peak == 0 and meter.logits == 0
    assert meter.peak == rest.nbytes + more.nbytes + logits.nbytes


def test_a_small_model_goes_the_way_of_the_true_one(live_bases, monkeypatch):
    monkeypatch.setattr(true_shape, "load_base_model", gpu.load_base_model)  # the one that watches
    profile, shape = replace(true_shape.PROFILE, max_seq_length=384), replace(gpu.SMALL, vocab=1200)
    with random_model(profile, shape) as made:
        found = true_shape.measure(made, 256)
        text = true_shape.report(made, 256, shape, found)
    assert live_bases == [0, 0] and found.difference == 0
    assert not torch.is_autocast_enabled("cuda")
    assert {term for _, term, _, _ in found.terms} == TERMS.keys()
    for phase, term, told, counted in found.terms:
        assert counted == pytest.approx(told, rel=0.1), (phase, term)
        assert f"| {phase} | {TERMS[term]} |" in text
    for name, (_, gib) in found.stages.items():
        assert gib > 0 and f"| {name} |" in text


def test_what_misses_its_target_is_said_to():
    near, far = ("학습", "gradients", 1.0, 1.05), ("답하기", "cache", 1.0, 0.8)
    for terms, most, missed in (([near], 11, 0), ([near, far], 11, 1), ([near], 13, 1), ([near, far], 13, 2)):
        found = true_shape.Found(terms, {"학습": (1.0, most)}, 0.0)
        text = true_shape.report(true_shape.PROFILE, 256, gpu.SMALL, found)
        assert text.count("이르지 못함") == missed
    assert "답하기의 키와 값의 캐시이고 -20.0%" in text
