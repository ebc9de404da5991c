"""A model of a true shape without its weights: random ones, which take the same bytes and the same time."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from src.profiles import PROFILES, Profile
from src.qlora import MODELS, load_tokenizer
from src.qlora.memory import GIB
from src.qlora.registry import ModelShape

KEY = "random-weights"  # in MODELS meanwhile


@contextmanager
def random_model(profile: Profile, shape: ModelShape) -> Iterator[Profile]:
    """``profile`` on random weights of ``shape``, which lie in a temporary folder meanwhile; OSError without room."""
    with tempfile.TemporaryDirectory() as folder:
        need, free = 2 * shape.parameters / GIB, shutil.disk_usage(folder).free / GIB
        if need > free:
            raise OSError(
                f"{folder}에 {need:.1f}GiB가 필요한데 {free:.1f}GiB가 비어 있습니다. TMPDIR로 다른 디스크를 정해 주세요."
            )
        write_weights(Path(folder), shape, profile)
        own = MODELS[profile.model]
        MODELS[KEY] = dataclasses.replace(
            own, key=KEY, source=folder, local=True, key_mapping=None, shape=shape
        )
        try:
            yield dataclasses.replace(profile, model=KEY)
        finally:
            del MODELS[KEY]


def write_weights(folder: Path, shape: ModelShape, profile: Profile) -> None:
    """A Llama of ``shape`` with random 16-bit weights, a file a block; every block has the same, drawn once."""
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=profile.max_seq_length * (1 + profile.few_shot_examples),
        architectures=["LlamaForCausalLM"],
    )
    config.save_pretrained(folder)
    load_tokenizer(PROFILES["tiny"]).save_pretrained(folder)
    with torch.device("meta"):
        empty = LlamaForCausalLM(config).state_dict()
    drawn: dict[str, torch.Tensor] = {}
    draw = torch.Generator().manual_seed(0)
    files: dict[str, dict[str, torch.Tensor]] = {}
    for name, like in empty.items():
        block, kind = re.fullmatch(r"(?:model\.layers\.(\d+)\.)?(.+)", name).groups()
        if kind not in drawn:
            fresh = torch.empty(like.shape, dtype=torch.bfloat16)
            drawn[kind] = fresh.fill_(1) if like.ndim == 1 else fresh.normal_(0, 0.02, generator=draw)
        if not (shape.tied and kind == "lm_head.weight"):
            files.setdefault(f"block-{block}.safetensors", {})[name] = drawn[kind]
    for file, tensors in files.items():
        save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, names in files.items() for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
