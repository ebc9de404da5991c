"""A Trainer with the profile's numbers, on one device or several."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.profiles import Profile
from src.qlora.adapters import trainable_parameters
from src.qlora.configs import sharded
from src.qlora.loading import loaded_commit
from src.qlora.registry import model_spec
from src.training.labels import IGNORE
from src.training.monitoring import report_to

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, TrainingArguments

    from src.training.trainer import WorkshopTrainer


def share_batch(profile: Profile, processes: int) -> tuple[int, int]:
    """(batch size, accumulation steps) of each of ``processes``, whose product over all is the profile's batch.

    Accumulation is cut first, the batch on the device only when nothing is left to cut.

    Raises:
        ValueError: the profile's batch cannot be shared out evenly.
    """
    whole = profile.batch_size * profile.gradient_accumulation_steps
    if whole % processes:
        raise ValueError(
            f"한 번에 갱신하는 {whole}건(batch_size {profile.batch_size} × gradient_accumulation_steps "
            f"{profile.gradient_accumulation_steps})을 프로세스 {processes}개로 똑같이 나눌 수 없습니다. "
            f"둘의 곱이 {processes}의 배수가 되게 정해 주세요."
        )
    share = whole // processes
    size = max(d for d in range(1, min(profile.batch_size, share) + 1) if share % d == 0)
    return size, share // size


@cache
def _without_paging(optim: str) -> str:
    """The optimizer that takes ``optim``'s place on a CPU; said once a process."""
    print(f"GPU가 없어 페이징할 메모리가 없으므로 {optim} 대신 adamw_torch로 학습합니다.")
    return "adamw_torch"


def build_trainer(
    model,
    tokenizer: PreTrainedTokenizerBase,
    train_dataset: Dataset,
    eval_dataset: Dataset,
    profile: Profile,
    output_dir: str | Path | None = None,
    *,
    bleu_records: Sequence = (),
    trackers: Sequence[str] = (),
) -> WorkshopTrainer:
    """A ``transformers.Trainer`` with the profile's numbers, ready for ``.train()``.

    Checkpoints go to ``output_dir`` (default: the profile's artefacts), TensorBoard events to its ``runs``. The
    checkpoint with the lowest evaluation loss is loaded at the end; training stops when that loss has not fallen for
    ``profile.early_stopping_patience`` evaluations (0: never). ``.train(resume_from_checkpoint=True)`` goes on where
    a killed run stopped. ``bleu_records`` are answered and scored at each evaluation; ``trackers`` (of
    ``src.training.monitoring.TRACKERS``) are told beside TensorBoard.

    Several processes (``accelerate launch``) share ``batch_size × gradient_accumulation_steps``: the batch that an
    update sees is the profile's, however many there are.
    """
    from transformers import DataCollatorForSeq2Seq, EarlyStoppingCallback

    from src.training.trainer import WorkshopTrainer

    patience = profile.early_stopping_patience
    output_dir = Path(output_dir or profile.artifacts_dir).resolve()  # checkpoints note the best one's path
    return WorkshopTrainer(
        profile=profile,
        # Answers end at different times, and a process that is done would not gather the others' shards.
        bleu_records=() if sharded() else bleu_records,
        callbacks=[EarlyStoppingCallback(patience)] if patience else None,
        model=model,
        args=_arguments(profile, len(train_dataset), output_dir, report_to(trackers)),
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=tokenizer,
        # Pads inputs with the pad token and labels with -100, to the longest of the batch only.
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORE, pad_to_multiple_of=8),
    )


def _arguments(profile: Profile, records: int, output_dir: Path, trackers: list[str]) -> TrainingArguments:
    import torch
    from transformers import TrainingArguments

    cuda = torch.cuda.is_available()
    batch_size, accumulation = share_batch(profile, int(os.environ.get("WORLD_SIZE", 1)))
    paged = profile.optim.startswith("paged")
    optim = _without_paging(profile.optim) if paged and not cuda else profile.optim
    if sharded():  # bitsandbytes' optimizers do not know shards
        optim = "adamw_torch"
    # Where the TensorBoard callback looks; the argument `logging_dir` is gone from transformers 5.
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(output_dir / "runs")
    steps_per_epoch = math.ceil(records / profile.batch_size / profile.gradient_accumulation_steps)
    eval_steps = max(1, min(profile.eval_steps, math.ceil(steps_per_epoch * profile.epochs)))
    return TrainingArguments(
        output_dir=str(output_dir),
        num_train_epochs=profile.epochs,
        learning_rate=profile.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=profile.warmup_ratio,  # below 1: a share of all steps
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=profile.eval_batch_size,
        gradient_accumulation_steps=accumulation,
        optim=optim,
        bf16=profile.compute_dtype == "bfloat16",
        fp16=profile.compute_dtype == "float16" and cuda,  # with a scaled loss, which only a GPU has
        use_cpu=not cuda,
        train_sampling_strategy="group_by_length",  # alike lengths in a batch: less padding to compute
        eval_strategy="steps",
        eval_steps=eval_steps,
        save_steps=eval_steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        restore_callback_states_from_checkpoint=True,  # early stopping goes on counting where it was
        prediction_loss_only=True,  # otherwise every evaluation gathers batch × length × vocabulary logits
        logging_steps=profile.logging_steps,
        logging_first_step=True,
        report_to=trackers,
        dataloader_pin_memory=cuda,
        ddp_find_unused_parameters=False,  # every adapter takes part in every step
        label_names=["labels"],
        seed=profile.seed,
        data_seed=profile.seed,
    )


def loss_history(trainer: WorkshopTrainer) -> pd.DataFrame:
    """The run's losses, a row for each logged step: step, epoch, loss, eval_loss, eval_bleu (0-100), learning_rate.

    Training loss is the mean since the row before; a value that was not measured at a step is NaN.
    """
    import pandas as pd

    rows: dict[int, dict] = {}
    for entry in trainer.state.log_history:
        if "loss" in entry or "eval_loss" in entry:
            rows.setdefault(entry["step"], {}).update(entry)
    columns = ["step", "epoch", "loss", "eval_loss", "eval_bleu", "learning_rate"]
    return pd.DataFrame([rows[step] for step in sorted(rows)], columns=columns)


def training_log(profile: Profile, trainer: WorkshopTrainer) -> dict[str, Any]:
    """What became of a run, JSON-able: model, sizes, steps, seconds, best evaluation loss, every logged loss."""
    trainable, total = trainable_parameters(trainer.model)
    return {
        "profile": profile.name,
        "model": profile.model,
        "trainable_parameters": trainable,
        "total_parameters": total,
        "steps": trainer.state.global_step,
        "train_records": len(trainer.train_dataset),
        "best_eval_loss": trainer.state.best_metric,
        "base_revision": loaded_commit(model_spec(profile)),
        "seconds": trainer.state.log_history[-1].get("train_runtime"),
        "planned_steps": trainer.state.max_steps,  # more than "steps" where training stopped early
        "history": json.loads(loss_history(trainer).to_json(orient="records")),
    }
