"""Configurations with known values, the adapter, and where it may be merged."""

from __future__ import annotations

import weakref
from dataclasses import replace

import pytest
import torch

from src.profiles import PROFILES
from src.qlora.adapters import (
    adapter_parity,
    attach_adapter,
    load_adapter,
    load_merged,
    logit_difference,
    logits_of,
    merge_adapter,
    save_merged,
    trainable_parameters,
)
from src.qlora.configs import build_bnb_config, build_lora_config
from src.qlora.loading import load_base_model
from src.qlora.memory import lora_parameter_count

IDS = torch.arange(5, 45).reshape(2, 20)


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS).logits


def randomize(model):
    """An adapter that changes something, as after training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model


@pytest.mark.parametrize("name, computes_in", [("tiny", torch.float32), ("rtx4090", torch.bfloat16)])
def test_bnb_config_is_nf4_double_and_computes_as_the_profile_says(name, computes_in):
    config = build_bnb_config(PROFILES[name])
    assert config.load_in_4bit and not config.load_in_8bit
    assert config.bnb_4bit_quant_type == "nf4"
    assert config.bnb_4bit_use_double_quant is True
    assert config.bnb_4bit_compute_dtype == computes_in


def test_lora_config_takes_the_profile_and_all_linear_layers():
    config = build_lora_config(PROFILES["rtx4090"])
    assert (config.r, config.lora_alpha, config.lora_dropout) == (16, 32, 0.05)
    assert config.bias == "none" and config.task_type == "CAUSAL_LM"
    assert config.target_modules == {
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    }


def test_attached_adapter_has_the_counted_parameters(nf4_base, tiny_profile):
    model = attach_adapter(nf4_base, tiny_profile)
    sizes = [(64, 64), (64, 32), (64, 32), (64, 64), (64, 128), (64, 128), (128, 64)]
    trainable, total = trainable_parameters(model)
    assert trainable == 2 * sum(lora_parameter_count(d, k, tiny_profile.lora_r) for d, k in sizes)
    base_total = load_base_model(tiny_profile).num_parameters()
    assert total == base_total + trainable
    assert all("lora_" in name for name, p in model.named_parameters() if p.requires_grad)


def test_same_seed_same_adapter(tiny_profile):
    first, second = (attach_adapter(load_base_model(tiny_profile), tiny_profile) for _ in range(2))
    weights = [[p for n, p in m.named_parameters() if "lora_A" in n] for m in (first, second)]
    assert len(weights[0]) == 14 and all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_unmatched_target_is_named(nf4_base, tiny_profile):
    config = build_lora_config(tiny_profile)
    config.target_modules = {"q_proj", "out_proj"}
    with pytest.raises(ValueError, match=r"out_proj에 맞는 층이.*o_proj.*up_proj"):
        attach_adapter(nf4_base, tiny_profile, config)


def test_second_adapter_is_refused(nf4_base, tiny_profile):
    attach_adapter(nf4_base, tiny_profile)
    with pytest.raises(ValueError, match="이미 붙어"):
        attach_adapter(nf4_base, tiny_profile)


def test_disabled_adapter_gives_the_base(nf4_base, tiny_profile):
    model = attach_adapter(nf4_base, tiny_profile)
    base = logits(model)  # B is zero
    randomize(model)
    assert not torch.allclose(logits(model), base)
    with model.disable_adapter():
        assert torch.equal(logits(model), base)


def test_saved_adapter_reloads_to_equal_logits(nf4_base, tiny_profile, tmp_path):
    model = randomize(attach_adapter(nf4_base, tiny_profile))
    expected = logits(model)
    model.save_pretrained(tmp_path)
    fresh = load_base_model(tiny_profile, quantization_config=build_bnb_config(tiny_profile))
    assert torch.equal(logits(load_adapter(fresh, tmp_path)), expected)


def test_merge_equals_adapter_on_a_16_bit_base(tiny_profile, tmp_path):
    model = randomize(attach_adapter(load_base_model(tiny_profile).float(), tiny_profile))
    expected = logits(model)
    model.save_pretrained(tmp_path)
    merged = merge_adapter(load_base_model(tiny_profile).float(), tmp_path)
    assert not hasattr(merged, "peft_config")
    torch.testing.assert_close(logits(merged), expected, rtol=1e-4, atol=1e-4)


def test_a_merged_folder_is_an_ordinary_model(tiny_profile, tmp_path):
    model = randomize(attach_adapter(load_base_model(tiny_profile), tiny_profile))
    model.save_pretrained(tmp_path / "adapter")
    save_merged(tiny_profile, tmp_path / "adapter", tmp_path / "merged")
    again = load_merged(tiny_profile, tmp_path / "merged")
    assert not hasattr(again, "peft_config") and not list((tmp_path / "merged").glob("adapter*"))
    expected = merge_adapter(load_base_model(tiny_profile), tmp_path / "adapter")
    assert torch.equal(logits(again), logits(expected)) and again.dtype == expected.dtype
    assert (tmp_path / "merged" / "chat_template.jinja").exists()


def test_merge_into_4_bit_is_refused(nf4_base, tmp_path):
    with pytest.raises(ValueError, match="16비트로 불러온 베이스"):
        merge_adapter(nf4_base, tmp_path)


def test_parity_of_every_way_to_use_an_adapter(nf4_base, tiny_profile, tmp_path):
    model = randomize(attach_adapter(nf4_base, tiny_profile)).train()
    model.save_pretrained(tmp_path)
    table = adapter_parity(tiny_profile, tmp_path, IDS, trained=model)
    assert list(table.index) == ["reload", "merge", "quantization", "merge_4bit"]
    assert table.loc["reload"].to_dict() == {"max_difference": 0, "relative_error": 0, "same_token": 1}
    assert table.loc["merge", "max_difference"] <= 1e-4 and table.loc["merge", "same_token"] == 1
    assert table.loc["quantization", "relative_error"] > 0.01
    assert table.loc["merge_4bit", "relative_error"] > 100 * table.loc["merge", "relative_error"]
    assert model.training
    without = adapter_parity(tiny_profile, tmp_path, IDS)
    assert without.equals(table.drop(index="reload"))


def test_parity_keeps_the_two_logits_that_it_compares(nf4_base, tiny_profile, tmp_path, monkeypatch):
    """Of a vocabulary of 100,000 each is a gigabyte."""
    model, made = randomize(attach_adapter(nf4_base, tiny_profile)), []
    model.save_pretrained(tmp_path)

    def counted(*args):
        assert sum(ref() is not None for ref in made) <= 1
        logits = logits_of(*args)
        made.append(weakref.ref(logits))
        return logits

    monkeypatch.setattr("src.qlora.adapters.logits_of", counted)
    adapter_parity(tiny_profile, tmp_path, IDS, trained=model)
    assert len(made) == 5


def test_logits_of_a_trained_model_leave_accelerates_autocast_out(nf4_base, tiny_profile):
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    model = randomize(attach_adapter(nf4_base, tiny_profile))
    before = logits_of(model, IDS)
    AcceleratorState._reset_state(reset_partial_state=True)  # of a trainer before this test
    model = Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model)
    AcceleratorState._reset_state(reset_partial_state=True)
    assert not torch.equal(model(input_ids=IDS).logits, before)  # what it would compare otherwise
    assert torch.equal(logits_of(model, IDS), before)


def test_logit_difference_known_values():
    first = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    found = logit_difference(first, torch.tensor([[[3.0, 1.0], [1.0, 0.0]]]))
    assert found == pytest.approx({"max_difference": 3.0, "relative_error": 3 / 26**0.5, "same_token": 0.5})


@pytest.mark.parametrize("quantized", [True, False])
def test_gradient_checkpointing_changes_memory_not_gradients(tiny_profile, quantized):
    found = []
    for checkpointing in (False, True):
        config = build_bnb_config(tiny_profile) if quantized else None
        profile = replace(tiny_profile, gradient_checkpointing=checkpointing, lora_dropout=0.0)
        model = randomize(attach_adapter(load_base_model(profile, quantization_config=config), profile))
        assert model.get_base_model().is_activation_checkpointing is checkpointing
        model.train()
        model(input_ids=IDS, labels=IDS).loss.backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad]))
    torch.testing.assert_close(*found)
