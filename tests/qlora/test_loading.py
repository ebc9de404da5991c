"""Loading: licences, names, and the guard against silently wrong gradients on a CPU."""

from __future__ import annotations

import gc
import json
import math
import re
import subprocess
import sys
import weakref
from dataclasses import replace

import pytest
import torch

from src.profiles import PROFILES, ROOT
from src.qlora import loading as models
from src.qlora.loading import (
    copy_licence,
    guard_cpu_gradients,
    load_base_model,
    load_tokenizer,
    loaded_commit,
)
from src.qlora.registry import ALL_LINEAR, MODELS, licence_line, model_shape
from tests.hub.test_cache import put


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
    from src.qlora.adapters import attach_adapter

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


def test_what_nobody_uses_any_more_is_gone_before_the_next_is_loaded(tiny_profile):
    """Trainer, accelerate and model refer to each other; Python frees such things when it comes to it."""
    held = [load_base_model(tiny_profile)]
    held.append(held)
    model = weakref.ref(held[0])
    gc.disable()
    try:
        del held
        assert model() is not None
        load_base_model(tiny_profile)
        assert model() is None
    finally:
        gc.enable()


def test_every_linear_layer_is_nf4_and_guarded(nf4_base):
    assert guard_cpu_gradients(nf4_base) == 2 * 7
    weight = nf4_base.model.layers[0].self_attn.q_proj.weight
    assert weight.quant_state.quant_type == "nf4" and weight.quant_state.nested


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_base_that_is_not_quantized_is_of_the_type_that_is_computed_in(tiny_profile, name):
    model = load_base_model(replace(tiny_profile, compute_dtype=name))
    assert model.dtype == getattr(torch, name) and guard_cpu_gradients(model) == 0


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
    def stopped(item):
        raise ConnectionError("the hub was asked")

    monkeypatch.setattr("src.qlora.registry.fetch", stopped)
    spec = replace(MODELS["exaone-4.0-1.2b"], key=load.__name__)
    monkeypatch.setitem(MODELS, spec.key, spec)
    with pytest.raises(ConnectionError):
        load(replace(PROFILES["tiny"], model=spec.key))
    assert capsys.readouterr().out == licence_line(spec) + "\n"


@pytest.mark.parametrize(
    ("key", "billions"),
    [
        ("exaone-3.0-7.8b", 7.82),
        ("exaone-3.5-2.4b", 2.41),
        ("exaone-4.0-1.2b", 1.28),
        ("kanana-1.5-8b", 8.03),
        ("kanana-1.5-2.1b", 2.32),  # the published weights are 4.63 GB in bf16: embeddings not tied
        ("qwen3-8b", 8.19),
        ("qwen3-4b", 4.02),
        ("qwen3-1.7b", 1.72),
        ("qwen3-0.6b", 0.60),
    ],
)
def test_registry_shapes_count_to_the_published_sizes(key, billions):
    assert MODELS[key].shape.parameters / 1e9 == pytest.approx(billions, abs=0.01)


def test_shape_from_config_counts_the_real_parameters(tiny_profile):
    model = load_base_model(tiny_profile)
    assert model_shape(MODELS["random"]).parameters == model.num_parameters()


def test_revisions_are_commits():
    revisions = {key: spec.revision for key, spec in MODELS.items() if not spec.local}
    assert [key for key, revision in revisions.items() if revision is None] == ["exaone-3.0-7.8b"]
    pinned = [revision for revision in revisions.values() if revision]
    assert len(set(pinned)) == len(pinned) and all(re.fullmatch("[0-9a-f]{40}", text) for text in pinned)


def test_the_loaded_commit_is_read_from_the_cache_and_shown(tmp_path, monkeypatch, capsys):
    spec = replace(MODELS["exaone-3.0-7.8b"], key="cached", source="someone/model")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert loaded_commit(spec) is None and loaded_commit(MODELS["tiny"]) is None
    commit, folder = "0123456789" * 4, tmp_path / "models--someone--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "config.json").write_text("{}")
    assert loaded_commit(spec) == commit
    models._show_revision(spec)
    assert commit in (shown := capsys.readouterr().out) and "revision에 적어" in shown


