"""Training throughput: this workshop's trainer beside the slides' recipe and TRL's ``SFTTrainer``, step by step.

``python -m benchmarks.training`` trains on the same records with each and writes its section of docs/benchmarks.md
(about eight minutes on two cores); with a number, on that many records, and it only prints. TRL is no dependency of
the workshop: its rows are measured where it can be imported.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import functools
import importlib.util
import io
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import transformers
from datasets import Dataset
from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from benchmarks import machine, write_section
from src.data.splitting import pick
from src.pipeline import load_clean_records
from src.profiles import PROFILES
from src.qlora.adapters import attach_adapter
from src.qlora.configs import build_bnb_config, build_lora_config
from src.qlora.loading import load_base_model, load_tokenizer
from src.training.build import build_trainer
from src.training.labels import IGNORE, tokenize_records

RECORDS, ROUNDS = 256, 3
PROFILE = dataclasses.replace(PROFILES["tiny"], epochs=1.0, early_stopping_patience=0)
SLIDES = "슬라이드: 모두 최대 길이로 패딩, 전체 글에 손실"
OURS = "+ CPU에서 어텐션을 행렬곱으로 = **이 워크숍**(`build_trainer`)"
TRL = "TRL `SFTTrainer`"
RECOMPUTED = f"{TRL}, packing 끔, 활성화 재계산(TRL의 기본값)"
PACKING_OFF, PACKING_ON = f"{TRL}, packing 끔", f"{TRL}, packing 켬(기본값 `bfd`)"
CUTTING = f"{TRL}, packing 켬(`wrapped`: 레코드를 중간에서 자름)"
INSTALL = "python -m pip install --no-deps trl==1.16.0"
FASTER_THAN_SLIDES, FASTER_THAN_TRL = 3.0, 1.3


class Clock(TrainerCallback):
    """Seconds of training alone: by the clock, and of this process's CPUs (steadier where others are at work)."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter(), time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.wall, self.cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]


def ours(tokenizer: Any, data: Dataset, folder: str) -> Trainer:
    """What notebook 03 trains with; evaluation and checkpoints, which the others don't do, are switched off."""
    base = load_base_model(PROFILE, quantization_config=build_bnb_config(PROFILE))
    trainer = build_trainer(
        attach_adapter(base, PROFILE), tokenizer, data, data.select(range(1)), PROFILE, folder
    )
    trainer.args.eval_strategy = trainer.args.save_strategy = "no"
    trainer.args.load_best_model_at_end = False
    trainer.args.disable_tqdm = True
    return trainer


def fused(tokenizer: Any, data: Dataset, folder: str) -> Trainer:
    """Ours without its change of attention."""
    trainer = ours(tokenizer, data, folder)
    trainer.training_step = functools.partial(Trainer.training_step, trainer)
    return trainer


def plain(*, padded: bool, grouped: bool, full_text: bool) -> Callable[..., Trainer]:
    """transformers' own Trainer with our numbers: the steps between the slides' recipe and ours."""

    def build(tokenizer: Any, data: Dataset, folder: str) -> Trainer:
        model = ours(tokenizer, data, folder)
        args = copy.copy(model.args)
        args.train_sampling_strategy = "group_by_length" if grouped else "random"
        if full_text:
            data = data.map(lambda row: {"labels": row["input_ids"]})
        padding = {"padding": "max_length", "max_length": PROFILE.max_seq_length} if padded else {}
        collator = DataCollatorForSeq2Seq(
            tokenizer, label_pad_token_id=IGNORE, pad_to_multiple_of=8, **padding
        )
        return Trainer(
            model=model.model,
            args=args,
            train_dataset=data,
            processing_class=tokenizer,
            data_collator=collator,
        )

    return build


def same_settings(args: TrainingArguments) -> dict[str, Any]:
    """What another trainer must be told to take the same steps."""
    names = ("learning_rate", "lr_scheduler_type", "warmup_steps", "num_train_epochs", "seed", "data_seed")
    names += (
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "optim",
        "bf16",
        "fp16",
        "use_cpu",
    )
    names += ("logging_steps", "dataloader_pin_memory", "disable_tqdm")
    return {name: getattr(args, name) for name in names} | {"report_to": "none"}


