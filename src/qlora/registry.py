"""The models the workshop offers: where each comes from, under which licence, its sizes, what LoRA attaches to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from src.hub.cache import HubItem
from src.hub.fetching import fetch
from src.profiles import ROOT, Profile

# All linear layers of a block: their choice matters more than the rank (QLoRA, arXiv 2305.14314, §4).
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

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
BYTES = {"bfloat16": 2, "float32": 4}  # of one weight


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
    """One model on offer. ``source`` is a hub id, or a path below the checkout when ``local``.

    ``revision`` is the hub commit that is loaded; None where no published one could be confirmed: then ``main`` is
    loaded, and the commit that came is printed so that it can be pinned here.
    """

    key: str
    source: str
    licence: str
    licence_note: str  # Korean, shown before anything is loaded
    shape: ModelShape | None = None  # None: read from the local config.json
    revision: str | None = None
    local: bool = False
    lora_targets: tuple[str, ...] = ALL_LINEAR
    # Given: load as a native LlamaForCausalLM.
    key_mapping: Mapping[str, str] | None = field(default=None, hash=False)
    thinks: bool = False  # its chat template has a thinking mode, which CHAT_TEMPLATE_OPTIONS switches off
    published: str = "bfloat16"  # the type of the weights on the hub, whatever they are loaded as

    @property
    def location(self) -> str:
        """A local model's folder, or a hub id."""
        return str(ROOT / self.source) if self.local else self.source

    @property
    def item(self) -> HubItem:
        """What a hub model takes of network and disk: all of its weights as they are published."""
        return HubItem("model", self.source, self.revision, self.shape.parameters * BYTES[self.published])


_EXAONE_NC = "상업적 이용은 안 됩니다. 파생 모델의 이름은 'EXAONE'으로 시작해야 하고, 라이선스 사본이 가중치를 따라다녀야 합니다."
_EXAONE_3 = {
    "licence": "EXAONE AI Model License Agreement 1.1 - NC",
    "licence_note": f"연구 목적으로만 쓸 수 있고 {_EXAONE_NC}",
    "key_mapping": EXAONE3_KEYS,
    "published": "float32",  # seven shards of 4.8-5 GB for 7.8 B weights
}
_EXAONE_4 = {
    "licence": "EXAONE AI Model License Agreement 1.2 - NC",
    "licence_note": f"연구와 교육 목적으로 쓸 수 있고 {_EXAONE_NC}",
    "thinks": True,
}
_KANANA = {
    "licence": "Apache-2.0",
    "licence_note": "상업적 이용을 포함해 자유롭게 쓸 수 있습니다. 라이선스와 저작권 표시를 함께 배포해 주세요.",
}
_QWEN_3 = {**_KANANA, "thinks": True}

_SHAPES = {
    "exaone-3.0-7.8b": ModelShape(32, 4096, 14336, 32, 8, 128, 102400, tied=False),
    "exaone-3.5-7.8b": ModelShape(32, 4096, 14336, 32, 8, 128, 102400, tied=False),
    "exaone-3.5-2.4b": ModelShape(30, 2560, 7168, 32, 8, 80, 102400, tied=True),
    "exaone-4.0-1.2b": ModelShape(30, 2048, 4096, 32, 8, 64, 102400, tied=True),
    "kanana-1.5-8b": ModelShape(32, 4096, 14336, 32, 8, 128, 128256, tied=False),
    "kanana-1.5-2.1b": ModelShape(32, 1792, 8064, 24, 8, 128, 128256, tied=False),
    "qwen3-8b": ModelShape(36, 4096, 12288, 32, 8, 128, 151936, tied=False),
    "qwen3-4b": ModelShape(36, 2560, 9728, 32, 8, 128, 151936, tied=True),
    "qwen3-1.7b": ModelShape(28, 2048, 6144, 16, 8, 128, 151936, tied=True),
    "qwen3-0.6b": ModelShape(28, 1024, 3072, 16, 8, 128, 151936, tied=True),
}
_REVISIONS = {
    # The last commits before the move to transformers 5 (same weights): their config.json is the 3.x one.
    "exaone-3.5-7.8b": "0ff6b5ec7c13b049b253a16a889aa269e6b79a94",
    "exaone-3.5-2.4b": "e949c91dec92095908d34e6b560af77dd0c993f8",
    "exaone-4.0-1.2b": "3abf2810673c7c0778df64a73c2d52eab32d91c4",
    "kanana-1.5-8b": "c963a5f4f6496c749f94064a20b33028b0db9f19",
    "kanana-1.5-2.1b": "7df4bc35ccd610e451809d7106e1c3cf82bfd44c",
    "qwen3-8b": "b968826d9c46dd6066d109eabc6255188de91218",
    "qwen3-4b": "1cfa9a7208912126459214e8b04321603b3df60c",
    "qwen3-1.7b": "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e",
    "qwen3-0.6b": "c1899de289a04d12100db370d81485cdf75e47ca",
}
_LOCAL = {
    "licence": "Apache-2.0",
    "licence_note": "이 워크숍이 직접 만들어 함께 배포하는 작은 모델입니다.",
    "local": True,
}

