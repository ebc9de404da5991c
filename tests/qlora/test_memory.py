"""The estimate against known values and a real step, the settings that follow from it, and the advice."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.profiles import PROFILES
from src.qlora.fitting import SHORTEST, explain_out_of_memory, fit_settings
from src.qlora.memory import (
    GIB,
    PHASES,
    RESERVED_GIB,
    TERMS,
    answering_tokens,
    estimate_vram,
    fits_whole,
    lora_parameter_count,
    model_table,
    needed_vram,
)
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
    assert terms["weights"] * GIB == pytest.approx(blocks / 2 + others * 2)
    assert terms["adapters"] * GIB == pytest.approx(41_943_040 * 4)
    assert terms["optimizer"] * GIB == pytest.approx(41_943_040 * 2)
    # Going back through a block: each block's input; adapters' inputs and what was dropped, attention, norms, gate and
    # up of one; gradients.
    inside = 3 * (6 * 4096 + 14336) + 2 * 4096 + 2 * 3 * 4096 + 8 * 4096 + 6 * 14336
    boundaries, back = 32 * 2 * 4096, 2 * (2 * 14336 + 4096)
    assert terms["activations"] * GIB == pytest.approx(8192 * (boundaries + inside + back))
    assert terms["logits"] == 0  # smaller, and gone by then
    answering = estimate_vram(BIG, "answering")
    rows = answering_tokens(BIG) // 2048
    assert answering["cache"] * GIB == rows * 2048 * 32 * 2 * 1024 * 2  # 128 KiB a token
    assert answering["logits"] * GIB == rows * 102400 * (2 + 8)  # of the last position alone
    single = estimate_vram(BIG, double_quant=False)
    saved_bits = (single["quantization_constants"] - terms["quantization_constants"]) * GIB * 8 / blocks
    assert saved_bits == pytest.approx(0.373, abs=0.001)
    assert estimate_vram(BIG, quantized=False)["weights"] * GIB == pytest.approx((blocks + others) * 2)
    assert estimate_vram(BIG, batch_size=1, seq_length=512) == estimate_vram(
        replace(BIG, batch_size=1, max_seq_length=512)
    )
    with pytest.raises(ValueError, match="단계는 없습니다"):
        estimate_vram(BIG, "학습")


def test_the_true_shape_as_it_was_counted():
    """GiB of tensors of the 7.8B shape in NF4 on a CPU: in 2026 all 32 layers, then two of them."""
    terms = estimate_vram(BIG)
    step = replace(
        BIG, lora_dropout=0.0, optim="adamw_torch", batch_size=1, max_seq_length=256, max_new_tokens=32
    )
    counted = {"gradients": 0.15625, "optimizer": 0.3125, "activations": 0.2267, "logits": 0}
    told = estimate_vram(step)
    assert {name: told[name] for name in counted} == pytest.approx(counted, rel=0.01)
    assert terms["weights"] == pytest.approx(3.250 + 3.126 / 2, abs=0.002)  # the rest was counted in fp32
    assert terms["quantization_constants"] == pytest.approx(0.103, abs=0.001)
    assert terms["adapters"] == pytest.approx(0.156, abs=0.001)
    with pytest.MonkeyPatch.context() as patch:
        two = replace(MODELS[BIG.model], shape=replace(MODELS[BIG.model].shape, layers=2))
        patch.setitem(MODELS, "two", two)
        profile = replace(BIG, model="two", lora_dropout=0.0, batch_size=1)
        for length, new, counted in ((256, 32, 0.172), (256, 128, 0.301)):
            step = estimate_vram(replace(profile, max_new_tokens=new, max_seq_length=length))
            assert step["gradients"] + step["activations"] + step["logits"] == pytest.approx(counted, rel=0.1)
        read = estimate_vram(profile, "answering", batch_size=1, seq_length=1735)
        assert read["cache"] + read["activations"] + read["logits"] == pytest.approx(0.255, rel=0.1)
        shown = estimate_vram(profile, "few_shot", batch_size=1, seq_length=2048)
        assert shown["activations"] == pytest.approx(0.718, rel=0.01)  # without adapter
        assert shown["cache"] == pytest.approx(0.0469, rel=0.01)
        assert shown["logits"] == pytest.approx(0.000954, rel=0.01)  # of two tokens


def test_the_large_profile_keeps_its_promise():
    """A step at 4 × 4 × 2,048 in 14 GiB, every phase in 16, and what a 16 GB card computes leaves CUDA its share."""
    assert (BIG.batch_size, BIG.gradient_accumulation_steps, BIG.max_seq_length) == (4, 4, 2048)
    totals = {phase: estimate_vram(BIG, phase)["total"] for phase in PHASES}
    assert totals["training"] <= 14 and max(totals.values()) <= 16
    assert needed_vram(BIG) == (PHASES["training"], totals["training"] + RESERVED_GIB)
    assert (
        needed_vram(BIG)[1] <= 12
    )  # notebook 00: QLoRA fits the smallest card drawn, LoRA in 16 bit the largest
    assert 16 < estimate_vram(BIG, quantized=False)["total"] + RESERVED_GIB <= 24


@given(profile=profiles, quantized=st.booleans())
def test_terms_add_up_and_grow_with_batch_length_and_rank(profile, quantized):
    terms = estimate_vram(profile, quantized=quantized)
    for phase in PHASES:
        found = estimate_vram(profile, phase, quantized=quantized)
        assert found.keys() <= {*TERMS, "total"} and min(found.values()) >= 0
        assert found["total"] == pytest.approx(sum(found[name] for name in TERMS if name in found))
    for more in (
        {"batch_size": profile.batch_size + 1},
        {"max_seq_length": profile.max_seq_length + 64},
        {"lora_r": 2 * profile.lora_r},
    ):
        assert estimate_vram(replace(profile, **more), quantized=quantized)["total"] > terms["total"]
    kept = replace(profile, gradient_checkpointing=False)
    assert terms["total"] <= estimate_vram(kept, quantized=quantized)["total"]
    assert estimate_vram(profile)["weights"] < estimate_vram(profile, quantized=False)["weights"]


@given(profile=profiles)
def test_answering_needs_no_more_than_training_but_for_a_single_row(profile):
    tokens, training = answering_tokens(profile), estimate_vram(profile)["total"]
    assert tokens >= profile.max_seq_length
    for phase in ("answering", "few_shot", "open_book"):
        longest = profile.max_seq_length * (1 + profile.few_shot_examples * (phase == "few_shot"))
        if tokens >= 2 * longest:
            assert estimate_vram(profile, phase)["total"] <= training
    assert needed_vram(profile)[1] >= training + RESERVED_GIB


SIZES = {  # two shapes whose ratios of width, depth and vocabulary have nothing in common
    "wide head": {"hidden_size": 256, "intermediate_size": 896, "num_hidden_layers": 3, "vocab_size": 6000},
    "deep": {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 6, "vocab_size": 600},
}


@pytest.fixture(params=SIZES)
def middle(request, tmp_path, monkeypatch):
    """A profile that computes in bf16, as on a card, on a random model of one of ``SIZES``."""
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = {"num_attention_heads": 8, "num_key_value_heads": 2, "tie_word_embeddings": False}
    LlamaForCausalLM(LlamaConfig(**SIZES[request.param], **heads)).save_pretrained(tmp_path)
    monkeypatch.setitem(MODELS, "middle", replace(MODELS["tiny"], key="middle", source=str(tmp_path)))
    return replace(
        PROFILES["tiny"],
        model="middle",
        compute_dtype="bfloat16",
        lora_r=4,
        lora_dropout=0.0,  # a CPU keeps dropout masks wider than a GPU does
        batch_size=4,
        max_seq_length=384,
        max_new_tokens=32,
        few_shot_examples=1,
        bleu_records=0,
    )


@pytest.fixture
def as_on_a_card():
    """PEFT asks whether autocast is on for CUDA before it trusts it: without it a CPU copies every input to fp32."""
    torch.set_autocast_enabled("cuda", True)
    yield
    torch.set_autocast_enabled("cuda", False)


def prepared(profile):
    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model

    return attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)


def test_weights_are_what_lies_in_memory(middle):
    terms, held = estimate_vram(middle), dict.fromkeys(("weights", "quantization_constants", "adapters"), 0)
    for name, parameter in prepared(middle).named_parameters():
        held["adapters" if "lora_" in name else "weights"] += parameter.nbytes
        if (state := getattr(parameter, "quant_state", None)) is not None:
            held["quantization_constants"] += state.absmax.nbytes + state.state2.absmax.nbytes
    assert {name: terms[name] * GIB for name in held} == held


@pytest.mark.parametrize(
    ("answer", "checkpointing"),
    [(384, True), (64, True), (64, False)],
    ids=["logits everywhere", "a block recomputed", "all blocks kept"],
)
def test_estimate_is_what_a_step_of_the_trainer_really_holds(
    middle, as_on_a_card, tmp_path, answer, checkpointing
):
    from datasets import Dataset

    from src.classroom.meters import TensorBytes
    from src.qlora.loading import load_tokenizer
    from src.training.build import build_trainer
    from src.training.labels import IGNORE

    profile = replace(middle, gradient_checkpointing=checkpointing, max_new_tokens=answer // 2)
    ids = torch.randint(5, 300, (profile.batch_size, profile.max_seq_length)).tolist()
    rows = Dataset.from_list(
        [
            {
                "input_ids": row,
                "attention_mask": [1] * len(row),
                "labels": [IGNORE] * (len(row) - answer) + row[-answer:],
            }
            for row in ids
        ]
    )
    trainer = build_trainer(
        prepared(profile), load_tokenizer(PROFILES["tiny"]), rows, rows, profile, tmp_path / "run"
    )
    model = trainer.accelerator.prepare_model(trainer.model).train()
    batch = trainer.data_collator(rows.to_list())
    with TensorBytes() as meter:
        trainer.compute_loss(model, batch).backward()
    terms = estimate_vram(profile)
    expected = (terms["gradients"] + terms["activations"] + terms["logits"]) * GIB
    assert meter.peak == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("phase", ["answering", "few_shot", "open_book"])
def test_estimate_is_what_answering_really_holds(middle, as_on_a_card, phase):
    from src.classroom.meters import TensorBytes
    from src.qlora.adapters import evaluation_mode

    model = prepared(middle)
    length = middle.max_seq_length * (2 if phase == "few_shot" else 1)
    ids = torch.randint(5, 300, (answering_tokens(middle) // length, length))
    mask = torch.ones_like(ids)
    mask[0, :9] = 0  # padded on the left
    adapter = model.disable_adapter if phase == "few_shot" else nullcontext
    with adapter(), evaluation_mode(model), TensorBytes() as meter:
        model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=2, do_sample=False, use_cache=True)
    terms = estimate_vram(middle, phase)
    assert meter.peak == pytest.approx(
        sum(terms[name] for name in ("cache", "activations", "logits")) * GIB, rel=0.1
    )
    assert terms["adapters"] == estimate_vram(middle)["adapters"] * (2 if phase == "open_book" else 1)


def test_estimate_is_what_a_comparison_in_16_bit_really_holds(middle, tmp_path):
    from src.classroom.meters import TensorBytes
    from src.qlora.adapters import load_adapter, logits_of
    from src.qlora.loading import load_base_model

    prepared(middle).save_pretrained(tmp_path / "adapter")
    model = load_adapter(load_base_model(middle), tmp_path / "adapter")
    terms, ids = estimate_vram(middle, "parity"), torch.randint(5, 300, (1, middle.max_seq_length))
    assert sum(p.nbytes for name, p in model.named_parameters() if "lora_" not in name) == pytest.approx(
        terms["weights"] * GIB
    )
    with TensorBytes() as meter:
        logits_of(model, ids)
    resident = (terms["weights"] + terms["adapters"]) * GIB
    assert resident + meter.peak == pytest.approx(terms["total"] * GIB, rel=0.1)


# --- settings for a card ---------------------------------------------------------------------------------------


def test_the_ladder_of_cards():
    found = {gib: fit_settings(BIG, gib)[0] for gib in (24, 16, 12, 10, 8)}
    assert found[24] == found[16] == found[12] == BIG
    assert {gib: (p.batch_size, p.max_seq_length, p.model) for gib, p in found.items()} == {
        **dict.fromkeys((24, 16, 12), (4, 2048, BIG.model)),
        10: (2, 2048, BIG.model),
        8: (1, 1536, BIG.model),
    }
    assert found[8].max_context_tokens == BIG.max_context_tokens - 512
    assert found[10].eval_batch_size == 2 and answering_tokens(found[10]) < answering_tokens(BIG)
    single = replace(BIG, batch_size=1, gradient_accumulation_steps=16)
    assert needed_vram(single)[0] == PHASES["few_shot"]  # what 8 GiB have no room for


@given(profile=profiles, gib=st.floats(5, 96))
def test_proposed_settings_fit_and_keep_the_effective_batch(profile, gib):
    try:
        found, lines = fit_settings(profile, gib)
    except ValueError as error:
        assert "찾지 못했습니다" in str(error)
        return
    assert needed_vram(found)[1] <= gib
    assert effective(found) == effective(profile)
    assert found.max_seq_length >= min(profile.max_seq_length, SHORTEST)
    assert model_shape(MODELS[found.model]).parameters <= model_shape(MODELS[profile.model]).parameters
    assert (
        (found == profile)
        == (needed_vram(profile)[1] - RESERVED_GIB <= gib - RESERVED_GIB)
        == (len(lines) == 1)
    )
    text = "\n".join(lines)
    for name in ("batch_size", "max_seq_length", "optim", "gradient_checkpointing", "model"):
        assert (re.search(rf"(?<![a-z_]){name}(?![a-z_])", text) is not None) == (
            getattr(found, name) != getattr(profile, name)
        )
    assert f"{needed_vram(found)[1] - RESERVED_GIB:.1f} GiB({needed_vram(found)[0]})" in lines[-1]


@given(profile=profiles, gib=st.floats(8, 64))
def test_a_larger_card_never_gets_a_smaller_model(profile, gib):
    small, large = (fit_settings(profile, size)[0] for size in (gib, gib + 4))
    sizes = [model_shape(MODELS[p.model]).parameters for p in (small, large)]
    assert sizes[0] <= sizes[1] or small.model.split("-")[0] == profile.model.split("-")[0]
    if small.model == large.model:
        assert small.batch_size * small.max_seq_length <= large.batch_size * large.max_seq_length


def test_a_smaller_model_is_named_with_its_licence():
    found, lines = fit_settings(BIG, 6)
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
    assert f"{estimate_vram(BIG)['total']:.2f} GiB" in text and "활성값" in text
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
        assert all(total < round(estimate_vram(profile)["total"], 2) for total in totals)
    assert [bool(mark) for mark, _ in options] == sorted(bool(mark) for mark, _ in options)
    for before, after in re.findall(r"gradient_accumulation_steps (\d+) → (\d+)", text):
        sizes = re.search(r"batch_size (\d+) → (\d+)", text).groups()
        assert int(sizes[0]) * int(before) == int(sizes[1]) * int(after) == effective(profile)
    for line in text.splitlines():
        assert "학습 결과" in line or not re.search(r"\d\. .*(max_seq_length|model을)", line)


def test_advice_names_no_change_whose_saving_does_not_show():
    small = replace(PROFILES["tiny"], optim="adamw_torch", batch_size=16)
    shown = re.findall(r"어림 ([\d.]+) → ([\d.]+) GiB", explain_out_of_memory(small, MemoryError()))
    assert shown and all(float(after) < float(before) for before, after in shown)


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


def test_all_weights_are_trained_where_they_fit_twice(monkeypatch):
    """16 bytes a parameter: the tiny base fits anywhere, the large one on no card of a learner's."""
    assert fits_whole(PROFILES["tiny"])
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 80 * GIB}))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not fits_whole(BIG)
    parameters = model_shape(MODELS[BIG.model]).parameters
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    for bytes_free, fits in ((32 * parameters + 1, True), (32 * parameters, False)):
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda free=bytes_free: (free, free))
        assert fits_whole(BIG) is fits
