"""The estimate against known values and a real step, the settings that follow from it, and the advice."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.profiles import PROFILES
from src.qlora.fitting import SHORTEST, explain_out_of_memory, fit_settings
from src.qlora.memory import GIB, RESERVED_GIB, TERMS, estimate_vram, lora_parameter_count, model_table
from src.qlora.registry import MODELS, model_shape

BIG = PROFILES["rtx4090"]
HUB = [key for key, spec in MODELS.items() if not spec.local]
profiles = st.builds(
    lambda **fields: replace(BIG, **fields),
    model=st.sampled_from(HUB),
    batch_size=st.integers(1, 16),
    gradient_accumulation_steps=st.integers(1, 8),
    max_seq_length=st.sampled_from([1024, 2048, 4096]),
    gradient_checkpointing=st.booleans(),
    lora_r=st.sampled_from([4, 16, 64]),
    optim=st.sampled_from(["paged_adamw_8bit", "adamw_torch"]),
)


def effective(profile) -> int:
    return profile.batch_size * profile.gradient_accumulation_steps


def test_lora_parameter_count():
    assert lora_parameter_count(4096, 4096, 8) == 65_536
    assert lora_parameter_count(4096, 14336, 16) == 294_912


def test_known_terms():
    terms = estimate_vram(BIG)
    blocks = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)
    others = 2 * 102400 * 4096 + 65 * 4096
    assert terms["weights"] * GIB == pytest.approx(blocks / 2 + others * 4)
    assert terms["adapters"] * GIB == pytest.approx(41_943_040 * 4)
    assert terms["optimizer"] * GIB == pytest.approx(41_943_040 * 2)
    assert terms["activations"] * GIB == pytest.approx(32 * 8192 * 4096 * 4)  # one fp32 input a block
    assert terms["logits"] * GIB == pytest.approx(8192 * 102400 * 12 + 102400 * 4096 * 2)
    single = estimate_vram(BIG, double_quant=False)
    saved_bits = (single["quantization_constants"] - terms["quantization_constants"]) * GIB * 8 / blocks
    assert saved_bits == pytest.approx(0.373, abs=0.001)
    assert estimate_vram(BIG, quantized=False)["weights"] * GIB == pytest.approx((blocks + others) * 2)
    assert estimate_vram(BIG, batch_size=1, seq_length=512) == estimate_vram(
        replace(BIG, batch_size=1, max_seq_length=512)
    )


@given(profile=profiles, quantized=st.booleans())
def test_terms_add_up_and_grow_with_batch_length_and_rank(profile, quantized):
    terms = estimate_vram(profile, quantized=quantized)
    assert list(terms) == [*TERMS, "total"] and min(terms.values()) >= 0
    assert terms["total"] == pytest.approx(sum(terms[name] for name in TERMS))
    for more in (
        {"batch_size": profile.batch_size + 1},
        {"max_seq_length": profile.max_seq_length + 64},
        {"lora_r": 2 * profile.lora_r},
    ):
        assert estimate_vram(replace(profile, **more), quantized=quantized)["total"] > terms["total"]
    kept = replace(profile, gradient_checkpointing=False)
    assert terms["total"] <= estimate_vram(kept, quantized=quantized)["total"]
    assert estimate_vram(profile)["weights"] < estimate_vram(profile, quantized=False)[
        "weights"
    ] or profile.model in {
        "qwen3-0.6b"  # half of it is embeddings, which NF4 preparation widens to fp32
    }


def peak_of_a_step(profile) -> int:
    """Bytes of tensors that one forward and backward pass hold at once, beyond the model, as torch counts them."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model

    model = load_base_model(profile, quantization_config=build_bnb_config(profile))
    model = attach_adapter(model, profile).train()
    ids = torch.randint(5, 300, (profile.batch_size, profile.max_seq_length))
    with profiler(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids).loss
        loss.backward()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = torch.tensor([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]).cumsum(0)
    return held.max().item()


@pytest.mark.parametrize(
    ("vocabulary", "checkpointing"),
    [(6000, True), (6000, False), (600, True), (600, False)],
    ids=["logits", "logits, all blocks kept", "a block recomputed", "the last block"],
)
def test_estimate_is_what_a_step_really_holds(tmp_path, monkeypatch, vocabulary, checkpointing):
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=896,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    monkeypatch.setitem(MODELS, "middle", replace(MODELS["tiny"], key="middle", source=str(tmp_path)))
    profile = replace(
        PROFILES["tiny"],
        model="middle",
        lora_r=4,
        lora_dropout=0.0,  # a CPU keeps dropout masks wider than a GPU does
        batch_size=4,
        max_seq_length=384,
        gradient_checkpointing=checkpointing,
    )
    terms = estimate_vram(profile)
    expected = (terms["gradients"] + terms["activations"] + terms["logits"]) * GIB
    assert peak_of_a_step(profile) == pytest.approx(expected, rel=0.1)


# --- settings for a card ---------------------------------------------------------------------------------------


def test_the_ladder_of_cards():
    found = {gib: fit_settings(BIG, gib)[0] for gib in (24, 16, 12)}
    assert found[24] == BIG
    assert {gib: (p.batch_size, p.max_seq_length, p.model) for gib, p in found.items()} == {
        24: (4, 2048, BIG.model),
        16: (2, 2048, BIG.model),
        12: (1, 1536, BIG.model),
    }
    assert found[12].max_context_tokens == BIG.max_context_tokens - 512
    assert (found[16].eval_batch_size, found[16].generation_batch_size) == (2, 8)


