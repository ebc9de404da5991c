"""Settings for a card, and what to change when its memory runs out."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from src.profiles import Profile
from src.qlora.memory import GIB, PHASES, RESERVED_GIB, TERMS, estimate_vram, needed_vram
from src.qlora.registry import MODELS, model_shape, model_spec

SHORTEST = 1024  # tokens; below this too little room is left for documents, and a smaller model serves better


class OutOfMemory(RuntimeError):
    """A phase of the day needed more memory than there is; the message names it, its numbers and what helps most."""


@contextmanager
def memory_advice(explain: Callable[[BaseException], str]) -> Iterator[None]:
    """Out of memory within becomes ``OutOfMemory`` with the text that ``explain`` makes of it, and what the failed step
    held is freed."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    from src.qlora.loading import free_memory

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or should_reduce_batch_size(error)
        if isinstance(error, OutOfMemory) or not known:  # explained already by the phase within
            raise
        traceback.clear_frames(error.__traceback__)  # they hold the step's activations
        free_memory()
        raise OutOfMemory(explain(error)) from error


def fit_settings(profile: Profile, gib: float) -> tuple[Profile, list[str]]:
    """``profile`` changed as little as it takes to spend the day on a card with ``gib`` GiB, and Korean lines that say how.

    In this order, stopping as soon as the estimate leaves ``RESERVED_GIB`` free: gradient checkpointing and an
    8-bit optimizer; a smaller batch, accumulated to the same effective batch; a shorter length (the RAFT context
    shrinks by as much); a smaller model, again from the profile's own batch and length. The first two leave what is
    learned as it is, but for rounding; the last two change it, and their lines say so. The last line is the estimate.

    Raises:
        ValueError: not even the smallest model on offer fits.
    """
    budget = gib - RESERVED_GIB
    for key in (profile.model, *_smaller_models(profile)):
        for candidate in _ladder(replace(profile, model=key)):
            phase, need = needed_vram(candidate)
            total = need - RESERVED_GIB
            if total <= budget:
                verdict = (
                    f"어림한 최대 사용량은 {total:.1f} GiB({phase})이고, {gib:g} GiB 가운데 {gib - total:.1f} GiB가 남습니다"
                    f"(CUDA의 몫으로 {RESERVED_GIB:g} GiB를 비워 둡니다)."
                )
                return candidate, [*_changes(profile, candidate), verdict]
    raise ValueError(
        f"{gib:g} GiB에 들어가는 설정을 찾지 못했습니다. tiny 프로파일을 쓰거나 더 큰 GPU를 빌려 주세요."
    )


def explain_out_of_memory(profile: Profile, error: BaseException) -> str:
    """Korean advice after out of memory in training: this run's numbers, and the change that helps most.

    Changes are ordered by what they save in the estimate; those that alter what is learned come last and are
    marked. Nothing is changed here, and every proposal keeps batch × accumulation.
    """
    terms = estimate_vram(profile)
    largest = sorted(terms.keys() - {"total"}, key=lambda name: -terms[name])[:3]
    lines = [
        f"메모리가 모자라 {PHASES['training']}을 멈췄습니다.",
        f"- 이 설정: {model_spec(profile).source}, 배치 {profile.batch_size} × 누적 "
        f"{profile.gradient_accumulation_steps}, 길이 {profile.max_seq_length}토큰",
        f"- 어림한 최대 사용량: {terms['total']:.2f} GiB("
        + ", ".join(f"{TERMS[name]} {terms[name]:.2f}" for name in largest)
        + f" 등)에 CUDA의 몫 약 {RESERVED_GIB:g} GiB가 더 듭니다.",
        *_card(),
    ]
    for rank, (total, text) in enumerate(_remedies(profile), 1):
        lines += ["도움이 큰 순서로:"] if rank == 1 else []
        lines.append(f"{rank}. {text} (어림 {terms['total']:.2f} → {total:.2f} GiB)")
    lines.append(
        "설정은 자동으로 바꾸지 않았습니다. 고친 뒤에는 커널을 다시 시작해 남은 메모리부터 비워 주세요."
    )
    return "\n".join([*lines, _first_line(error)])


def explain_answering(prompts: Sequence[Sequence[int]], new: int, budget: int, error: BaseException) -> str:
    """Korean advice after out of memory in answering: the batch (token ids of its ``prompts``, ``new`` tokens each) and
    the ``budget`` of tokens that made it so large."""
    longest = max(map(len, prompts)) + new
    lines = [
        f"메모리가 모자라 {PHASES['answering']}를 멈췄습니다. 학습이 아니므로 batch_size를 바꿀 일이 아닙니다.",
        f"- 이 배치: 질문 {len(prompts)}개 × 가장 긴 {longest:,}토큰(프롬프트와 답) = {len(prompts) * longest:,}토큰, "
        f"한도(batch_tokens) {budget:,}토큰",
        *_card(),
        f"batch_tokens를 {max(longest, budget // 2):,}로 줄여 다시 실행해 주세요. 답은 같고, 저장한 답은 다시 만들지 않습니다."
        if len(prompts) > 1
        else "질문 하나도 들어가지 않습니다. 다른 모델이나 프로그램이 GPU를 쓰고 있지 않은지 보고, 커널을 다시 시작하거나 문서를 줄여 주세요.",
    ]
    return "\n".join([*lines, _first_line(error)])


