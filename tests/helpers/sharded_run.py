"""Run by tests/training/test_distributed.py: a few steps of the workshop's 4-bit model and adapter, cut into shards where
there are several processes. accelerate shards on no CPU, so torch's FSDP is called as accelerate calls it on GPUs.

``torchrun … sharded_run.py BASE``; the first process prints losses, the bytes of its weights, and why a base that is
stored as bytes was refused. ``ACCELERATE_USE_FSDP`` is set by whoever runs it.
"""

import json
import os
import sys
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from peft.utils.other import fsdp_auto_wrap_policy
from torch.distributed.fsdp import FullyShardedDataParallel

from src.profiles import PROFILES
from src.qlora import MODELS, attach_adapter, build_bnb_config, load_base_model

STEPS, ROWS, LENGTH = 12, 4, 48


def adapted(base: str, dtype: str) -> Any:
    MODELS["sharded"] = replace(MODELS["tiny"], key="sharded", source=base)
    profile = replace(PROFILES["tiny"], model="sharded", compute_dtype=dtype, lora_dropout=0.0)
    try:
        model = load_base_model(profile, quantization_config=build_bnb_config(profile))
        return attach_adapter(model, profile).train()
    finally:
        del MODELS["sharded"]  # a test calls this in its own process


def cut(model: Any) -> FullyShardedDataParallel:
    return FullyShardedDataParallel(
        model,
        auto_wrap_policy=fsdp_auto_wrap_policy(model),
        use_orig_params=False,
        device_id=torch.device("cpu"),
    )


def train(base: str) -> dict[str, Any]:
    """A few steps of the base that is stored in the type it computes in, whole or this process's shard of it."""
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    model = adapted(base, "bfloat16")
    model = cut(model) if world > 1 else model
    weights = sum(p.nbytes for p in model.parameters())  # before a step gathers them
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    batch = torch.randint(5, 380, (ROWS, LENGTH), generator=torch.Generator().manual_seed(3))[rank::world]
    losses = []
    for _ in range(STEPS):
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach().float() / world)
        if world > 1:
            dist.all_reduce(losses[-1])
    return {"losses": [float(loss) for loss in losses], "bytes": weights}


def refusal(base: str) -> str:
    """What FSDP says to a base that is stored as bytes, as it is where nothing is to be cut."""
    os.environ["ACCELERATE_USE_FSDP"] = "false"
    try:
        cut(adapted(base, "float32"))
    except ValueError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    dist.init_process_group("gloo")
    found = train(sys.argv[1]) | {"refused": refusal(sys.argv[1])}
    if dist.get_rank() == 0:
        print(json.dumps(found))
    dist.destroy_process_group()