def sft(attention: str | None = None, **options: Any) -> Callable[..., Trainer]:
    """TRL's trainer on the same token ids and labels; ``options`` are SFTConfig's, ``attention`` the model's."""

    def build(tokenizer: Any, data: Dataset, folder: str) -> Trainer:
        from trl import SFTConfig, SFTTrainer

        settings = same_settings(ours(tokenizer, data, folder).args)
        settings |= {"gradient_checkpointing": PROFILE.gradient_checkpointing}
        args = SFTConfig(
            output_dir=folder, max_length=PROFILE.max_seq_length, save_strategy="no", **settings | options
        )
        model = load_base_model(PROFILE, quantization_config=build_bnb_config(PROFILE))
        if attention:
            model.set_attn_implementation(attention)
        return SFTTrainer(
            model=model,
            args=args,
            train_dataset=data.remove_columns("attention_mask"),
            processing_class=tokenizer,
            peft_config=build_lora_config(PROFILE),
        )

    return build


def ways() -> dict[str, Callable[..., Trainer]]:
    """Every recipe by its row's name: from the slides' to ours, then TRL's where it is installed."""
    found = {
        SLIDES: plain(padded=True, grouped=False, full_text=True),
        "+ 배치의 가장 긴 것까지만 패딩": plain(padded=False, grouped=False, full_text=True),
        "+ 길이가 비슷한 것끼리 묶기": plain(padded=False, grouped=True, full_text=True),
        "+ 답에만 라벨": plain(padded=False, grouped=True, full_text=False),
        "+ 답이 있는 자리의 로짓만 계산": fused,
        OURS: ours,
    }
    if importlib.util.find_spec("trl"):
        found |= {
            PACKING_OFF: sft(),
            PACKING_ON: sft(packing=True),
            CUTTING: sft(packing=True, packing_strategy="wrapped"),
            f"{TRL}, packing 끔, 길이별로 묶기": sft(train_sampling_strategy="group_by_length"),
            f"{TRL}, packing 끔, 길이별로 묶기, 어텐션을 행렬곱으로": sft(
                "eager", train_sampling_strategy="group_by_length"
            ),
            RECOMPUTED: sft(gradient_checkpointing=True),
        }
    return found


def measure(build: Callable[..., Trainer], tokenizer: Any, data: Dataset) -> tuple[float, float, int]:
    """(seconds, seconds of CPU, steps) for one pass over ``data``; loading and tokenizing are not counted.

    Raises:
        RuntimeError: the trainer has dropped or cut away tokens, so its records cannot be counted.
    """
    clock = Clock()
    silence = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, silence[0], silence[1]:
        trainer = build(tokenizer, data, folder)
        kept, given = (sum(map(len, rows["input_ids"])) for rows in (trainer.train_dataset, data))
        if kept != given:
            raise RuntimeError(f"{kept} tokens are trained on, {given} were given")
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(clock)
        trainer.train()
    return clock.wall, clock.cpu, trainer.state.global_step


