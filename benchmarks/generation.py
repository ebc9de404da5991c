"""Batched generation beside one prompt at a time, the way public notebooks do it, on the profile's 4-bit model.

``python -m benchmarks.generation`` measures once and writes its section of docs/benchmarks.md; with a number, that
many prompts, and it only prints. ``WORKSHOP_PROFILE`` picks the model.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import machine, write_section
from src.data.splitting import pick
from src.generation.generate import generate_answers
from src.pipeline import load_clean_records, load_tuned_model
from src.profiles import active_profile
from src.qlora.loading import load_tokenizer
from src.qlora.memory import answering_tokens
from src.raft.prompt import to_messages

PROMPTS, ROUNDS = 256, 3
FASTER = 5.0


def one_at_a_time(model: Any, tokenizer: Any, messages: list, max_new_tokens: int) -> list[str]:
    """``tokenizer(...)``, ``model.generate(...)``, ``tokenizer.decode(...)`` in a loop."""
    answers = []
    for turns in messages:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt").to(model.device)
        with torch.no_grad():
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = output[0, inputs["input_ids"].shape[1] :]
        answers.append(tokenizer.decode(new, skip_special_tokens=True).strip())
    return answers


def timed(function: Callable[[], list[str]]) -> tuple[list[str], float]:
    started = time.perf_counter()
    answers = function()
    return answers, time.perf_counter() - started


def best_of(function: Callable[[], list[str]]) -> tuple[list[str], float]:
    """The fastest of ``ROUNDS``: what else the machine does only ever makes it slower."""
    return min((timed(function) for _ in range(ROUNDS)), key=lambda found: found[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("prompts", nargs="?", type=int)
    asked = parser.parse_args().prompts
    profile = active_profile()
    records = pick(load_clean_records(profile)["test"], asked or PROMPTS, profile.seed)
    messages = [to_messages(record, with_answer=False) for record in records]
    tokenizer = load_tokenizer(profile)
    model = load_tuned_model(profile)
    new, budget, n = profile.max_new_tokens, answering_tokens(profile), len(messages)
    options = {"max_new_tokens": new, "batch_tokens": budget}
    generate_answers(model, tokenizer, messages[:4], **options)  # first calls are slow
    one_at_a_time(model, tokenizer, messages[:4], new)
    lines, ratios, alone, together = [], [], 0.0, 0.0
    for system, adapter in (("베이스", model.disable_adapter), ("튜닝한 모델", contextlib.nullcontext)):
        with adapter():
            single, slow = best_of(lambda: one_at_a_time(model, tokenizer, messages, new))
            batched, fast = best_of(lambda: generate_answers(model, tokenizer, messages, **options))
            with tempfile.TemporaryDirectory() as folder:
                kept = options | {"cache": folder}
                first, storing = timed(lambda o=kept: generate_answers(model, tokenizer, messages, **o))
                again, reading = timed(lambda o=kept: generate_answers(model, tokenizer, messages, **o))
        tokens = sum(len(ids) for ids in tokenizer(single, add_special_tokens=False)["input_ids"]) / n
        for label, seconds, answers in (
            ("프롬프트 하나씩", slow, single),
            (f"길이순으로 {budget:,}토큰씩", fast, batched),
            (f"길이순으로 {budget:,}토큰씩, 저장하면서", storing, first),
            ("저장된 답을 다시 읽기", reading, again),
        ):
            same = sum(left == right for left, right in zip(answers, single, strict=True))
            lines.append(
                f"| {system} | {label} | {seconds:.2f} | {n / seconds:.0f} | {slow / seconds:.1f}배 | {same}/{n} |"
            )
        ratios.append(f"{system}(답의 길이 평균 {tokens:.1f}토큰)만 보면 {slow / fast:.1f}배")
        alone, together = alone + slow, together + fast
    text = "\n".join(
        [
            "## 생성",
            "",
            f"{profile.name} 프로파일의 NF4 모델로 시험 질문 {n}개에 최대 {new}토큰씩 답하게 했습니다(greedy). "
            f"앞의 두 방법은 {ROUNDS}번 가운데 가장 빠른 것입니다. 마지막 열은 하나씩 만든 답과 글자까지 같은 답의 수입니다.",
            "",
            "| 모델 | 방법 | 초 | 초당 답 | 하나씩 대비 | 같은 답 |",
            "|---|---|---:|---:|---:|---:|",
            *lines,
            "",
            f"노트북 04처럼 두 모델의 답을 모두 만들 때 묶으면 {alone:.1f}초가 {together:.1f}초로, 하나씩 만들 때의 "
            f"{alone / together:.1f}배 속도입니다(목표 {FASTER:g}배{'' if alone / together >= FASTER else ', 이르지 못함'}). "
            f"{', '.join(ratios)}입니다. 답이 짧으면 프롬프트를 읽는 시간이 대부분이고, 그 계산의 양은 묶어도 줄지 않습니다. "
            "묶어서 줄어드는 것은 토큰마다 모델을 부르는 횟수입니다. 한 묶음의 절반이 답을 마칠 때마다 마친 것을 빼고 이어 갑니다.",
            "",
            f"{machine('torch', 'transformers', 'bitsandbytes')} 명령: `python -m benchmarks.generation`",
        ]
    )
    print(text)
    if asked is None:
        write_section("generation", text)


if __name__ == "__main__":
    main()
