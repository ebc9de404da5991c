"""A card measured: memory by phase beside the estimate, speed, paging, and what 16-bit arithmetic changes.

``python -m benchmarks.gpu`` takes about ten minutes on a card, no network and disk for the model's 16-bit weights (16
GB for 7.8 B; ``TMPDIR`` says where), and writes its section of docs/benchmarks.md. The weights are random, of the
profile's true shape: neither bytes nor seconds depend on their values. Without a card it goes through the same steps
at a small size and only prints. TRL and Unsloth are no dependencies: they are measured where they can be imported.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import PAGE, machine, write_section
from benchmarks.longest import answer, longest_records, paging, train, training_speed, unsloth
from benchmarks.random_weights import random_model
from src.classroom.meters import TensorBytes
from src.profiles import PROFILES, Profile
from src.qlora import (
    MODELS,
    PHASES,
    attach_adapter,
    build_bnb_config,
    build_lora_config,
    estimate_vram,
    fit_settings,
    free_memory,
    load_base_model,
    model_shape,
    model_spec,
)
from src.qlora.adapters import load_adapter, logit_difference, logits_of
from src.qlora.memory import GIB
from src.qlora.registry import ModelShape

PROBE = 256  # tokens whose logits are compared
LOADED, LOADING = "불러온 뒤", "불러오는 동안"
OURS, TRL, UNSLOTH, ANSWERING = (
    "학습: 이 워크숍",
    "학습: TRL `SFTTrainer`",
    "학습: Unsloth",
    PHASES["answering"],
)
SMALL = ModelShape(3, 256, 896, 8, 2, 32, 6000, tied=False)
# What a card runs, in small; no dropout, whose masks a CPU keeps wider, and no pages, which it has not.
ON_CPU = dataclasses.replace(
    PROFILES["rtx4090"], lora_dropout=0.0, optim="adamw_torch", max_seq_length=256, max_new_tokens=32
)


@dataclass
class Found:
    """What was measured; what could not be is no row but a sentence of ``missing``."""

    memory: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # phase: GiB estimated, GiB at the peak
    speed: dict[str, float] = field(default_factory=dict)  # tokens a second
    logits: dict[str, float] = field(default_factory=dict)  # ``logit_difference``'s
    paging: str = ""
    missing: list[str] = field(default_factory=list)

    @contextmanager
    def attempt(self, what: str, *more: type[Exception]) -> Iterator[None]:
        """An error within becomes a sentence, and what it held is freed; the measurements after it go on."""
        try:
            yield
        except (RuntimeError, MemoryError, *more) as error:  # OutOfMemory and torch's own are RuntimeErrors
            told = next(iter(str(error).strip().splitlines()), type(error).__name__)
            self.missing.append(f"{what}: 재지 못했습니다. {told}")
        free_memory()


class Peak:
    """``with Peak(model) as peak: …`` and then ``peak.gib``: what lay in memory at most, ``model`` included. A card's
    allocator says so itself; on a CPU the tensors are counted. It keeps no model alive."""

    def __init__(self, model: Any) -> None:
        self._before, self._meter = held(model), None if torch.cuda.is_available() else TensorBytes()

    def __enter__(self) -> Peak:
        free_memory()
        if self._meter:
            self._meter.__enter__()
        else:
            torch.cuda.reset_peak_memory_stats()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._meter:
            self._meter.__exit__(*error)
            self.gib = self._before + self._meter.peak / GIB
        else:
            self.gib = torch.cuda.max_memory_allocated() / GIB


def held(model: Any) -> float:
    """GiB that ``model`` takes: on a card all that is allocated, on a CPU its weights, 4-bit ones with their constants."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / GIB
    return sum(model_bytes(model).values()) / GIB


def model_bytes(model: Any) -> dict[str, int]:
    """Bytes of ``model``'s own tensors, by the estimate's terms."""
    sizes = dict.fromkeys(("weights", "quantization_constants", "adapters"), 0)
    for name, parameter in model.named_parameters():
        sizes["adapters" if "lora_" in name else "weights"] += parameter.nbytes
        if (state := getattr(parameter, "quant_state", None)) is not None:
            sizes["quantization_constants"] += state.absmax.nbytes + state.state2.absmax.nbytes
    return sizes


def measure(profile: Profile) -> Found:
    """Everything that can be measured here, with ``profile`` from ``random_model``. One base is in memory at a time."""
    found, adapter = Found(), Path(model_spec(profile).location) / "adapter"
    probe = torch.randint(5, 300, (1, PROBE), generator=torch.Generator().manual_seed(2))
    computed = _ours(found, profile, adapter, probe)
    with found.attempt("로짓의 비교"):  # the same 4-bit weights and adapter, computed in fp32
        exact, _ = _reference(dataclasses.replace(profile, compute_dtype="float32"), adapter, probe, True)
        found.logits = logit_difference(exact, computed)
    with found.attempt(PHASES["parity"]):
        row = torch.tensor(longest_records(profile, 1, 300)["input_ids"][:])
        _, peak = _reference(profile, adapter, row, False)
        found.memory[PHASES["parity"]] = estimate_vram(profile, "parity")["total"], peak
    if importlib.util.find_spec("unsloth"):
        with found.attempt(UNSLOTH, Exception):
            found.speed[UNSLOTH] = training_speed(train(unsloth(profile), profile, guest=True)[0], profile)
    else:
        found.missing.append(f"{UNSLOTH}: 설치되어 있지 않아 재지 않았습니다.")
    return found


