"""Loading: licences, names, and the guard against silently wrong gradients on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from src.models import MODELS, guard_cpu_gradients, licence_line, load_base_model, load_tokenizer, model_shape
from src.profiles import PROFILES, ROOT


def has_avx512_bf16() -> bool:
    from bitsandbytes.functional import has_avx512bf16

    return bool(has_avx512bf16())


def gradient_change(model, ids) -> float:
    """Relative change of the adapter's gradient caused by one forward in evaluation mode between two equal steps."""

    def gradient():
        model.zero_grad()
        model.train()
        model(input_ids=ids, labels=ids).loss.backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])

    before = gradient()
    model.eval()
    with torch.no_grad():
        model(input_ids=ids)
        model.generate(input_ids=ids, max_new_tokens=2, do_sample=False)
    after = gradient()
    return ((after - before).norm() / before.norm()).item()


def adapted(model, profile):
    from src.qlora import attach_adapter

    model = attach_adapter(model, replace(profile, lora_dropout=0.0))
    with torch.no_grad():  # B starts at zero, where A has no gradient yet
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return model


def test_an_evaluation_leaves_the_gradients_unchanged(nf4_base, tiny_profile):
    ids = torch.arange(20, 60).reshape(2, 20)
    assert gradient_change(adapted(nf4_base, tiny_profile), ids) == 0.0


@pytest.mark.filterwarnings("ignore:.*gemv_4bit")
@pytest.mark.skipif(not has_avx512_bf16(), reason="이 CPU에는 AVX512-BF16이 없어 문제가 나타나지 않습니다")
def test_without_the_guard_an_evaluation_changes_the_gradients(nf4_base, tiny_profile):
    import bitsandbytes as bnb

    for module in nf4_base.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = True
    ids = torch.arange(20, 60).reshape(2, 20)
    assert gradient_change(adapted(nf4_base, tiny_profile), ids) > 0.01


def test_every_linear_layer_is_nf4_and_guarded(nf4_base):
    assert guard_cpu_gradients(nf4_base) == 2 * 7
    weight = nf4_base.model.layers[0].self_attn.q_proj.weight
    assert weight.quant_state.quant_type == "nf4" and weight.quant_state.nested


def test_sixteen_bit_base_is_not_quantized(tiny_profile):
    model = load_base_model(tiny_profile)
    assert model.dtype == torch.bfloat16 and guard_cpu_gradients(model) == 0


@pytest.mark.parametrize("key", [key for key, spec in MODELS.items() if not spec.local])
def test_hub_models_show_their_licence(key):
    spec = MODELS[key]
    assert spec.licence in licence_line(spec)
    if "exaone" in key:
        assert "NC" in spec.licence and "상업적 이용은 안 됩니다" in licence_line(spec)
    else:
        assert spec.licence == "Apache-2.0"


@pytest.mark.parametrize("load", [load_tokenizer, load_base_model])
def test_licence_is_shown_before_the_hub_is_asked(load, monkeypatch, capsys):
    import transformers

    def stopped(*args, **kwargs):
        raise ConnectionError("the hub was asked")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", stopped)
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", stopped)
    spec = replace(MODELS["exaone-4.0-1.2b"], key=load.__name__)
    monkeypatch.setitem(MODELS, spec.key, spec)
    with pytest.raises(ConnectionError):
        load(replace(PROFILES["tiny"], model=spec.key))
    assert capsys.readouterr().out == licence_line(spec) + "\n"


@pytest.mark.parametrize(
    ("key", "billions"),
    [("exaone-3.0-7.8b", 7.82), ("exaone-4.0-1.2b", 1.28), ("kanana-1.5-8b", 8.03), ("qwen3-8b", 8.19)],
)
def test_registry_shapes_count_to_the_published_sizes(key, billions):
    assert MODELS[key].shape.parameters / 1e9 == pytest.approx(billions, abs=0.01)


def test_shape_from_config_counts_the_real_parameters(tiny_profile):
    model = load_base_model(tiny_profile)
    assert model_shape(MODELS["random"]).parameters == model.num_parameters()


def test_unknown_model_names_the_choices():
    with pytest.raises(ValueError, match=r"qwen3-8b"):
        load_tokenizer(replace(PROFILES["tiny"], model="gpt-9"))


def test_missing_local_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, "gone", replace(MODELS["tiny"], key="gone", source=str(tmp_path)))
    with pytest.raises(FileNotFoundError, match="모델이 없습니다"):
        load_base_model(replace(PROFILES["tiny"], model="gone"))


def test_pad_equal_to_eos_is_refused(random_base_dir, tmp_path, monkeypatch, tokenizer):
    from transformers import AutoTokenizer

    broken = AutoTokenizer.from_pretrained(random_base_dir)
    broken.pad_token = broken.eos_token
    broken.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((random_base_dir / "config.json").read_text())
    monkeypatch.setitem(MODELS, "broken", replace(MODELS["tiny"], key="broken", source=str(tmp_path)))
    with pytest.raises(ValueError, match="패딩 토큰이 없습니다"):
        load_tokenizer(replace(PROFILES["tiny"], model="broken"))


def test_importing_bitsandbytes_says_nothing_a_learner_would_ask_about():
    script = "import src.models, bitsandbytes"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "kernels" not in result.stdout + result.stderr


def test_exaone3_checkpoint_loads_as_llama(random_base_dir, tmp_path, monkeypatch):
    """A two-layer checkpoint in the 3.x naming gives the logits of the same weights under Llama names."""
    from safetensors.torch import load_file, save_file
    from transformers import LlamaForCausalLM

    to_exaone = {
        "model.embed_tokens": "transformer.wte",
        "model.norm": "transformer.ln_f",
        "model.layers": "transformer.h",
        "input_layernorm": "ln_1",
        "post_attention_layernorm": "ln_2",
        "self_attn": "attn.attention",
        "o_proj": "out_proj",
        "gate_proj": "c_fc_0",
        "up_proj": "c_fc_1",
        "down_proj": "c_proj",
    }
    weights = {}
    for name, tensor in load_file(random_base_dir / "model.safetensors").items():
        for llama, exaone in to_exaone.items():
            name = name.replace(llama, exaone)
        weights[name] = tensor
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((random_base_dir / "config.json").read_text())
    rope = config.pop("rope_parameters")
    for llama, exaone in [
        ("num_hidden_layers", "num_layers"),
        ("hidden_act", "activation_function"),
        ("rms_norm_eps", "layer_norm_epsilon"),
    ]:
        config[exaone] = config.pop(llama)
    config |= {
        "model_type": "exaone",
        "architectures": ["ExaoneForCausalLM"],
        "rope_theta": rope["rope_theta"],
    }
    config |= {"auto_map": {"AutoConfig": "configuration_exaone.ExaoneConfig"}, "rope_scaling": None}
    (tmp_path / "config.json").write_text(json.dumps(config))

    spec = replace(MODELS["exaone-3.0-7.8b"], key="exaone-two", source=str(tmp_path), local=True)
    monkeypatch.setitem(MODELS, "exaone-two", spec)
    monkeypatch.setitem(MODELS, "llama-two", replace(MODELS["tiny"], source=str(random_base_dir)))
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        expected = load_base_model(replace(PROFILES["tiny"], model="llama-two"))(ids).logits
        model = load_base_model(replace(PROFILES["tiny"], model="exaone-two"))
        assert torch.equal(model(ids).logits, expected)
        # Saved again (as after a merge) it is an ordinary Llama folder.
        model.save_pretrained(tmp_path / "saved")
        again = LlamaForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.bfloat16)
        assert torch.equal(again(ids).logits, expected)
