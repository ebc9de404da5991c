"""Tokenizer and base model of a profile, loaded without remote code; the licence is shown first."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from src.hub.cache import find
from src.profiles import Profile
from src.qlora.registry import ModelSpec, licence_line, model_folder, model_spec

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase


# Everything is loaded from a folder, so that no library asks the hub (src.hub does), and no remote code is run.
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # False: not even asked about
EXAONE3_CONFIG = {
    "num_layers": "num_hidden_layers",
    "activation_function": "hidden_act",
    "layer_norm_epsilon": "rms_norm_eps",
}


def load_tokenizer(profile: Profile) -> PreTrainedTokenizerBase:
    """The model's own tokenizer.

    Raises:
        ValueError: it has no pad token of its own. Reusing EOS would hide EOS from the loss in common collators.
        HubError: the model is not in the cache and cannot be had from the hub.
    """
    spec = model_spec(profile)
    _show_licence(spec)
    folder = model_folder(spec)  # before the imports, which take longer than to say that there is no hub
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # A 3.x folder names remote code, about which AutoTokenizer asks on the console, and a GPT-2 class that would
    # replace what tokenizer.json says about splitting words. The file itself is all that is needed.
    kind = AutoTokenizer if spec.key_mapping is None else PreTrainedTokenizerFast
    # A clean-up for WordPiece that some folders ask for: a BPE tokenizer ignores it, with a warning at each decoding.
    tokenizer = kind.from_pretrained(folder, **LOCAL, clean_up_tokenization_spaces=False)
    _show_revision(spec)
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise ValueError(
            f"{spec.source}의 토크나이저에는 EOS와 다른 패딩 토큰이 없습니다. "
            "쓰지 않는 특수 토큰 하나를 tokenizer.pad_token으로 정한 뒤 저장해서 불러와 주세요."
        )
    return tokenizer


def load_base_model(
    profile: Profile, *, quantization_config: BitsAndBytesConfig | None = None, on_cpu: bool = False
) -> PreTrainedModel:
    """The base model in the profile's ``compute_dtype``, or in 4 bit with ``quantization_config=build_bnb_config(profile)``.

    It lies on this process's GPU when there is one, else, or ``on_cpu``, on the CPU. What nobody uses any more is freed
    first (``free_memory``). Remote code is never run.

    Raises:
        HubError: the model is not in the cache and cannot be had from the hub.
    """
    spec = model_spec(profile)
    _show_licence(spec)
    folder = model_folder(spec)
    import torch
    from transformers import AutoModelForCausalLM, LlamaForCausalLM

    free_memory()
    cuda = torch.cuda.is_available() and not on_cpu
    options = {
        **LOCAL,
        "dtype": getattr(torch, profile.compute_dtype),
        # One process a GPU under `accelerate launch`: each loads onto its own.
        "device_map": {"": int(os.environ.get("LOCAL_RANK", 0)) if cuda else "cpu"},
        "quantization_config": quantization_config,
    }
    if spec.key_mapping is None:
        model = AutoModelForCausalLM.from_pretrained(folder, **options)
    else:
        config = _exaone3_as_llama(folder)
        model = LlamaForCausalLM.from_pretrained(
            folder, config=config, key_mapping=dict(spec.key_mapping), **options
        )
        # save_pretrained would undo the renames beside a Llama config.json, and such a folder (a merged model,
        # say) reloads with random weights and no error. Forgotten, the Llama names are what is saved.
        model._weight_conversions = None
        # PEFT reads the named folder's config.json as Llama's at every save, and transformers warns about it.
        model.name_or_path = ""
    _show_revision(spec)
    guard_cpu_gradients(model)
    return model.eval()


def free_memory() -> None:
    """Free what no variable holds any more: Trainer, accelerate and the model refer to each other, so that Python alone
    frees them late, and torch keeps their blocks on the card for itself."""
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)


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


@cache
def _show_revision(spec: ModelSpec) -> None:
    """Once a process, after loading: the commit that came, so that a run can be repeated."""
    if commit := loaded_commit(spec):
        hint = " 다시 받을 때도 같은 것을 쓰려면 src/qlora/registry.py의 revision에 적어 주세요."
        print(f"[리비전] {spec.source}: {commit}{'' if spec.revision else hint}")


def loaded_commit(spec: ModelSpec) -> str | None:
    """The hub commit whose files lie in this machine's cache for ``spec``; None for local or unloaded models."""
    snapshot = None if spec.local else find(spec.item).snapshot
    return snapshot and snapshot.name


def copy_licence(profile: Profile, folder: Path) -> None:
    """Put the base's licence, which travels with what is made from it, beside an adapter. Nothing where the base's
    folder holds none."""
    spec = model_spec(profile)
    source = Path(spec.location) if spec.local else find(spec.item).snapshot
    for path in source.iterdir() if source and source.is_dir() else ():
        if re.match(r"(LICEN[CS]E|NOTICE)(\..+)?$", path.name, re.IGNORECASE):
            shutil.copyfile(path, folder / path.name)


def _exaone3_as_llama(folder: Path):
    """A LlamaConfig with the values of an EXAONE 3.x config.json; fields Llama does not know are dropped.

    transformers 5 keeps everything about rotary positions in ``rope_parameters``; 3.x wrote ``rope_theta`` and,
    where the context was stretched (3.5), ``rope_scaling`` beside it.
    """
    from transformers import LlamaConfig, PreTrainedConfig

    raw, _ = PreTrainedConfig.get_config_dict(folder, **LOCAL)
    renamed = {EXAONE3_CONFIG.get(name, name): value for name, value in raw.items()}
    unwanted = {"architectures", "transformers_version", "model_type", "dtype"}
    values = {f.name: renamed[f.name] for f in fields(LlamaConfig) if f.name in renamed.keys() - unwanted}
    if not values.get("rope_parameters"):
        rope = dict(raw.get("rope_scaling") or {})
        rope.setdefault("rope_type", rope.pop("type", "default"))  # its name before 2024
        values["rope_parameters"] = {"rope_theta": raw.get("rope_theta", 10000.0), **rope}
    return LlamaConfig(**values)