def _ours(found: Found, profile: Profile, adapter: Path, probe: torch.Tensor) -> torch.Tensor:
    """The day's phases on one NF4 base, then TRL's training on it; the trained adapter is saved, its logits returned."""
    terms = estimate_vram(profile)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    model = load_base_model(profile, quantization_config=build_bnb_config(profile))
    told = terms["weights"] + terms["quantization_constants"]
    found.memory[LOADED] = told, held(model)
    if torch.cuda.is_available():  # on a CPU the files that are read are mapped: no telling apart
        found.memory[LOADING] = told, torch.cuda.max_memory_allocated() / GIB
    model = attach_adapter(model, profile)
    with found.attempt(PHASES["training"]):
        with Peak(model) as peak:
            train(model, profile, steps=1)
        found.memory[PHASES["training"]] = terms["total"], peak.gib
        clock, trainer = train(model, profile)
        found.speed[OURS], found.paging = training_speed(clock, profile), paging(clock, trainer)
        del clock, trainer
    model.save_pretrained(adapter)
    logits = logits_of(model, probe)
    for phase in ("answering", "few_shot", "open_book"):
        if phase == "open_book":
            model.add_adapter("second", build_lora_config(profile))
        with found.attempt(PHASES[phase]):
            with Peak(model) as peak:
                answer(model, profile, phase)
            found.memory[PHASES[phase]] = estimate_vram(profile, phase)["total"], peak.gib
            if phase == "answering":
                tokens, seconds = answer(model, profile, phase)
                found.speed[ANSWERING] = tokens / seconds
    model.delete_adapter("second")
    if importlib.util.find_spec("trl"):
        with found.attempt(TRL, Exception):
            found.speed[TRL] = training_speed(train(model, profile, guest=True)[0], profile)
    else:
        found.missing.append(f"{TRL}: 설치되어 있지 않아 재지 않았습니다.")
    return logits


def _reference(
    profile: Profile, adapter: Path, ids: torch.Tensor, quantized: bool
) -> tuple[torch.Tensor, float]:
    """(logits of the saved adapter on a fresh base, GiB at the peak); the base is gone afterwards."""
    config = build_bnb_config(profile) if quantized else None
    model = load_adapter(load_base_model(profile, quantization_config=config), adapter)
    with Peak(model) as peak:
        logits = logits_of(model, ids)
    return logits, peak.gib


def report(profile: Profile, found: Found, where: list[str]) -> str:
    """The section of the page, in Korean; sizes in MiB where a GiB is too large a unit."""
    unit, scale = ("GiB", 1) if max(peak for _, peak in found.memory.values()) > 1 else ("MiB", 1024)
    rows = [
        f"| {phase} | {told * scale:.2f} | {peak * scale:.2f} | {peak / told - 1:+.0%} |"
        for phase, (told, peak) in found.memory.items()
    ]
    speeds = [f"| {name} | {speed:,.0f} |" for name, speed in found.speed.items()]
    lines = [
        "## 카드 한 장",
        f"{profile.name} 프로파일의 모양을 한 무작위 가중치({model_shape(model_spec(profile)).parameters / 1e9:.2f}B)를 NF4로 "
        f"올려, 배치 {profile.batch_size} × 누적 {profile.gradient_accumulation_steps} × {profile.max_seq_length:,}토큰의 "
        f"학습과 가장 긴 프롬프트의 답하기를 실행했습니다. 최대 사용량은 텐서가 차지한 것이고, CUDA의 몫은 뺐습니다.",
        "\n".join([f"| 단계 | 어림({unit}) | 잰 것({unit}) | 차이 |", "|---|---:|---:|---:|", *rows]),
        "\n".join(["| 속도 | 초당 토큰 |", "|---|---:|", *speeds]),
        found.paging,
    ]
    if found.logits:
        lines.append(
            f"{profile.compute_dtype}로 계산한 로짓을 같은 4비트 가중치를 fp32로 계산한 것과 견주면 상대 오차 "
            f"{found.logits['relative_error']:.2%}, 가장 큰 차이 {found.logits['max_difference']:.3f}이고, 가장 그럴듯한 토큰은 "
            f"{found.logits['same_token']:.1%}에서 같습니다({PROBE}토큰)."
        )
    return "\n\n".join(filter(None, [*lines, *found.missing, " ".join(where)]))


def card() -> tuple[Profile, list[str]]:
    """(the profile as the workshop would run it on this card, what is to be said of the card), in Korean."""
    about = torch.cuda.get_device_properties(0)
    own = PROFILES["rtx4090" if about.major >= 8 else "t4"]
    profile, changes = fit_settings(own, about.total_memory / GIB)
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    driver = (
        subprocess.run(asked, capture_output=True, text=True).stdout.strip() if shutil.which(asked[0]) else ""
    )
    named = f"카드: {about.name} {about.total_memory / GIB:.1f}GiB, 드라이버 {driver or '알 수 없음'}, CUDA {torch.version.cuda}."
    return profile, [*changes[:-1], named]


def main() -> None:
    transformers.logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # a CPU's faster kernel is not there
    transformers.utils.logging.disable_progress_bar()
    cuda = torch.cuda.is_available()
    profile, where = (
        card()
        if cuda
        else (ON_CPU, ["GPU가 없어 작은 크기로 CPU에서 실행했습니다. 카드에서 잰 것이 아닙니다."])
    )
    shape = model_shape(MODELS[profile.model]) if cuda else SMALL
    with random_model(profile, shape) as made:
        text = report(made, measure(made), where)
    text += f" {machine('torch', 'transformers', 'peft', 'bitsandbytes')} 명령: `python -m benchmarks.gpu`"
    print(text)
    if cuda:
        write_section("gpu", text)
    else:
        print(f"{PAGE.name}에는 쓰지 않았습니다. GPU가 있는 컴퓨터에서 실행해 주세요.")


if __name__ == "__main__":
    main()
