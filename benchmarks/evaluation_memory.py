"""Peak memory of an evaluation as it grows: this workshop's beside logits gathered for ``compute_metrics``.

``python -m benchmarks.evaluation_memory`` measures each case in a process of its own and writes its section of
docs/benchmarks.md (two to three minutes on two cores); with a number, 1× is that many records, and it only prints.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks import machine, write_section
from src.profiles import PROFILES

RECORDS, TIMES = 64, (1, 4, 16)
PROFILE = dataclasses.replace(PROFILES["tiny"], early_stopping_patience=0)
WAYS = {
    "ours": "이 워크숍: 손실만(`prediction_loss_only`) + 모든 샘플에 답을 만들어 BLEU",
    "naive": "로짓을 모두 모아 `compute_metrics`(토큰 정확도)",
}


class Resident:
    """``with Resident() as seen: …`` and then ``seen.before`` and ``seen.peak``: MiB of this process in memory, looked at
    every 2 ms. ``anonymous``: without what mirrors a file (libraries, mapped weights), which Linux alone tells."""

    def __init__(self, anonymous: bool = False) -> None:
        import psutil

        self._anonymous, self._process = anonymous, psutil.Process()

    def __enter__(self) -> Resident:
        self.before = self.peak = self._now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _now(self) -> float:
        memory = self._process.memory_info()
        return (memory.rss - (memory.shared if self._anonymous else 0)) / 2**20

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self.peak = max(self.peak, self._now())


def evaluate(way: str, records: int, times: int) -> tuple[float, float]:
    """MiB by which one evaluation of ``records × times`` records raises this process's memory, and MiB of the torch
    tensors that live at once in it.

    The records are drawn once and every smaller set is spread evenly over their lengths, so that the longest batch is
    alike in all cases. The model, the data and the libraries are loaded before.
    """
    import transformers
    from transformers import Trainer

    from src.classroom.meters import TensorBytes
    from src.data.splitting import pick
    from src.pipeline import load_clean_records
    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model, load_tokenizer
    from src.training.build import build_trainer
    from src.training.labels import IGNORE, tokenize_records

    transformers.logging.set_verbosity_error()
    tokenizer = load_tokenizer(PROFILE)
    drawn = pick(load_clean_records(PROFILE)["train"], records * max(TIMES), PROFILE.seed)
    drawn = sorted(drawn, key=lambda record: -record.n_tokens)[:: max(TIMES) // times]
    data = tokenize_records(drawn, tokenizer, PROFILE.max_seq_length)
    base = load_base_model(PROFILE, quantization_config=build_bnb_config(PROFILE))
    model = attach_adapter(base, PROFILE)
    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(model, tokenizer, data, data, PROFILE, folder, bleu_records=drawn)
        trainer.args.disable_tqdm = True
        if way == "naive":

            def token_accuracy(prediction) -> dict[str, float]:
                guesses, labels = prediction.predictions[:, :-1].argmax(-1), prediction.label_ids[:, 1:]
                return {"accuracy": float((guesses == labels)[labels != IGNORE].mean())}

            trainer.args.prediction_loss_only = False
            trainer = Trainer(
                model=model,
                args=trainer.args,
                eval_dataset=data,
                processing_class=tokenizer,
                data_collator=trainer.data_collator,
                compute_metrics=token_accuracy,
            )
        with Resident() as resident, TensorBytes() as tensors:
            found = trainer.evaluate()
    if ("eval_bleu" if way == "ours" else "eval_accuracy") not in found:
        raise RuntimeError(f"{way}: no score among {sorted(found)}")
    return resident.peak - resident.before, tensors.peak / 2**20


def in_a_process(way: str, records: int, times: int) -> tuple[float, float]:
    """``evaluate`` in a fresh process: memory that one case leaves behind does not hide the next one's."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.evaluation_memory",
        str(records),
        "--case",
        way,
        str(times),
    ]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    resident, tensors = map(float, done.stdout.split()[-2:])
    return resident, tensors


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("records", nargs="?", type=int)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    records = asked.records or RECORDS
    if asked.case:
        with contextlib.redirect_stdout(io.StringIO()):
            resident, tensors = evaluate(asked.case[0], records, int(asked.case[1]))
        print(resident, tensors)
        return
    peaks: dict[str, list[tuple[float, float]]] = {}
    for way in WAYS:
        peaks[way] = []
        for times in TIMES:
            peaks[way].append(in_a_process(way, records, times))
            print(way, times, *(f"{mib:.0f} MiB" for mib in peaks[way][-1]), flush=True)
    head = " | ".join(f"{times}배({records * times:,}건)" for times in TIMES)
    lines, growth = [], {}
    for way, found in peaks.items():
        for place, what in enumerate(("텐서", "RSS")):
            values = [pair[1 - place] for pair in found]
            growth[way, what] = values[-1] / values[0]
            cells = " | ".join(f"{mib:,.0f}" for mib in values)
            lines.append(f"| {WAYS[way]} | {what} | {cells} | {growth[way, what]:.1f}배 |")
    text = "\n".join(
        [
            "## 평가의 메모리",
            "",
            f"{PROFILE.name} 프로파일의 NF4 베이스에 어댑터를 붙이고 한 번에 {PROFILE.eval_batch_size}건씩 평가하는 동안의 최고치"
            "(MiB)입니다. 텐서는 한순간에 살아 있는 torch 텐서의 합이고, RSS는 평가를 시작하기 전보다 늘어난 프로세스의 "
            "메모리입니다. RSS에는 파이썬과 라이브러리, 할당자가 돌려주지 않은 자리도 듭니다. 경우마다 새 프로세스에서 쟀습니다.",
            "",
            f"| 방법 | 잰 것 | {head} | {TIMES[-1]}배 ÷ 1배 |",
            "|---|---|---:|---:|---:|---:|",
            *lines,
            "",
            f"샘플이 {TIMES[-1]}배가 되면 우리 평가의 텐서는 {growth['ours', '텐서']:.1f}배(RSS는 {growth['ours', 'RSS']:.1f}배), "
            f"로짓을 모으는 평가의 텐서는 {growth['naive', '텐서']:.1f}배(RSS는 {growth['naive', 'RSS']:.1f}배)가 됩니다. 손실은 배치마다 수 하나만 남고 답은 글로만 남지만, "
            "로짓은 샘플 × 길이 × 어휘만큼 쌓이기 때문입니다.",
            "",
            f"{machine('torch', 'transformers', 'peft')} 명령: `python -m benchmarks.evaluation_memory`",
        ]
    )
    print(text)
    if asked.records is None:
        write_section("evaluation-memory", text)


if __name__ == "__main__":
    main()
