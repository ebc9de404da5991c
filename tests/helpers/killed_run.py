"""Run by tests/training/test_checkpoints.py: trains in forked children that kill themselves where they are told to.

``python killed_run.py JOB.json``: ``{"base": folder, "records": [...], "profile": {...}, "runs": [{"folder", "kills":
[{"step": n} | {"save": k, "share": 0-1} | {"saved": k}], "job": what is other in this run}]}``. A run is started again, resuming, after each kill and once more to
its end. Prints a JSON line for each run. One process imports torch, all others are forked from it.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from transformers import TrainerCallback

from src.profiles import PROFILES
from src.qlora.adapters import attach_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import load_base_model, load_tokenizer
from src.qlora.registry import MODELS
from src.training.build import build_trainer
from src.training.labels import tokenize_records
from src.training.trainer import WorkshopTrainer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DieAfter(TrainerCallback):
    """SIGKILL at the ``count``-th end of a step, or behind the ``count``-th finished save, in this process."""

    def __init__(self, event: str, count: int) -> None:
        self.left = count
        setattr(self, {"step": "on_step_end", "saved": "on_save"}[event], self.count)

    def count(self, args, state, control, **kwargs):
        self.left -= 1
        if not self.left:
            die()


class Calls:
    """Counts Python and C calls while a checkpoint is saved; SIGKILL at the ``limit``-th of the ``number``-th save."""

    def __init__(self, number: int | None = None, limit: int | None = None) -> None:
        self.number, self.limit, self.saves, self.counts = number, limit, 0, []
        self.original = WorkshopTrainer._save_checkpoint

    def install(self) -> None:
        calls = self

        def counted(trainer, model, trial):
            calls.saves += 1
            count = 0

            def hook(frame, event, argument):
                nonlocal count
                count += 1
                if calls.saves == calls.number and count == calls.limit:
                    die()

            sys.setprofile(hook)
            try:
                return calls.original(trainer, model, trial)
            finally:
                sys.setprofile(None)
                calls.counts.append(count)

        WorkshopTrainer._save_checkpoint = counted


def scripted(loop, trainer, losses: dict[str, float]):
    def evaluate(*args, **kwargs):
        output = loop(*args, **kwargs)
        output.metrics["eval_loss"] = losses[str(trainer.state.global_step)]
        return output

    return evaluate


def train(job: dict, folder: Path, kill: dict | None, calls_in_a_save: int) -> None:
    profile = replace(PROFILES["tiny"], **job["profile"])
    tokenizer = load_tokenizer(profile)
    model = attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)
    data = tokenize_records(job["records"], tokenizer, profile.max_seq_length)
    trainer = build_trainer(
        model, tokenizer, data, data.select(range(4)), profile, folder, bleu_records=job["records"][:2]
    )
    calls = Calls()
    if kill and "save" not in kill:
        trainer.add_callback(DieAfter(*next(iter(kill.items()))))
    elif kill:
        calls = Calls(kill["save"], 1 + int(kill["share"] * (calls_in_a_save - 1)))
    calls.install()
    if "losses" in job:  # evaluation as it is, but for the number that decides
        trainer.evaluation_loop = scripted(trainer.evaluation_loop, trainer, job["losses"])
    trainer.train(resume_from_checkpoint=True)
    trainer.save_model(str(folder / "adapter"))
    weights = (folder / "adapter" / "adapter_model.safetensors").read_bytes()
    result = {
        "adapter": hashlib.sha256(weights).hexdigest(),
        "steps": trainer.state.global_step,
        "best": [trainer.state.best_global_step, trainer.state.best_metric],
        "evaluations": [entry for entry in trainer.state.log_history if "eval_loss" in entry],
        "files": sorted(p.name for p in (folder / "adapter").iterdir()),
        "calls_in_a_save": min(calls.counts, default=0),
    }
    (folder / "result.json").write_text(json.dumps(result))


def main(job: dict) -> None:
    MODELS["random"] = replace(MODELS["tiny"], key="random", source=job["base"])
    calls_in_a_save = 0
    for run in job["runs"]:
        folder = Path(run["folder"])
        folder.mkdir(parents=True)
        killed = []
        for kill in [*run["kills"], None]:
            sys.stdout.flush()
            child = os.fork()
            if child == 0:
                os.dup2(os.open(folder / "log.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY), 1)
                os.dup2(1, 2)
                try:
                    train(job | run.get("job", {}), folder, kill, calls_in_a_save)
                except BaseException:
                    import traceback

                    traceback.print_exc()
                    os._exit(1)
                sys.stdout.flush()
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            killed.append(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
            if (folder / "result.json").exists():
                break
        log = (folder / "log.txt").read_text(encoding="utf-8")
        if not (folder / "result.json").exists():
            raise SystemExit(log)
        result = json.loads((folder / "result.json").read_text())
        calls_in_a_save = calls_in_a_save or result["calls_in_a_save"]
        print(json.dumps(result | {"killed": killed, "log": log}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