def verdict(seconds: dict[str, float]) -> str:
    """What the table says of the two demands, in Korean."""
    slides = seconds[SLIDES] / seconds[OURS]
    text = f"이 워크숍의 학습은 슬라이드의 {slides:.1f}배 빠릅니다(목표 {FASTER_THAN_SLIDES:g}배"
    text += ")." if slides >= FASTER_THAN_SLIDES else ", 이르지 못함)."
    if PACKING_OFF not in seconds:
        return f"{text} TRL의 줄은 재지 않았습니다. `{INSTALL}`로 설치한 뒤 다시 실행하면 잽니다."
    # Checkpointing is as in our profile. Packing that cuts records is told by itself: it trains on other samples.
    off, on = seconds[PACKING_OFF], seconds[PACKING_ON]
    faster, cutting = min(off, on) / seconds[OURS], seconds[CUTTING] / seconds[OURS]
    text += (
        f" TRL은 packing을 {'끈' if off <= on else '켠'} 쪽이 빠르고, 이 워크숍의 학습은 그 {faster:.2f}배입니다"
        f"(목표 {FASTER_THAN_TRL:g}배"
    )
    text += ")." if faster >= FASTER_THAN_TRL else ", 이르지 못함)."
    text += f" 레코드를 중간에서 잘라 빈자리 없이 채우는 packing과 견주면 {cutting:.2f}배입니다."
    default = seconds[RECOMPUTED] / seconds[OURS]
    return f"{text} 활성화를 다시 계산하는 TRL의 기본값과 견주면 {default:.2f}배입니다."


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("records", nargs="?", type=int)
    asked = parser.parse_args().records
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    count = asked or RECORDS
    tokenizer = load_tokenizer(PROFILE)
    records = pick(load_clean_records(PROFILE)["train"], count, PROFILE.seed)
    data = tokenize_records(records, tokenizer, PROFILE.max_seq_length)
    measure(ours, tokenizer, data.select(range(16)))  # the first steps of a process are slow
    best: dict[str, tuple[float, float, int]] = {}
    for _ in range(
        1 if asked else ROUNDS
    ):  # in turns, so that a busy moment does not fall on one recipe alone
        for name, build in ways().items():
            found = measure(build, tokenizer, data)
            best[name] = min(best.get(name, found), found)
            print(f"{name}: {count / found[0]:.1f}/s (a second of CPU {count / found[1]:.1f})", flush=True)
    slowest = best[SLIDES][0]
    lengths = [len(ids) for ids in data["input_ids"]]
    answers = sum(label != IGNORE for labels in data["labels"] for label in labels)
    lines = [
        f"| {name} | {count / wall:.1f} | {slowest / wall:.1f}배 | {steps} |"
        for name, (wall, _, steps) in best.items()
    ]
    trl = ("trl",) if PACKING_OFF in best else ()
    text = "\n".join(
        [
            "## 학습의 처리량",
            "",
            f"{PROFILE.name} 프로파일의 NF4 베이스와 LoRA(r={PROFILE.lora_r})로 같은 학습 레코드 {count:,}건"
            f"(평균 {sum(lengths) / count:.0f}토큰, 가장 긴 것 {max(lengths)}토큰, 답은 전체 토큰의 "
            f"{answers / sum(lengths):.1%})을 배치 {PROFILE.batch_size}로 한 번씩 학습합니다. 최대 길이는 "
            f"{PROFILE.max_seq_length}토큰입니다. 초당 레코드는 원래 레코드로 세었고(packing으로 묶인 줄이 아님), {ROUNDS}번 "
            "가운데 가장 빠른 것입니다. packing은 여러 레코드를 한 줄에 담으므로 스텝이 적습니다. 모델을 불러오는 시간, 평가와 "
            "저장은 뺐습니다. 따로 적지 않은 줄은 모두 프로파일대로 활성화를 다시 계산하지 않습니다.",
            "",
            "| 방법 | 초당 레코드 | 슬라이드 대비 | 스텝 |",
            "|---|---:|---:|---:|",
            *lines,
            "",
            verdict({name: wall for name, (wall, *_) in best.items()}),
            "",
            "`+` 줄들은 하나씩 더한 것이라, 줄 사이의 차이가 그 방법의 몫입니다. 행렬곱 어텐션(`eager`)은 CPU에서 torch의 묶은 "
            "커널보다 역전파가 빠르고, GPU에서는 쓰지 않습니다. 답에만 라벨을 두는 것은 속도가 아니라 무엇을 "
            "배우는지를 바꿉니다. 답이 있는 자리의 로짓만 계산해도 학습된 어댑터는 비트까지 같습니다.",
            "",
            f"{machine('torch', 'transformers', 'peft', 'bitsandbytes', *trl)} 명령: `python -m benchmarks.training`"
            f"(TRL: `{INSTALL}`)",
        ]
    )
    print(text)
    if asked is None:
        write_section("training", text)


if __name__ == "__main__":
    main()
