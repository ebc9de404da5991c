"""The large model's true shape on a CPU: loaded, trained for one update, asked, saved and loaded again.

``python -m benchmarks.true_shape`` takes half an hour on two cores, 16 GB of disk (``TMPDIR``) for random weights and
no network, and writes its section of docs/benchmarks.md: each term of the estimate beside the tensors that were
counted, and what the process held in memory stage by stage.
"""

from __future__ import annotations

import contextlib
import logging
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import TrainerCallback

from benchmarks import machine, write_section
from benchmarks.evaluation_memory import Resident
from benchmarks.gpu import LOADED, ON_CPU, model_bytes
from benchmarks.longest import train
from benchmarks.random_weights import random_model
from src.classroom.meters import TensorBytes
from src.profiles import PROFILES, Profile
from src.qlora import (
    MODELS,
    PHASES,
    attach_adapter,
    build_bnb_config,
    estimate_vram,
    free_memory,
    load_base_model,
    model_shape,
    model_spec,
)
from src.qlora.adapters import evaluation_mode, load_adapter, logit_difference, logits_of
from src.qlora.memory import GIB, TERMS
from src.qlora.registry import ModelShape

OWN = PROFILES["rtx4090"]
PROFILE = replace(ON_CPU, batch_size=1, gradient_accumulation_steps=1, max_seq_length=OWN.max_seq_length)
STEP, NEW, PROBE = (
    256,
    2,
    64,
)  # tokens of a row that is trained on, of an answer, and whose logits are compared
FREED = "모두 비운 뒤"
MOST, WITHIN = 12.0, 0.1  # GiB of anonymous memory; how far a term may lie from the estimate


class Kinds(TensorBytes):
    """``TensorBytes`` that tells the logits, which are as wide as the vocabulary: their bytes when most lay in memory
    (``logits_at_peak``), and at their own most (``most_logits``)."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.vocab, self.logits, self.most_logits, self.logits_at_peak = vocab, 0, 0, 0

    def _count(self, tensor: torch.Tensor, given: set[int]) -> None:
        storage, peak = tensor.untyped_storage(), self.peak
        new = storage._cdata not in self._known and storage._cdata not in given
        if new and tensor.shape[-1:] == (self.vocab,):
            self.logits += storage.nbytes()
            self.most_logits = max(self.most_logits, self.logits)
            weakref.finalize(storage, self._forget, storage.nbytes())
        super()._count(tensor, given)
        if self.peak > peak:
            self.logits_at_peak = self.logits

    def _forget(self, size: int) -> None:
        self.logits -= size


class BeforeUpdate(TrainerCallback):
    """What ``meter`` had counted before the optimizer made anything, in ``terms``. The row finds gradients (zeros), as
    all rows of an update but its first do."""

    def __init__(self, meter: Kinds) -> None:
        self._meter = meter

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        for parameter in filter(lambda p: p.requires_grad, model.parameters()):
            parameter.grad = torch.zeros_like(parameter)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
        logits = self._meter.logits_at_peak
        self.terms = {
            "gradients": gradients,
            "activations": self._meter.peak - gradients - logits,
            "logits": logits,
        }


@dataclass
class Found:
    terms: list[tuple[str, str, float, float]] = field(default_factory=list)  # phase, term, GiB told, counted
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)  # seconds, GiB anonymous at most
    difference: float | None = None  # the largest between logits before and after; None: stopped before

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        with Resident(anonymous=True) as seen:
            yield
        self.stages[name] = time.perf_counter() - began, seen.peak / 1024
        print(name, self.stages[name], flush=True)

    def count(self, phase: str, told: dict[str, float], counted: dict[str, int]) -> None:
        """The terms that were counted beside what the estimate told of them."""
        for term in TERMS:
            if term in counted:
                self.terms.append((phase, term, told[term], counted[term] / GIB))
                print(*self.terms[-1], flush=True)


@contextlib.contextmanager
def as_on_a_card() -> Iterator[None]:
    """PEFT asks whether autocast is on for CUDA before it trusts it: without it a CPU copies every input to fp32."""
    before = torch.is_autocast_enabled("cuda")
    torch.set_autocast_enabled("cuda", True)
    try:
        yield
    finally:
        torch.set_autocast_enabled("cuda", before)


def update(model: Any, profile: Profile) -> dict[str, int]:
    """Bytes by term of one update by the workshop's trainer."""
    with Kinds(model_shape(model_spec(profile)).vocab) as meter:
        seen = BeforeUpdate(meter)
        _, trainer = train(model, profile, steps=0, callbacks=[seen])
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    return seen.terms | {"optimizer": sum(value.nbytes for value in states)}


def answer(model: Any, profile: Profile) -> dict[str, int]:
    """Bytes by term of answering one of the longest prompts. Its logits come when the last block's values are gone."""
    ids = torch.full((1, profile.max_seq_length - NEW), 7)
    mask = torch.ones_like(ids)
    mask[0, 0] = 0  # padded, as a batch of questions is
    options = {"max_new_tokens": NEW, "do_sample": False, "use_cache": True, "pad_token_id": 0}
    with evaluation_mode(model), Kinds(model_shape(model_spec(profile)).vocab) as meter:
        made = model.generate(input_ids=ids, attention_mask=mask, return_dict_in_generate=True, **options)
    cache = sum(layer.keys.nbytes + layer.values.nbytes for layer in made.past_key_values.layers)
    logits = {"logits": meter.most_logits}
    return {"cache": cache, "activations": meter.peak - cache - meter.logits_at_peak, **logits}