def _card() -> list[str]:
    """What the GPU says of itself, where there is one."""
    import torch

    if not torch.cuda.is_available():
        return []
    free, size = torch.cuda.mem_get_info()
    peak = torch.cuda.max_memory_allocated() / GIB
    return [
        f"- 이 GPU: 전체 {size / GIB:.1f} GiB, 지금 비어 있는 메모리 {free / GIB:.1f} GiB, "
        f"이 프로세스의 최대 할당 {peak:.1f} GiB"
    ]


def _first_line(error: BaseException) -> str:
    return f"원래 오류: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"


def _batches(profile: Profile) -> list[Profile]:
    """The same effective batch in ever smaller pieces, the profile's own first; evaluation shrinks alike."""
    product = profile.batch_size * profile.gradient_accumulation_steps
    return [
        replace(
            profile,
            batch_size=size,
            gradient_accumulation_steps=product // size,
            eval_batch_size=max(1, profile.eval_batch_size * size // profile.batch_size),
        )
        for size in range(profile.batch_size, 0, -1)
        if product % size == 0
    ]


def _shorter(profile: Profile) -> list[Profile]:
    """Lengths in quarters of the profile's own, down to ``SHORTEST``; what is not context keeps its room."""
    other = profile.max_seq_length - profile.max_context_tokens
    lengths = [profile.max_seq_length * part // 4 for part in (3, 2)]
    return [
        replace(profile, max_seq_length=length, max_context_tokens=length - other)
        for length in lengths
        if length >= SHORTEST and length > other
    ]


def _ladder(profile: Profile) -> list[Profile]:
    saving = replace(profile, gradient_checkpointing=True)
    lighter = saving if "8bit" in saving.optim else replace(saving, optim="paged_adamw_8bit")
    batches = _batches(lighter)
    return [profile, saving, *batches, *_shorter(batches[-1])]


def _smaller_models(profile: Profile) -> list[str]:
    """Hub models with fewer parameters, the same family first, the largest first."""
    size = {key: model_shape(spec).parameters for key, spec in MODELS.items()}
    family = profile.model.split("-")[0]
    smaller = [key for key in size if size[key] < size[profile.model] and not MODELS[key].local]
    return sorted(smaller, key=lambda key: (key.split("-")[0] != family, -size[key]))


def _changes(before: Profile, after: Profile) -> list[str]:
    """What differs, in Korean, with what it means for the result."""
    lines = []
    if after.gradient_checkpointing != before.gradient_checkpointing:
        lines.append("gradient_checkpointing을 켭니다. 결과는 같고 조금 느려집니다.")
    if after.optim != before.optim:
        lines.append(f"optim을 {after.optim}로 바꿉니다. 옵티마이저 상태를 8비트로 둡니다.")
    if after.batch_size != before.batch_size:
        lines.append(
            f"batch_size {before.batch_size} → {after.batch_size}, gradient_accumulation_steps "
            f"{before.gradient_accumulation_steps} → {after.gradient_accumulation_steps}. "
            "한 번의 갱신에 쓰는 건수는 그대로입니다."
        )
    if after.max_seq_length != before.max_seq_length:
        lines.append(
            f"max_seq_length {before.max_seq_length} → {after.max_seq_length}, max_context_tokens "
            f"{before.max_context_tokens} → {after.max_context_tokens}. 더 긴 레코드는 빠지므로 노트북 01부터 다시 실행해야 합니다."
        )
    if after.model != before.model:
        spec = MODELS[after.model]
        lines.append(
            f"model을 더 작은 {after.model}로 바꿉니다. 답의 품질이 달라집니다. {spec.licence}: {spec.licence_note}"
        )
    return lines


def _remedies(profile: Profile) -> list[tuple[float, str]]:
    """(estimate after it, Korean text) of each single change whose saving shows in two digits, the best first."""
    total = estimate_vram(profile)["total"]
    kept = [replace(profile, gradient_checkpointing=True), replace(profile, optim="paged_adamw_8bit")]
    kept += _batches(profile)[1:2]
    altered = _shorter(profile)[:1] + [replace(profile, model=key) for key in _smaller_models(profile)[:1]]
    options = []
    for group, mark in ((kept, ""), (altered, "[학습 결과가 달라집니다] ")):
        found = [(estimate_vram(p)["total"], mark + " ".join(_changes(profile, p))) for p in group]
        options += sorted(option for option in found if round(option[0], 2) < round(total, 2))
    return options