def test_the_licence_goes_beside_the_adapter(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    profile, adapter = PROFILES["rtx4090"], tmp_path / "adapter"
    put(
        tmp_path / "hub",
        MODELS[profile.model].item,
        {"LICENSE": "terms", "NOTICE.txt": "n", "config.json": "{}"},
    )
    adapter.mkdir()
    copy_licence(profile, adapter)
    assert {path.name for path in adapter.iterdir()} == {"LICENSE", "NOTICE.txt"}
    assert (adapter / "LICENSE").read_text() == "terms" and not (adapter / "LICENSE").is_symlink()


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
    script = "import src.qlora.loading, bitsandbytes"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "kernels" not in result.stdout + result.stderr


# --- EXAONE 3.x ------------------------------------------------------------------------------------------------

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, VOCAB, EPSILON = 64, 128, 2, 4, 2, 384, 1e-5
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,  # short, so that a short text meets every case of the formula
}
# What config.json says about rotary positions: 3.0, 3.5, and a linear scaling under its old name; then the one field
# of transformers 5.
ROPES = {
    "3.0": {"rope_theta": 500000.0, "rope_scaling": None},
    "3.5": {"rope_theta": 1000000.0, "rope_scaling": LLAMA3_ROPE},
    "linear": {"rope_theta": 10000.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
    "transformers 5": {"rope_parameters": {"rope_theta": 1000000.0, **LLAMA3_ROPE}},
}


def write_exaone3(path, *, tied: bool, rope: dict) -> dict[str, torch.Tensor]:
    """A random two-layer checkpoint in the 3.x naming, with 3.x's configuration file; returns its weights."""
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(3)

    def weight(*shape):
        return torch.randn(shape, generator=generator) * 0.2

    size = HIDDEN // HEADS
    weights = {"transformer.wte.weight": weight(VOCAB, HIDDEN), "transformer.ln_f.weight": 1 + weight(HIDDEN)}
    for layer in range(LAYERS):
        block = f"transformer.h.{layer}."
        weights |= {
            f"{block}ln_1.weight": 1 + weight(HIDDEN),
            f"{block}ln_2.weight": 1 + weight(HIDDEN),
            f"{block}attn.attention.q_proj.weight": weight(HEADS * size, HIDDEN),
            f"{block}attn.attention.k_proj.weight": weight(KV_HEADS * size, HIDDEN),
            f"{block}attn.attention.v_proj.weight": weight(KV_HEADS * size, HIDDEN),
            f"{block}attn.attention.out_proj.weight": weight(HIDDEN, HEADS * size),
            f"{block}mlp.c_fc_0.weight": weight(INNER, HIDDEN),
            f"{block}mlp.c_fc_1.weight": weight(INNER, HIDDEN),
            f"{block}mlp.c_proj.weight": weight(HIDDEN, INNER),
        }
    if not tied:
        weights["lm_head.weight"] = weight(VOCAB, HIDDEN)
    save_file(weights, path / "model.safetensors", metadata={"format": "pt"})
    config = {
        "activation_function": "silu",
        "architectures": ["ExaoneForCausalLM"],
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": "configuration_exaone.ExaoneConfig"
        },  # remote code that must not be asked for
        "bos_token_id": 1,
        "embed_dropout": 0.0,
        "eos_token_id": 361,
        "hidden_size": HIDDEN,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "layer_norm_epsilon": EPSILON,
        "max_position_embeddings": 256,
        "model_type": "exaone",
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "num_layers": LAYERS,
        "pad_token_id": 0,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.45.2",
        "use_cache": True,
        "vocab_size": VOCAB,
        **rope,
    }
    (path / "config.json").write_text(json.dumps(config))
    return weights


