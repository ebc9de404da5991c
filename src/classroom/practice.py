"""Short trainings on the tiny base, for drills and demonstrations: the same few records, seconds each."""

import contextlib
import io
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from src.profiles import PROFILES, Profile, active_profile

# More learning rate and fewer steps than the profile's.
PRACTICE = replace(
    PROFILES["tiny"],
    learning_rate=2e-3,
    batch_size=4,
    epochs=1.0,
    logging_steps=4,
    eval_steps=6,
    bleu_records=0,
    early_stopping_patience=0,
    optim="adamw_torch",  # as on a CPU, and no line about it
)
POOL_RECORDS, SHORT_RUN_RECORDS, VALIDATION_RECORDS = 192, 48, 16
NEVER_STOPS = 12.0  # taken from EOS's logit: a base that has learned to speak and never to stop


@dataclass
class Attempt:
    """One short training run: what it was given, what it left, what stopped it."""

    profile: Profile
    rows: Any  # tokenized training records
    model: Any = None
    history: Any = None  # loss_history's table
    error: Exception | None = None


def findings(attempt: Attempt) -> list[str]:
    """What our tools say about an attempt, in Korean; empty for a healthy one."""
    from src.training.diagnosis import diagnose_history
    from src.training.labels import LabelAuditError, audit_labels

    found = [str(attempt.error)] if attempt.error else []
    try:
        audit_labels(attempt.rows, tokenizer(), records()["train"])
    except LabelAuditError as error:
        found.append(str(error))
    return found + (diagnose_history(attempt.history) if attempt.history is not None else [])


def answer_loss(attempt: Attempt) -> str:
    """Mean loss of the validation answers, in the form in which they will be asked."""
    import torch

    model, losses = attempt.model.eval(), []
    for row in healthy_rows("validation"):
        ids, labels = (torch.tensor([row[name]], device=model.device) for name in ("input_ids", "labels"))
        with torch.no_grad():
            losses.append(model(input_ids=ids, labels=labels).loss.item())
    return f"{sum(losses) / len(losses):.2f}"


def stopped(attempt: Attempt) -> str:
    """Share of validation answers that end by themselves, before ``max_new_tokens``."""
    model, prompts = attempt.model.eval(), []
    for row in healthy_rows("validation"):
        pairs = zip(row["input_ids"], row["labels"], strict=True)
        prompts.append([token for token, label in pairs if label < 0])
    batch = tokenizer().pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(model.device)
    output = model.generate(**batch, max_new_tokens=PRACTICE.max_new_tokens, do_sample=False, use_cache=True)
    ended = (output[:, batch["input_ids"].shape[1] :] == tokenizer().eos_token_id).any(dim=1)
    return f"{float(ended.float().mean()):.0%}"


def last_loss(attempt: Attempt, column: str = "loss", digits: int = 2) -> str:
    return f"{attempt.history[column].dropna().iloc[-1]:.{digits}f}"


eval_loss = partial(last_loss, column="eval_loss")


def attempt(
    rows: Any = None,
    validation: Any = None,
    targets: Any = None,
    never_stops: bool = False,
    max_grad_norm: float = 1.0,  # Trainer's own; 0: gradients are not clipped
    **changes: Any,
) -> Attempt:
    """Train ``PRACTICE`` with ``changes`` on ``rows`` (default: healthy ones); an error of ours ends up in it."""
    from src.qlora.configs import build_lora_config
    from src.qlora.fitting import OutOfMemory
    from src.training.build import loss_history

    profile = replace(PRACTICE, **changes)
    result = Attempt(profile, rows or healthy_rows())
    config = build_lora_config(profile)
    if targets:
        config.target_modules = targets
    with quiet() as folder:
        try:
            trainer = short_trainer(folder, result.rows, validation, profile, config)
            trainer.args.max_grad_norm = max_grad_norm
            if never_stops:
                trainer.model.get_output_embeddings().register_forward_hook(_lower_eos)
            trainer.train()
            result.model, result.history = trainer.model, loss_history(trainer)
        except (ValueError, OutOfMemory) as error:
            result.error = error
    return result