@given(profile=profiles, gib=st.floats(5, 96))
def test_proposed_settings_fit_and_keep_the_effective_batch(profile, gib):
    try:
        found, lines = fit_settings(profile, gib)
    except ValueError as error:
        assert "찾지 못했습니다" in str(error)
        return
    assert estimate_vram(found)["total"] <= gib - RESERVED_GIB
    assert effective(found) == effective(profile)
    assert found.max_seq_length >= min(profile.max_seq_length, SHORTEST)
    assert model_shape(MODELS[found.model]).parameters <= model_shape(MODELS[profile.model]).parameters
    assert (found == profile) == (estimate_vram(profile)["total"] <= gib - RESERVED_GIB) == (len(lines) == 1)
    text = "\n".join(lines)
    for name in ("batch_size", "max_seq_length", "optim", "gradient_checkpointing", "model"):
        assert (re.search(rf"(?<![a-z_]){name}(?![a-z_])", text) is not None) == (
            getattr(found, name) != getattr(profile, name)
        )
    assert f"{estimate_vram(found)['total']:.1f} GiB" in lines[-1]


@given(profile=profiles, gib=st.floats(8, 64))
def test_a_larger_card_never_gets_a_smaller_model(profile, gib):
    small, large = (fit_settings(profile, size)[0] for size in (gib, gib + 4))
    sizes = [model_shape(MODELS[p.model]).parameters for p in (small, large)]
    assert sizes[0] <= sizes[1] or small.model.split("-")[0] == profile.model.split("-")[0]
    if small.model == large.model:
        assert small.batch_size * small.max_seq_length <= large.batch_size * large.max_seq_length


def test_a_smaller_model_is_named_with_its_licence():
    found, lines = fit_settings(BIG, 8)
    assert found.model == "exaone-3.5-2.4b"  # the same family first
    assert "답의 품질이 달라집니다" in "".join(lines) and MODELS[found.model].licence in "".join(lines)


def test_no_card_is_too_small_for_tiny_and_every_profile_has_a_floor():
    tiny = PROFILES["tiny"]
    assert fit_settings(tiny, 2.5)[0] == tiny
    with pytest.raises(ValueError, match="tiny 프로파일"):
        fit_settings(BIG, 2)


# --- out of memory ---------------------------------------------------------------------------------------------


def test_advice_names_this_run_and_the_change_that_saves_most():
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.12 GiB.\nGPU 0 has …")
    text = explain_out_of_memory(BIG, error)
    assert "배치 4 × 누적 4, 길이 2048토큰" in text
    assert f"{estimate_vram(BIG)['total']:.2f} GiB" in text and "로짓" in text
    first = re.search(r"^1\. (.*)$", text, flags=re.MULTILINE).group(1)
    assert "batch_size 4 → 2, gradient_accumulation_steps 4 → 8" in first
    assert "CUDA out of memory. Tried to allocate 3.12 GiB." in text and "GPU 0 has" not in text
    assert "자동으로 바꾸지 않았습니다" in text


@given(profile=profiles)
def test_advice_is_ordered_by_what_it_saves_and_marks_what_changes_learning(profile):
    text = explain_out_of_memory(profile, RuntimeError())
    assert text.endswith("RuntimeError")
    options = re.findall(
        r"^\d+\. (\[학습 결과가 달라집니다\] )?.*→ ([\d.]+) GiB\)$", text, flags=re.MULTILINE
    )
    for marked in (False, True):
        totals = [float(total) for mark, total in options if bool(mark) is marked]
        assert totals == sorted(totals)
        assert all(total <= round(estimate_vram(profile)["total"], 2) for total in totals)
    assert [bool(mark) for mark, _ in options] == sorted(bool(mark) for mark, _ in options)
    for before, after in re.findall(r"gradient_accumulation_steps (\d+) → (\d+)", text):
        sizes = re.search(r"batch_size (\d+) → (\d+)", text).groups()
        assert int(sizes[0]) * int(before) == int(sizes[1]) * int(after) == effective(profile)
    for line in text.splitlines():
        assert "학습 결과" in line or not re.search(r"\d\. .*(max_seq_length|model을)", line)


def test_a_run_that_cannot_be_made_smaller_still_gets_its_numbers():
    profile = replace(BIG, model="qwen3-0.6b", batch_size=1, max_seq_length=SHORTEST, max_context_tokens=512)
    text = explain_out_of_memory(profile, MemoryError())
    assert "도움이 큰 순서" not in text and "Qwen/Qwen3-0.6B" in text


def test_model_table_has_every_model_with_licence_revision_and_memory():
    table = model_table(BIG).set_index("키")
    assert list(table.index) == list(MODELS)
    assert table.loc["exaone-3.0-7.8b", "리비전"] == "고정하지 않음"
    assert table.loc["qwen3-8b", "리비전"] == MODELS["qwen3-8b"].revision[:12]
    assert table.loc[BIG.model, "학습 메모리(GiB, 어림)"] == round(estimate_vram(BIG)["total"], 1)
