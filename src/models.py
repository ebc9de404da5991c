"""The models the workshop offers: where they come from, under which licence, and how they are loaded."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from src.profiles import ROOT, Profile

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

# On CPUs with AVX512-BF16 its import asks for a kernel package that must not be installed here (it would be fetched
# from a hub): nothing a learner can act on.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

# All linear layers of a block: their choice matters more than the rank (QLoRA, arXiv 2305.14314, §4).
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

# Models that can think aloud (Qwen3, EXAONE 4.0) must do so neither in training nor in evaluation, or the two
# would see different prompts. Templates that do not know the option ignore it.
CHAT_TEMPLATE_OPTIONS = {"enable_thinking": False}

# EXAONE 3.x is a Llama under other names; its own code was written for transformers 4 and is never run here.
# A chain of renames, applied from top to bottom: a pattern of transformers' key_mapping holds one group at most.
EXAONE3_KEYS: dict[str, str] = {
    r"^transformer\.wte\.": "model.embed_tokens.",
    r"^transformer\.ln_f\.": "model.norm.",
    r"^transformer\.h\.": "model.layers.",
    r"\.ln_1\.": ".input_layernorm.",
    r"\.ln_2\.": ".post_attention_layernorm.",
    r"\.attn\.attention\.": ".self_attn.",
    r"\.out_proj\.": ".o_proj.",
    r"\.c_fc_0\.": ".gate_proj.",
    r"\.c_fc_1\.": ".up_proj.",
    r"\.c_proj\.": ".down_proj.",
}
EXAONE3_CONFIG = {
    "num_layers": "num_hidden_layers",
    "activation_function": "hidden_act",
    "layer_norm_epsilon": "rms_norm_eps",
}


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a Llama-like decoder: enough to count its parameters without loading it."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool  # input and output embeddings are one matrix

    @property
    def linear_sizes(self) -> dict[str, tuple[int, int]]:
        """(in, out) features of each linear layer of one block."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q_proj": (self.hidden, queries),
            "k_proj": (self.hidden, keys),
            "v_proj": (self.hidden, keys),
            "o_proj": (queries, self.hidden),
            "gate_proj": (self.hidden, self.intermediate),
            "up_proj": (self.hidden, self.intermediate),
            "down_proj": (self.intermediate, self.hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights in the blocks' linear layers: what NF4 quantizes."""
        return self.layers * sum(d * k for d, k in self.linear_sizes.values())

    @property
    def other_parameters(self) -> int:
        """Embeddings, output head and norms (two a block, one at the end): never quantized."""
        return self.vocab * self.hidden * (1 if self.tied else 2) + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All weights; models with extra norms (Qwen3, EXAONE 4.0) have a few thousand more."""
        return self.linear_parameters + self.other_parameters


@dataclass(frozen=True)
class ModelSpec:
    """One model on offer. ``source`` is a hub id, or a path below the checkout when ``local``."""

    key: str
    source: str
    licence: str
    licence_note: str  # Korean, shown before anything is loaded
    shape: ModelShape | None = None  # None: read from the local config.json
    revision: str | None = None
    local: bool = False
    lora_targets: tuple[str, ...] = ALL_LINEAR
    key_mapping: Mapping[str, str] | None = field(
        default=None, hash=False
    )  # given: load as a native LlamaForCausalLM
    instruct: bool = True

    @property
    def location(self) -> str:
        """What ``from_pretrained`` gets."""
        return str(ROOT / self.source) if self.local else self.source


_EXAONE_NC = "연구 목적으로만 쓸 수 있고 상업적 이용은 안 됩니다. 파생 모델의 이름은 'EXAONE'으로 시작해야 하고, 라이선스 사본이 가중치를 따라다녀야 합니다."
_EXAONE4_NC = "연구와 교육 목적으로 쓸 수 있고 상업적 이용은 안 됩니다. 파생 모델의 이름은 'EXAONE'으로 시작해야 하고, 라이선스 사본이 가중치를 따라다녀야 합니다."
_APACHE = "상업적 이용을 포함해 자유롭게 쓸 수 있습니다. 라이선스와 저작권 표시를 함께 배포해 주세요."
_EXAONE_7B = ModelShape(32, 4096, 14336, 32, 8, 128, 102400, tied=False)

MODELS: dict[str, ModelSpec] = {
    spec.key: spec
    for spec in (
        ModelSpec(
            key="tiny",
            source="data/tiny/base",
            licence="Apache-2.0",
            licence_note="이 워크숍이 직접 만들어 함께 배포하는 작은 모델입니다.",
            local=True,
        ),
        ModelSpec(
            key="exaone-3.0-7.8b",
            source="LGAI-EXAONE/EXAONE-3.0-7.8B-Instruct",
            licence="EXAONE AI Model License Agreement 1.1 - NC",
            licence_note=_EXAONE_NC,
            shape=_EXAONE_7B,
            key_mapping=EXAONE3_KEYS,
        ),
        ModelSpec(
            key="exaone-3.5-7.8b",
            source="LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct",
            licence="EXAONE AI Model License Agreement 1.1 - NC",
            licence_note=_EXAONE_NC,
            shape=_EXAONE_7B,
            key_mapping=EXAONE3_KEYS,
        ),
        ModelSpec(
            key="exaone-4.0-1.2b",
            source="LGAI-EXAONE/EXAONE-4.0-1.2B",
            licence="EXAONE AI Model License Agreement 1.2 - NC",
            licence_note=_EXAONE4_NC,
            shape=ModelShape(30, 2048, 4096, 32, 8, 64, 102400, tied=True),
        ),
        ModelSpec(
            key="kanana-1.5-8b",
            source="kakaocorp/kanana-1.5-8b-instruct-2505",
            licence="Apache-2.0",
            licence_note=_APACHE,
            shape=ModelShape(32, 4096, 14336, 32, 8, 128, 128256, tied=False),
        ),
        ModelSpec(
            key="qwen3-8b",
            source="Qwen/Qwen3-8B",
            licence="Apache-2.0",
            licence_note=_APACHE,
            shape=ModelShape(36, 4096, 12288, 32, 8, 128, 151936, tied=False),
        ),
    )
}


def model_spec(profile: Profile) -> ModelSpec:
    """The model that ``profile`` names; ValueError with the choices when there is none."""
    if profile.model not in MODELS:
        raise ValueError(
            f"'{profile.model}'이라는 모델은 목록에 없습니다. {', '.join(MODELS)} 가운데에서 골라 주세요."
        )
    return MODELS[profile.model]


def model_shape(spec: ModelSpec) -> ModelShape:
    """The model's sizes: from the registry, or from the local ``config.json``."""
    if spec.shape is not None:
        return spec.shape
    config = json.loads((_local_path(spec) / "config.json").read_text(encoding="utf-8"))
    heads = config["num_attention_heads"]
    return ModelShape(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocab=config["vocab_size"],
        tied=config["tie_word_embeddings"],
    )


def licence_line(spec: ModelSpec) -> str:
    """One Korean line a learner reads before the model is loaded."""
    return f"[라이선스] {spec.source}: {spec.licence}. {spec.licence_note}"


def load_tokenizer(profile: Profile) -> PreTrainedTokenizerBase:
    """The model's own tokenizer.

    Raises:
        ValueError: it has no pad token of its own. Reusing EOS would hide EOS from the loss in common collators.
    """
    from transformers import AutoTokenizer

    spec = model_spec(profile)
    _show_licence(spec)
    tokenizer = AutoTokenizer.from_pretrained(spec.location, **_source_options(spec))
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise ValueError(
            f"{spec.source}의 토크나이저에는 EOS와 다른 패딩 토큰이 없습니다. "
            "쓰지 않는 특수 토큰 하나를 tokenizer.pad_token으로 정한 뒤 저장해서 불러와 주세요."
        )
    return tokenizer


def load_base_model(
    profile: Profile, *, quantization_config: BitsAndBytesConfig | None = None
) -> PreTrainedModel:
    """The base model in bf16, or in 4 bit with ``quantization_config=build_bnb_config(profile)``.

    It lies on the first GPU when there is one, else on the CPU. Remote code is never run.
    """
    import torch
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    spec = model_spec(profile)
    options = {
        **_source_options(spec),
        "dtype": torch.bfloat16,
        "device_map": {"": 0 if torch.cuda.is_available() else "cpu"},
    }
    _show_licence(spec)
    if quantization_config is not None:
        options["quantization_config"] = quantization_config
    if spec.key_mapping is None:
        model = AutoModelForCausalLM.from_pretrained(spec.location, **options)
    else:
        config = _exaone3_as_llama(spec)
        model = LlamaForCausalLM.from_pretrained(
            spec.location, config=config, key_mapping=dict(spec.key_mapping), **options
        )
        # save_pretrained would undo the renames beside a Llama config.json, and such a folder (a merged model,
        # say) reloads with random weights and no error. Forgotten, the Llama names are what is saved.
        model._weight_conversions = None
    guard_cpu_gradients(model)
    return model.eval()


def guard_cpu_gradients(model) -> int:
    """Keep every 4-bit layer on the path that has gradients; returns how many layers were set.

    On a CPU with AVX512-BF16 bitsandbytes 0.50 repacks a layer's weight at its first forward in evaluation mode.
    Training forwards after that go through a kernel without autograd: no error, wrong gradients (one evaluation
    changed a gradient by 95 %). Without the flag the layer is never repacked. On a GPU this changes nothing.
    """
    import bitsandbytes as bnb

    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    return len(layers)


@cache
def _show_licence(spec: ModelSpec) -> None:
    """Once a process, before anything is fetched from the hub."""
    if not spec.local:
        print(licence_line(spec))


def _local_path(spec: ModelSpec) -> Path:
    path = Path(spec.location)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"{spec.source} 폴더에 모델이 없습니다. 저장소를 온전히 내려받았는지(git status) 확인해 주세요."
        )
    return path


def _source_options(spec: ModelSpec) -> dict:
    if spec.local:
        _local_path(spec)
        return {"local_files_only": True}
    return {"revision": spec.revision or "main"}


def _exaone3_as_llama(spec: ModelSpec):
    """A LlamaConfig with the values of an EXAONE 3.x config.json; fields Llama does not know are dropped."""
    from transformers import LlamaConfig, PreTrainedConfig

    raw, _ = PreTrainedConfig.get_config_dict(spec.location, **_source_options(spec))
    renamed = {EXAONE3_CONFIG.get(name, name): value for name, value in raw.items()}
    known = {f.name for f in fields(LlamaConfig)} | {"rope_theta", "rope_scaling"}
    unwanted = {"architectures", "transformers_version", "model_type", "dtype"}
    return LlamaConfig(**{name: renamed[name] for name in known & renamed.keys() - unwanted})