def short_trainer(
    folder: str, rows: Any = None, validation: Any = None, profile: Profile = PRACTICE, config: Any = None
) -> Any:
    """A fresh adapter on a fresh base, and the trainer that will train it on ``rows`` (default: the shortest ones)."""
    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model
    from src.training.build import build_trainer

    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    model = attach_adapter(base, profile, config)
    rows, asked = rows or _shortest_rows(), validation or healthy_rows("validation")
    return mute(build_trainer(model, tokenizer(), rows, asked, profile, folder))


@cache
def healthy() -> Attempt:
    """The run that every broken one is compared with."""
    return attempt()


@cache
def _pool() -> dict[str, list]:
    """Clean records of a few of the tiny profile's samples, whatever profile runs and whatever its notebooks have left;
    those with a short document, so that a step is quick."""
    from src.data.corpus import read_corpus
    from src.data.splitting import pick, split_by_group
    from src.pipeline import clean_splits, convert_splits

    tiny = PROFILES["tiny"]
    ratios = {"validation_ratio": tiny.validation_ratio, "test_ratio": tiny.test_ratio}
    splits = split_by_group(read_corpus(tiny)[0], **ratios, seed=tiny.seed)
    few = {
        name: pick(sorted(splits[name], key=lambda s: (len(s.context), s.id))[: 4 * count], count, tiny.seed)
        for name, count in (("train", POOL_RECORDS), ("validation", 3 * VALIDATION_RECORDS))
    }
    return clean_splits(convert_splits(few, tiny, tokenizer())[0], tokenizer())[0]


def short_records(split: str, count: int) -> list:
    """The ``count`` shortest of them."""
    return sorted(_pool()[split], key=lambda record: (record.n_tokens, record.id))[:count]


def train_count() -> int:
    """Records that a drill trains on; where only the way through is tested, fewer."""
    return active_profile().practice_records * 3 // 5


@cache
def records() -> dict[str, list]:
    """What the short trainings see, always the same."""
    pools = (("train", train_count()), ("validation", VALIDATION_RECORDS))
    return {
        name: random.Random(0).sample(short_records(name, 3 * count // 2), count) for name, count in pools
    }


@cache
def tokenizer() -> Any:
    from src.qlora.loading import load_tokenizer

    return load_tokenizer(PRACTICE)


@cache
def healthy_rows(split: str = "train") -> Any:
    from src.training.labels import tokenize_records

    return tokenize_records(records()[split], tokenizer(), PRACTICE.max_seq_length)


@cache
def _shortest_rows() -> Any:
    from src.training.labels import tokenize_records

    return tokenize_records(short_records("train", SHORT_RUN_RECORDS), tokenizer(), PRACTICE.max_seq_length)


def relabelled(labels: Callable[[dict], list[int]]) -> Any:
    """The healthy training rows with ``labels(row)`` in place of their own."""
    from datasets import Dataset

    return Dataset.from_list([{**row, "labels": labels(row)} for row in healthy_rows().to_list()])


def _lower_eos(module: Any, inputs: Any, logits: Any) -> Any:
    logits = logits.clone()
    logits[..., tokenizer().eos_token_id] -= NEVER_STOPS
    return logits


@contextlib.contextmanager
def quiet() -> Iterator[str]:
    """A folder that is thrown away, and no lines but the drill's own."""
    from transformers.utils import logging

    with contextlib.ExitStack() as stack:
        stack.callback(logging.set_verbosity, logging.get_verbosity())
        logging.set_verbosity_error()
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(warnings.catch_warnings(action="ignore"))
        yield stack.enter_context(tempfile.TemporaryDirectory(prefix="drill-"))


def mute(trainer: Any) -> Any:
    """``trainer`` without progress, without a TensorBoard file that would outlive its folder, keeping all checkpoints
    (written within a second, their age cannot be told)."""
    trainer.args.save_total_limit = None
    for callback in list(trainer.callback_handler.callbacks):
        if any(word in type(callback).__name__ for word in ("Progress", "Printer", "TensorBoard")):
            trainer.remove_callback(callback)
    return trainer
