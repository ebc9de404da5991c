"""The most that a profile asks of a card: training on its longest records, answering its longest prompts."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback

from benchmarks.training import same_settings
from src.profiles import PROFILES, Profile
from src.qlora import build_lora_config, load_tokenizer, model_shape, model_spec
from src.qlora.adapters import evaluation_mode
from src.qlora.memory import GIB, answering_tokens
from src.training.build import build_trainer
from src.training.labels import IGNORE

STEPS = 3  # timed ones, after one that is not


class Clock(TrainerCallback):
    """``seconds`` of the steps after the first, and what is ``free`` on the card when the last has ended: the allocator
    keeps what it once took, so there was never less."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step in (1, state.max_steps):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
                self.free = torch.cuda.mem_get_info()[0]
            began, self._began = getattr(self, "_began", 0.0), time.perf_counter()
            self.seconds = self._began - began


def longest_records(profile: Profile, count: int, vocab: int) -> Dataset:
    """``count`` records as long as the profile allows, with answers as the estimate has them: twice the longest."""
    length, answer = profile.max_seq_length, 2 * profile.max_new_tokens
    ids = torch.randint(5, vocab, (count, length), generator=torch.Generator().manual_seed(1))
    labels = ids.clone()
    labels[:, :-answer] = IGNORE
    columns = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    return Dataset.from_dict({name: values.tolist() for name, values in columns.items()})


def sft(model: Any, args: Any, data: Dataset, folder: str, profile: Profile) -> Trainer:
    """TRL's trainer on the same model, token ids and labels, with the settings of ours."""
    from trl import SFTConfig, SFTTrainer

    settings = same_settings(args) | {"gradient_checkpointing": profile.gradient_checkpointing}
    config = SFTConfig(output_dir=folder, max_length=profile.max_seq_length, save_strategy="no", **settings)
    tokenizer = load_tokenizer(PROFILES["tiny"])
    data = data.remove_columns("attention_mask")
    return SFTTrainer(model=model, args=config, train_dataset=data, processing_class=tokenizer)


def train(
    model: Any,
    profile: Profile,
    *,
    guest: bool = False,
    steps: int = STEPS,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[Clock, Trainer]:
    """``1 + steps`` updates of the profile's own batch; ``guest``: by TRL's trainer (Unsloth's models too)."""
    rows = profile.batch_size * profile.gradient_accumulation_steps * (1 + steps)
    data = longest_records(profile, rows, model_shape(model_spec(profile)).vocab)
    once = dataclasses.replace(profile, epochs=1.0, early_stopping_patience=0)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(model, load_tokenizer(PROFILES["tiny"]), data, data.select([0]), once, folder)
        trainer.args.eval_strategy = trainer.args.save_strategy = "no"
        trainer.args.load_best_model_at_end, trainer.args.disable_tqdm = False, True
        if guest:
            trainer = sft(model, trainer.args, data, folder, profile)
        trainer.remove_callback(PrinterCallback)
        for callback in (clock, *callbacks):
            trainer.add_callback(callback)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    return clock, trainer


def training_speed(clock: Clock, profile: Profile) -> float:
    """Tokens a second; no row is padded."""
    rows = STEPS * profile.batch_size * profile.gradient_accumulation_steps
    return rows * profile.max_seq_length / clock.seconds


def paging(clock: Clock, trainer: Trainer) -> str:
    """Where the optimizer's states were, in Korean. CUDA moves pages only when a card is full; it counts no moves."""
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    paged = sum(s.nbytes for s in states if getattr(s, "is_paged", False)) / GIB
    if not torch.cuda.is_available():
        return "페이징: GPU가 없어 보지 못했습니다."
    seen = (
        "페이지를 옮길 까닭이 없었습니다"
        if clock.free / GIB > paged
        else "페이지가 CPU 메모리로 옮겨졌을 수 있습니다"
    )
    return (
        f"페이징: 옵티마이저 상태 {paged:.2f}GiB가 페이징되는 메모리에 있습니다. 학습하는 동안 카드에 가장 적게 남은 것이 "
        f"{clock.free / GIB:.2f}GiB이므로 {seen}."
    )


def unsloth(profile: Profile) -> Any:
    """Unsloth's 4-bit model with our adapter's numbers. It changes transformers as it is imported: the last to run."""
    from unsloth import FastLanguageModel

    model, _ = FastLanguageModel.from_pretrained(
        model_spec(profile).location, max_seq_length=profile.max_seq_length, load_in_4bit=True
    )
    lora = build_lora_config(profile)
    numbers = {name: getattr(lora, name) for name in ("r", "lora_alpha", "lora_dropout")}
    return FastLanguageModel.get_peft_model(
        model, **numbers, target_modules=sorted(lora.target_modules), use_gradient_checkpointing="unsloth"
    )


def answer(model: Any, profile: Profile, phase: str) -> tuple[int, float]:
    """(tokens written, seconds) of one batch of the longest prompts, as many rows as ``answering_tokens`` allows."""
    length = profile.max_seq_length * (1 + profile.few_shot_examples * (phase == "few_shot"))
    new, rows = profile.max_new_tokens, max(1, answering_tokens(profile) // length)
    ids = torch.full((rows, length - new), 7, device=model.device)
    mask = torch.ones_like(ids)
    mask[0, 0] = 0  # padded, as a batch of questions is
    options = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "use_cache": True}
    began = time.perf_counter()
    adapter = model.disable_adapter if phase == "few_shot" else contextlib.nullcontext
    with adapter(), evaluation_mode(model):
        made = model.generate(input_ids=ids, attention_mask=mask, pad_token_id=0, **options)
    written = made[:, ids.shape[1] :].cpu().numel()  # waits for the card
    return written, time.perf_counter() - began
