"""The script, on one process and on two that share its batch: the same training, within fp32's rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import sharded_run
import torch
from safetensors.torch import load_file

from src.profiles import ROOT

NUMBERS = {
    "lora_r": 8,
    "batch_size": 4,
    "epochs": 3,
    "learning_rate": 2e-3,
    "eval_batch_size": 8,
    "eval_steps": 4,
    "logging_steps": 1,
    "max_seq_length": 256,
    "max_new_tokens": 4,
    "bleu_records": 3,
}
LAUNCHERS = {
    1: ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"],
    2: ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
}


@pytest.fixture
def trained(tmp_path, random_base_dir, records):
    numbers = tmp_path / "numbers.json"
    numbers.write_text(json.dumps(NUMBERS), encoding="utf-8")

    def run(processes: int) -> tuple[dict, dict, str]:
        outputs = tmp_path / str(processes)
        artifacts = outputs / "random" / "artifacts"
        artifacts.mkdir(parents=True)
        for split in ("train", "validation", "test"):
            lines = [json.dumps(record, ensure_ascii=False) for record in records]
            (artifacts / f"clean_{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        worker = [str(ROOT / "tests" / "helpers" / "parallel_run.py"), str(random_base_dir), str(numbers)]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": str(ROOT),
            "WORKSHOP_OUTPUTS": str(outputs),
        }
        done = subprocess.run(
            [sys.executable, *LAUNCHERS[processes], *worker],
            capture_output=True,
            text=True,
            timeout=600,
            env=environment,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        log = json.loads((artifacts / "training_log.json").read_text(encoding="utf-8"))
        return log, load_file(artifacts / "adapter" / "adapter_model.safetensors"), done.stdout

    return run


def test_two_processes_train_as_one(trained):
    (one, alone, out), (two, shared, _) = trained(1), trained(2)
    assert one["steps"] == two["steps"] == 12 and "어댑터:" in out
    losses = [[row["loss"] for row in log["history"]] for log in (one, two)]
    # Sums in another order: each of the 12 steps may move a loss by the rounding of a few thousand float32 terms, which
    # grows with the square root of their number, and steps build on each other.
    unit = torch.finfo(torch.float32).eps * 4096**0.5 * 12
    assert losses[1] == pytest.approx(losses[0], rel=unit)
    assert losses[0][-1] < losses[0][0] - 0.1  # it did train
    evaluations = [[row["eval_loss"] for row in log["history"] if row["eval_loss"]] for log in (one, two)]
    assert evaluations[1] == pytest.approx(evaluations[0], rel=unit)
    assert alone.keys() == shared.keys()
    # B starts at zero, so all of it was learned. Adam makes steps of equal size from gradients of any size: where a
    # gradient is nearly zero, rounding decides its sign. Hence the norm, not the largest difference.
    learned = [name for name in alone if "lora_B" in name]
    gap = sum(float((alone[n] - shared[n]).pow(2).sum()) for n in learned) ** 0.5
    size = sum(float(alone[n].pow(2).sum()) for n in learned) ** 0.5
    assert gap < 0.05 * size


@pytest.fixture(scope="module")
def sharded(random_base_dir) -> dict:
    """What two processes that hold a shard each leave."""
    done = subprocess.run(
        [sys.executable, *LAUNCHERS[2], sharded_run.__file__, str(random_base_dir)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_FSDP": "true"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_a_4_bit_base_in_two_shards_trains_as_one(sharded, random_base_dir, monkeypatch):
    """Stored in the type that is computed in, adapters too: otherwise FSDP refuses to join a block's tensors."""
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    one = sharded_run.train(str(random_base_dir))
    assert sharded["losses"] == pytest.approx(one["losses"], rel=0.01)
    assert one["losses"][-1] < one["losses"][0] - 0.1  # it did train
    assert sharded["bytes"] < 0.55 * one["bytes"]


def test_a_4_bit_base_stored_as_bytes_cannot_be_cut(sharded):
    """What the storage type is for; when this fails, it is needed no more."""
    assert "flatten" in sharded["refused"]


@pytest.mark.parametrize("name", ["multi_gpu.yaml", "fsdp_qlora.yaml"])
def test_accelerate_knows_every_key_of_the_configurations(name):
    from dataclasses import fields

    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import FullyShardedDataParallelPlugin

    path = ROOT / "configs" / name
    config = load_config_from_file(str(path))  # refuses unknown keys of the first level
    known = {field.name for field in fields(FullyShardedDataParallelPlugin)}
    renamed = {"version": "fsdp_version", "offload_params": "cpu_offload"}
    options = {key.removeprefix("fsdp_") for key in config.fsdp_config}
    assert {renamed.get(option, option) for option in options} <= known
    assert config.distributed_type == ("FSDP" if name.startswith("fsdp") else "MULTI_GPU")
    assert config.mixed_precision == "bf16"
    assert {file.name for file in (ROOT / "configs").glob("*.yaml")} == {"multi_gpu.yaml", "fsdp_qlora.yaml"}


def test_the_trainer_of_a_sharded_model(nf4_base, tiny_profile, tokenizer, records, tmp_path, monkeypatch):
    from src.qlora.adapters import attach_adapter
    from src.training.build import build_trainer
    from src.training.labels import tokenize_records

    monkeypatch.setattr("src.training.build.sharded", lambda: True)
    data = tokenize_records(records, tokenizer, tiny_profile.max_seq_length)
    model = attach_adapter(nf4_base, tiny_profile)
    trainer = build_trainer(
        model, tokenizer, data, data, tiny_profile, tmp_path / "run", bleu_records=records[:2]
    )
    assert trainer.args.optim == "adamw_torch" and not trainer.bleu_records
