"""What makes it QLoRA: the 4-bit configuration and the adapter's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from src.profiles import Profile
from src.qlora.registry import model_spec

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig


def build_bnb_config(profile: Profile) -> BitsAndBytesConfig:
    """NF4 storage, double quantization, arithmetic in the profile's ``compute_dtype`` (QLoRA, arXiv 2305.14314, §3);
    the same on a CPU.

    Double quantization stores the *constants* of the 4-bit blocks in 8 bit, which saves about 0.37 bit a weight;
    the weights themselves stay in 4 bit. Where the model is cut into shards (``sharded``) their bytes are stored as
    ``compute_dtype``: FSDP joins a block's tensors into one, and joins neither integers nor unlike types.
    """
    import torch
    from transformers import BitsAndBytesConfig

    dtype = getattr(torch, profile.compute_dtype)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        **({"bnb_4bit_quant_storage": dtype} if sharded() else {}),
    )


def sharded() -> bool:
    """Whether ``accelerate launch`` cuts the model into shards (FSDP, docs/multi_gpu.md)."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true")


def build_lora_config(profile: Profile) -> LoraConfig:
    """W + (alpha / r) B A on every linear layer of the blocks (LoRA, arXiv 2106.09685, §4.1)."""
    from peft import LoraConfig

    return LoraConfig(
        r=profile.lora_r,
        lora_alpha=profile.lora_alpha,
        lora_dropout=profile.lora_dropout,
        target_modules=list(model_spec(profile).lora_targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
