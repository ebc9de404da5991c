"""Run by tests/training/test_distributed.py: a few steps of the workshop's 4-bit model and adapter, cut into shards where
there are several processes. accelerate shards on no CPU, so torch's FSDP is called as accelerate calls it on GPUs.

``[torchrun …] sharded_run.py BASE COMPUTE_DTYPE``; the first process prints losses and the bytes of its weights.
"""

import json
import os
import sys
from dataclasses import replace

import torch
import torch.distributed as dist
from peft.utils.other import fsdp_auto_wrap_policy
from torch.distributed.fsdp import FullyShardedDataParallel

from src.profiles import PROFILES
from src.qlora import MODELS, attach_adapter, build_bnb_config, load_base_model

STEPS, ROWS, LENGTH = 12, 4, 48


def main(base: str, dtype: str) -> None:
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    MODELS["random"] = replace(MODELS["tiny"], key="random", source=base)
    profile = replace(PROFILES["tiny"], model="random", compute_dtype=dtype, lora_dropout=0.0)
    model = load_base_model(profile, quantization_config=build_bnb_config(profile))
    model = attach_adapter(model, profile).train()
    if world > 1:
        dist.init_process_group("gloo")
        model = FullyShardedDataParallel(
            model,
            auto_wrap_policy=fsdp_auto_wrap_policy(model),
            use_orig_params=False,
            device_id=torch.device("cpu"),
        )
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
    if rank == 0:
        print(json.dumps({"losses": [float(loss) for loss in losses], "bytes": weights}))
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