def measure(profile: Profile, step: int) -> Found:
    """A day's memory in order, with ``profile`` from ``random_model`` and ``step`` tokens in the row that is trained on."""
    found, adapter = Found(), Path(model_spec(profile).location) / "adapter"
    probe = torch.randint(5, 300, (1, PROBE), generator=torch.Generator().manual_seed(2))
    quantized = {"quantization_config": build_bnb_config(profile)}
    short = replace(profile, max_seq_length=step)
    training = estimate_vram(short)
    with as_on_a_card():
        with found.stage("NF4로 불러오기"):
            model = attach_adapter(load_base_model(profile, **quantized), profile)
        found.count(LOADED, training, model_bytes(model))
        with found.stage(PHASES["training"]):
            counted = update(model, short)
        found.count(PHASES["training"], training, counted)
        told = estimate_vram(profile, "answering", batch_size=1)
        with found.stage(PHASES["answering"]):
            counted = answer(model, profile)
        found.count(PHASES["answering"], told, counted)
        with found.stage("어댑터 저장"):
            model.save_pretrained(adapter)
        trained = logits_of(model, probe)
        del model
        free_memory()
        with found.stage(FREED):
            pass
        with found.stage("다시 불러오기"):
            model = load_adapter(load_base_model(profile, **quantized), adapter)
        found.difference = logit_difference(trained, logits_of(model, probe))["max_difference"]
    return found


def report(profile: Profile, step: int, shape: ModelShape, found: Found) -> str:
    """The section of the page, in Korean; sizes in MiB where a GiB is too large a unit."""
    unit, scale = ("GiB", 1) if shape.parameters > 1e9 else ("MiB", 1024)
    rows, distances = [], {}
    for phase, term, told, counted in found.terms:
        if told:
            distances[f"{phase}의 {TERMS[term]}"] = counted / told - 1
        shown = f"{counted / told - 1:+.1%}" if told else "–"
        rows.append(f"| {phase} | {TERMS[term]} | {told * scale:.4f} | {counted * scale:.4f} | {shown} |")
    stages = [f"| {name} | {seconds:,.0f} | {gib:.2f} |" for name, (seconds, gib) in found.stages.items()]
    farthest = max(distances, key=lambda name: abs(distances[name]))
    most = max(gib for _, gib in found.stages.values())
    return "\n\n".join(
        [
            "## 실제 크기의 모델을 CPU에서",
            f"`{OWN.model}`의 모양을 한 무작위 가중치({shape.parameters / 1e9:.2f}B)를 CPU에서 NF4로 올려, "
            f"{step:,}토큰 한 건으로 한 번 갱신하고, 시험의 가장 긴 프롬프트(답 {NEW}토큰까지 {profile.max_seq_length:,}토큰)에 답하고, "
            f"어댑터를 저장하고, 모두 비운 뒤 다시 불러옵니다. 어림은 같은 배치와 길이로 구했습니다. 카드에서와 달리 dropout이 없고 옵티마이저는 `{profile.optim}`입니다.",
            "\n".join(
                [f"| 단계 | 항목 | 어림({unit}) | 센 것({unit}) | 차이 |", "|---|---|---:|---:|---:|", *rows]
            ),
            f"센 것은 텐서의 바이트입니다. 어림과 가장 먼 항목은 {farthest}이고 {distances[farthest]:+.1%}입니다"
            f"(목표 ±{WITHIN:.0%}{_missed(abs(distances[farthest]) > WITHIN)}).",
            "\n".join(["| 단계 | 초 | 익명 메모리의 최대(GiB) |", "|---|---:|---:|", *stages]),
            f"익명 메모리는 프로세스의 메모리에서 파일을 비추는 것(가중치 파일, 라이브러리)을 뺀 것이고, 가장 많을 때 {most:.2f}GiB입니다"
            f"(목표 {MOST:g}GiB 이하{_missed(most > MOST)}). 비운 자리를 할당자가 쥐고 있으면 이 수는 줄지 않습니다. "
            + (
                "다시 불러오기가 끝나기 전에 멈추어 그 뒤의 메모리와 로짓은 재지 못했습니다."
                if found.difference is None
                else f"저장하기 전과 다시 불러온 뒤의 로짓({PROBE}토큰)은 가장 큰 차이가 {found.difference:g}입니다."
            ),
        ]
    )


def _missed(missed: bool) -> str:
    return ", 이르지 못함" if missed else ""


def main() -> None:
    transformers.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    shape = model_shape(MODELS[OWN.model])
    with random_model(PROFILE, shape) as made:
        text = report(made, STEP, shape, measure(made, STEP))
    text += f"\n\n{machine('torch', 'transformers', 'peft', 'bitsandbytes')} 명령: `python -m benchmarks.true_shape`"
    print(text)
    write_section("true-shape", text)


if __name__ == "__main__":
    main()