MODELS: dict[str, ModelSpec] = {
    key: ModelSpec(key, source, shape=_SHAPES.get(key), revision=_REVISIONS.get(key), **family)
    for key, source, family in (
        ("tiny", "data/tiny/base", _LOCAL),
        ("exaone-3.0-7.8b", "LGAI-EXAONE/EXAONE-3.0-7.8B-Instruct", _EXAONE_3),
        ("exaone-3.5-7.8b", "LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct", _EXAONE_3),
        ("exaone-3.5-2.4b", "LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct", _EXAONE_3),
        ("exaone-4.0-1.2b", "LGAI-EXAONE/EXAONE-4.0-1.2B", _EXAONE_4),
        ("kanana-1.5-8b", "kakaocorp/kanana-1.5-8b-instruct-2505", _KANANA),
        ("kanana-1.5-2.1b", "kakaocorp/kanana-1.5-2.1b-instruct-2505", _KANANA),
        ("qwen3-8b", "Qwen/Qwen3-8B", _QWEN_3),
        ("qwen3-4b", "Qwen/Qwen3-4B", _QWEN_3),
        ("qwen3-1.7b", "Qwen/Qwen3-1.7B", _QWEN_3),
        ("qwen3-0.6b", "Qwen/Qwen3-0.6B", _QWEN_3),
    )
}

EMBEDDER_BYTES = {"intfloat/multilingual-e5-small": 470_641_600}  # of the weights, to download


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
    config = json.loads((local_folder(spec) / "config.json").read_text(encoding="utf-8"))
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


def embedder_item(profile: Profile | str) -> HubItem | None:
    """An embedder of the hub (a profile's, or a name given directly); None for a path below the checkout."""
    given = isinstance(profile, str)
    name, revision = (profile, None) if given else (profile.embedder, profile.embedder_revision)
    if name.count("/") != 1 or (ROOT / name).is_dir():
        return None
    return HubItem("embedder", name, revision, EMBEDDER_BYTES.get(name))


def hub_items(profile: Profile) -> list[HubItem]:
    """Everything that the profile takes from the hub: base model, embedder, data set; nothing for tiny."""
    spec, data = model_spec(profile), profile.hub_data
    rows = data and not Path(data.dataset).is_dir() and HubItem("dataset", data.dataset, data.revision)
    return list(filter(None, [None if spec.local else spec.item, embedder_item(profile), rows]))


def model_folder(spec: ModelSpec) -> Path:
    """The folder to load from: of this checkout, or of the hub's cache, downloaded where it is not there.

    Raises:
        FileNotFoundError: nothing lies where a local model should.
        HubError: it is not in the cache and cannot be had from the hub.
    """
    return local_folder(spec) if spec.local else fetch(spec.item)


def local_folder(spec: ModelSpec) -> Path:
    """Where a local model lies; FileNotFoundError with the remedy when nothing is there."""
    path = Path(spec.location)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(
            f"{spec.source} 폴더에 모델이 없습니다. 저장소를 온전히 내려받았는지(git status) 확인해 주세요."
        )
    return path