def inverse_frequencies(rope: dict, size: int) -> torch.Tensor:
    """RoPE's angle a position for each pair of a head's dimensions, with the scaling that config.json asks for."""
    scaling = rope.get("rope_parameters") or rope["rope_scaling"] or {}
    theta = scaling.get("rope_theta") or rope["rope_theta"]
    angles = [theta ** (-2 * i / size) for i in range(size // 2)]
    kind = scaling.get("rope_type") or scaling.get("type")
    if kind == "linear":
        angles = [angle / scaling["factor"] for angle in angles]
    if kind == "llama3":  # slow angles are stretched, fast ones kept, those between interpolated
        scaled = []
        for angle in angles:
            turns = scaling["original_max_position_embeddings"] * angle / (2 * math.pi)
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            share = min(1.0, max(0.0, (turns - low) / (high - low)))
            scaled.append(angle * (share + (1 - share) / scaling["factor"]))
        angles = scaled
    return torch.tensor(angles)


def exaone3_forward(weights: dict[str, torch.Tensor], ids: torch.Tensor, rope: dict) -> torch.Tensor:
    """EXAONE 3.x by its own names, written from its description: no line shared with the code under test."""
    size, length = HIDDEN // HEADS, ids.shape[1]
    angle = torch.outer(torch.arange(length).float(), inverse_frequencies(rope, size))
    cos, sin = angle.cos(), angle.sin()  # (length, size / 2)

    def norm(x, name):
        return weights[name] * x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPSILON)

    def rotate(x):  # dimension i is paired with i + size / 2
        a, b = x[..., : size // 2], x[..., size // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    x = weights["transformer.wte.weight"][ids]
    for layer in range(LAYERS):
        block = f"transformer.h.{layer}."
        h = norm(x, f"{block}ln_1.weight")
        projected = {
            name: (h @ weights[f"{block}attn.attention.{name}_proj.weight"].T).unflatten(-1, (-1, size))
            for name in "qkv"
        }
        heads = []
        for head in range(HEADS):
            shared = head // (HEADS // KV_HEADS)  # grouped queries: two heads share a key and a value
            q, k = rotate(projected["q"][:, :, head]), rotate(projected["k"][:, :, shared])
            scores = q @ k.transpose(1, 2) / math.sqrt(size)
            scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
            heads.append(scores.softmax(-1) @ projected["v"][:, :, shared])
        x = x + torch.cat(heads, dim=-1) @ weights[f"{block}attn.attention.out_proj.weight"].T
        h = norm(x, f"{block}ln_2.weight")
        gate = h @ weights[f"{block}mlp.c_fc_0.weight"].T
        up = h @ weights[f"{block}mlp.c_fc_1.weight"].T
        x = x + (gate * torch.sigmoid(gate) * up) @ weights[f"{block}mlp.c_proj.weight"].T
    head = weights.get("lm_head.weight", weights["transformer.wte.weight"])
    return norm(x, "transformer.ln_f.weight") @ head.T


@pytest.fixture
def exaone3(tmp_path, monkeypatch):
    """A function that writes a checkpoint and gives (profile that loads it, its weights)."""

    def build(*, tied=False, rope="3.0"):
        weights = write_exaone3(tmp_path, tied=tied, rope=ROPES[rope])
        spec = replace(MODELS["exaone-3.0-7.8b"], key="exaone-two", source=str(tmp_path), local=True)
        monkeypatch.setitem(MODELS, "exaone-two", spec)
        return replace(PROFILES["tiny"], model="exaone-two", compute_dtype="bfloat16"), weights

    return build


EXAONE_IDS = torch.randint(5, VOCAB, (2, 48), generator=torch.Generator().manual_seed(0))


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=EXAONE_IDS).logits


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("rope", ROPES)
def test_exaone3_loads_as_llama_with_the_logits_of_its_description(exaone3, tied, rope):
    profile, weights = exaone3(tied=tied, rope=rope)
    weights = {name: tensor.bfloat16().float() for name, tensor in weights.items()}  # as loaded
    model = load_base_model(profile).float()
    expected = exaone3_forward(weights, EXAONE_IDS, ROPES[rope])
    torch.testing.assert_close(logits(model), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
    # The reference feels the scaling, so that a dropped field would show.
    plain = exaone3_forward(weights, EXAONE_IDS, ROPES["3.0"])
    assert rope == "3.0" or not torch.allclose(plain, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("tied", [True, False])
def test_exaone3_in_nf4_is_the_reference_on_the_rounded_weights(exaone3, tied):
    import bitsandbytes as bnb

    from src.qlora.configs import build_bnb_config

    profile, weights = exaone3(tied=tied, rope="3.5")
    model = load_base_model(profile, quantization_config=build_bnb_config(profile))
    assert guard_cpu_gradients(model) == LAYERS * 7
    back = {
        new: old for old, new in zip(("out_proj", "c_fc_0", "c_fc_1", "c_proj"), ALL_LINEAR[3:], strict=True)
    }
    rounded = {name: tensor.bfloat16().float() for name, tensor in weights.items()}
    for name, module in model.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            _, _, layer, part, last = name.split(".")
            inside = "attn.attention" if part == "self_attn" else "mlp"
            key = f"transformer.h.{layer}.{inside}.{back.get(last, last)}.weight"
            weight = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state).float()
            assert (
                0 < ((weight - rounded[key]).norm() / rounded[key].norm()) < 0.12
            )  # NF4's error, not another layer
            rounded[key] = weight
    expected = exaone3_forward(rounded, EXAONE_IDS, ROPES["3.5"])
    error = (logits(model).float() - expected).norm() / expected.norm()
    assert error < 0.03  # bf16 arithmetic only


def test_exaone3_saved_again_is_an_ordinary_llama_folder(exaone3, tmp_path):
    """As after a merge: transformers would otherwise undo the renames beside a Llama config.json."""
    from transformers import LlamaForCausalLM

    profile, _ = exaone3(rope="3.5")
    model = load_base_model(profile)
    model.save_pretrained(tmp_path / "saved")
    again = LlamaForCausalLM.from_pretrained(tmp_path / "saved", dtype=torch.bfloat16)
    assert torch.equal(logits(again), logits(model))


def test_exaone3_merged_is_an_ordinary_llama_folder(exaone3, random_base_dir, tmp_path):
    from src.qlora.adapters import attach_adapter, load_merged, merge_adapter, save_merged

    profile, _ = exaone3()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (tmp_path / name).write_bytes((random_base_dir / name).read_bytes())
    model = attach_adapter(load_base_model(profile), profile)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    model.save_pretrained(tmp_path / "adapter")
    save_merged(profile, tmp_path / "adapter", tmp_path / "merged")
    merged = load_merged(profile, tmp_path / "merged")
    expected = logits(merge_adapter(load_base_model(profile), tmp_path / "adapter"))
    assert torch.equal(logits(merged), expected)
    assert not torch.equal(expected, logits(load_base_model(profile)))


def test_exaone3_takes_the_adapters_of_the_registry(exaone3):
    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config

    profile, _ = exaone3()
    model = attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)
    assert sum("lora_A" in name for name, _ in model.named_parameters()) == LAYERS * 7


def test_exaone3_tokenizer_is_its_file_and_asks_nothing(exaone3, random_base_dir, tmp_path, monkeypatch):
    """AutoTokenizer would ask about remote code, and GPT-2's class would replace how the file splits words."""
    from tokenizers import Tokenizer

    profile, _ = exaone3()
    stored = json.loads((random_base_dir / "tokenizer.json").read_text(encoding="utf-8"))
    stored["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [{"type": "Digits", "individual_digits": True}, stored["pre_tokenizer"]],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(stored), encoding="utf-8")
    settings = json.loads((random_base_dir / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings |= {"tokenizer_class": "GPT2Tokenizer", "clean_up_tokenization_spaces": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (tmp_path / "chat_template.jinja").write_bytes((random_base_dir / "chat_template.jinja").read_bytes())
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked about remote code"))
    tokenizer = load_tokenizer(profile)
    text = "보증 기간은 2년이고 소비 전력은 1234W입니다."
    expected = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text, add_special_tokens=False)
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == expected.ids
    assert tokenizer.pad_token != tokenizer.eos_token and tokenizer.chat_template
    assert tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("12")[0][0] == "1"
    assert tokenizer.clean_up_tokenization_spaces is False  # else every decoding warns in English
