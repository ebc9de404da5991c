"""Records become token ids with labels on the answer only, labels are audited, and a Trainer is built on them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.models import CHAT_TEMPLATE_OPTIONS, licence_line, model_spec
from src.profiles import Profile
from src.raft import to_messages

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, Trainer

IGNORE = -100  # the label that cross-entropy leaves out


class LabelAuditError(ValueError):
    """The labels would teach something else than the answers; the message says what and how to mend it."""


def tokenize_records(records: Sequence, tokenizer: PreTrainedTokenizerBase, max_seq_length: int) -> Dataset:
    """``input_ids``, ``attention_mask`` and ``labels`` of each record, unpadded, all three equally long.

    Labels are the assistant's answer with its EOS; the prompt and whatever a template writes after EOS are -100.
    A record longer than ``max_seq_length`` tokens is left out and counted in a printed line, never cut: a cut
    would take the evidence or the EOS away.

    Raises:
        ValueError: the prompt's tokens are not the beginning of the whole conversation's, or nothing is left.
    """
    from datasets import Dataset

    rows = [_tokenize(record, tokenizer) for record in records]
    kept = [row for row in rows if len(row["input_ids"]) <= max_seq_length]
    refused = len(rows) - len(kept)
    if refused:
        longest = max(len(row["input_ids"]) for row in rows)
        print(
            f"{len(rows)}건 가운데 {refused}건은 {max_seq_length}토큰보다 길어 제외했습니다(가장 긴 것 {longest}토큰). "
            "쓰려면 max_seq_length를 늘리거나 max_context_tokens를 줄여 주세요."
        )
    if not kept:
        raise ValueError(
            f"학습할 레코드가 없습니다({len(rows)}건 모두 제외). 입력 파일과 max_seq_length를 확인해 주세요."
        )
    return Dataset.from_list(kept)


def _tokenize(record, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    prompt = _render(tokenizer, to_messages(record, with_answer=False), add_generation_prompt=True)
    whole = _render(tokenizer, to_messages(record), add_generation_prompt=False)
    # The template writes BOS itself where the model has one; the tokenizer must not add a second.
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = tokenizer(whole, add_special_tokens=False)["input_ids"]
    start = len(prompt_ids)
    if ids[:start] != prompt_ids:
        raise ValueError(
            "프롬프트가 전체 대화의 앞부분과 토큰 단위로 일치하지 않아 답변의 시작을 찾을 수 없습니다. "
            "채팅 템플릿의 add_generation_prompt 부분이 답변 바로 앞까지와 같은지 확인해 주세요."
        )
    answer = ids[start:]
    if tokenizer.eos_token_id in answer:  # some templates write a line break after EOS: not to be learned
        end = len(answer) - answer[::-1].index(tokenizer.eos_token_id)
        answer = answer[:end] + [IGNORE] * (len(answer) - end)
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": [IGNORE] * start + answer}


def _render(tokenizer: PreTrainedTokenizerBase, messages: list[dict], *, add_generation_prompt: bool) -> str:
    return tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=add_generation_prompt, **CHAT_TEMPLATE_OPTIONS
    )


def audit_labels(dataset: Dataset, tokenizer: PreTrainedTokenizerBase) -> dict:
    """Read the labels as the loss will, before an hour is spent on them.

    Returns counts over the data set and the first record's decoded ``masked`` and ``supervised`` parts.

    Raises:
        LabelAuditError: in some record no token or every token is supervised, EOS is not a label, padding is in
            the loss, or BOS stands twice at the beginning.
    """
    eos, pad, bos = tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id
    nothing = everything = no_eos = padded = double_bos = tokens = supervised = longest = 0
    for row in dataset:
        ids, mask, labels = row["input_ids"], row["attention_mask"], row["labels"]
        targets = [label for label in labels if label != IGNORE]
        nothing += not targets
        everything += len(targets) == len(labels) > 0
        no_eos += bool(targets) and targets[-1] != eos
        padded += any(
            label != IGNORE and (not seen or (token == pad and pad != eos))
            for token, seen, label in zip(ids, mask, labels, strict=True)
        )
        double_bos += bos is not None and ids[:2] == [bos, bos]
        tokens += len(ids)
        supervised += len(targets)
        longest = max(longest, len(ids))

    problems = [
        (len(dataset) == 0, "데이터가 비어 있습니다. tokenize_records의 입력을 확인해 주세요."),
        (nothing, f"{nothing}건은 학습할 토큰이 하나도 없습니다. 답변이 잘렸거나 비어 있는지 확인해 주세요."),
        (
            everything,
            f"{everything}건은 질문과 문맥까지 모두 학습합니다. 프롬프트 부분의 라벨을 -100으로 바꿔 주세요.",
        ),
        (
            no_eos,
            f"{no_eos}건은 답변 끝의 EOS가 라벨에 없어 모델이 멈추는 법을 배우지 못합니다. "
            "답변이 EOS로 끝나는지, pad_token을 eos_token으로 바꾸지 않았는지 확인해 주세요.",
        ),
        (padded, f"{padded}건은 패딩이 손실에 들어갑니다. 패딩 자리의 라벨을 -100으로 바꿔 주세요."),
        (
            double_bos,
            f"{double_bos}건은 BOS가 두 번 들어갑니다. 채팅 템플릿을 쓴 글은 add_special_tokens=False로 토큰화해 주세요.",
        ),
    ]
    found = [message for bad, message in problems if bad]
    if found:
        raise LabelAuditError(
            "\n".join(["라벨 점검에서 문제를 찾았습니다.", *(f"- {line}" for line in found)])
        )

    first = dataset[0]
    return {
        "records": len(dataset),
        "tokens": tokens,
        "supervised_tokens": supervised,
        "supervised_share": supervised / tokens,
        "longest": longest,
        "masked": tokenizer.decode(
            [t for t, label in zip(first["input_ids"], first["labels"], strict=True) if label == IGNORE]
        ),
        "supervised": tokenizer.decode([label for label in first["labels"] if label != IGNORE]),
    }


def label_pieces(row: dict, tokenizer: PreTrainedTokenizerBase) -> list[tuple[str, bool]]:
    """A tokenized row as (text, supervised) pieces in order: a token each, or the tokens that only together make
    a character (byte-level vocabularies)."""
    pieces: list[tuple[str, bool]] = []
    held: list[int] = []
    labels = row["labels"]
    for i, token in enumerate(row["input_ids"]):
        held.append(token)
        text, supervised = tokenizer.decode(held), labels[i] != IGNORE
        last = i + 1 == len(labels) or (labels[i + 1] != IGNORE) != supervised
        if last or "\ufffd" not in text:
            pieces.append((text, supervised))
            held = []
    return pieces


def build_trainer(
    model,
    tokenizer: PreTrainedTokenizerBase,
    train_dataset: Dataset,
    eval_dataset: Dataset,
    profile: Profile,
    output_dir: str | Path | None = None,
) -> Trainer:
    """A ``transformers.Trainer`` with the profile's numbers, ready for ``.train()``.

    Checkpoints go to ``output_dir`` (default: the profile's artefacts), TensorBoard events to its ``runs``. The
    checkpoint with the lowest evaluation loss is loaded at the end.
    """
    import torch
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    cuda = torch.cuda.is_available()
    output_dir = Path(output_dir or profile.artifacts_dir)
    optim = profile.optim
    if not cuda and optim.startswith("paged"):
        optim = "adamw_torch"
        print(f"GPU가 없어 페이징할 메모리가 없으므로 {profile.optim} 대신 {optim}로 학습합니다.")
    # Where the TensorBoard callback looks; the argument `logging_dir` is gone from transformers 5.
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(output_dir / "runs")
    steps_per_epoch = math.ceil(len(train_dataset) / profile.batch_size / profile.gradient_accumulation_steps)
    eval_steps = max(1, min(profile.eval_steps, math.ceil(steps_per_epoch * profile.epochs)))
    args = TrainingArguments(
        output_dir=str(output_dir),
        num_train_epochs=profile.epochs,
        learning_rate=profile.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=profile.warmup_ratio,  # below 1: a share of all steps
        per_device_train_batch_size=profile.batch_size,
        per_device_eval_batch_size=profile.eval_batch_size,
        gradient_accumulation_steps=profile.gradient_accumulation_steps,
        optim=optim,
        bf16=True,
        use_cpu=not cuda,
        train_sampling_strategy="group_by_length",  # alike lengths in a batch: less padding to compute
        eval_strategy="steps",
        eval_steps=eval_steps,
        save_strategy="steps",
        save_steps=eval_steps,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        prediction_loss_only=True,  # otherwise every evaluation gathers batch × length × vocabulary logits
        logging_steps=profile.logging_steps,
        logging_first_step=True,
        report_to="tensorboard",
        dataloader_pin_memory=cuda,
        label_names=["labels"],
        seed=profile.seed,
        data_seed=profile.seed,
        disable_tqdm=False,
    )
    return Trainer(
        model=model,
        args=args,
        train_dataset=train_dataset,
        eval_dataset=eval_dataset,
        processing_class=tokenizer,
        # Pads inputs with the pad token and labels with -100, to the longest of the batch only.
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=IGNORE, pad_to_multiple_of=8),
    )


def loss_history(trainer: Trainer) -> pd.DataFrame:
    """The run's losses: one row a logged step with ``step``, ``epoch``, ``loss``, ``eval_loss``, ``learning_rate``.

    Training loss is the mean since the row before; a value that was not measured at a step is NaN.
    """
    import pandas as pd

    rows: dict[int, dict] = {}
    for entry in trainer.state.log_history:
        if "loss" in entry or "eval_loss" in entry:
            rows.setdefault(entry["step"], {}).update(entry)
    columns = ["step", "epoch", "loss", "eval_loss", "learning_rate"]
    return pd.DataFrame([rows[step] for step in sorted(rows)], columns=columns)


def model_card(profile: Profile, log: dict) -> str:
    """README.md of an adapter: metadata the hub reads, what it was made from, how, how well, and how to load it.

    ``log`` is ``training_log.json``'s content.
    """
    spec = model_spec(profile)
    licence = "apache-2.0" if spec.licence == "Apache-2.0" else f"other\nlicense_name: {spec.licence}"
    targets = ", ".join(spec.lora_targets)
    batch = profile.batch_size * profile.gradient_accumulation_steps
    return f"""---
base_model: {spec.source}
library_name: peft
pipeline_tag: text-generation
language: ko
license: {licence}
tags: [lora, qlora, raft]
---

# {spec.key} RAFT 어댑터

문맥에서 답을 찾아 "문맥에 따르면 …" 꼴로 답하고, 문맥에 답이 없으면 없다고 말하도록 학습한 LoRA 어댑터입니다.

- 베이스 모델: {spec.source} (NF4 4비트, 이중 양자화)
- {licence_line(spec)}
- 데이터: {", ".join(profile.data_files)}에서 만든 학습 레코드 {log["train_records"]:,}건
- LoRA: r={profile.lora_r}, alpha={profile.lora_alpha}, dropout={profile.lora_dropout}, 대상 {targets}
- 학습: {log["steps"]}스텝, 한 번에 {batch}건, 학습률 {profile.learning_rate:g}, 시드 {profile.seed}
- 가장 낮은 검증 손실: {log["best_eval_loss"]:.4f} (답의 품질은 따로 평가해 주세요)

## 쓰는 법

```python
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("이 폴더")
tokenizer = AutoTokenizer.from_pretrained("이 폴더")
```

## 한계

학습한 문서와 다른 분야, 다른 질문 형식에서는 답이 나빠질 수 있습니다. 중요한 답은 반드시 원문과 대조해 주세요.
"""
