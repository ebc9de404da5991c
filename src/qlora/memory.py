"""What training costs in GPU memory, term by term; settings for a card; what to do when it runs out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from src.profiles import Profile
from src.qlora.registry import MODELS, model_shape, model_spec

if TYPE_CHECKING:
    import pandas as pd

GIB = 2**30
NF4_BLOCK = 64  # weights that share one quantization constant (QLoRA, arXiv 2305.14314, §3)
CONSTANT_BLOCK = 256  # constants that share one second-level constant
# The CUDA context (0.5-1 GiB) and what the allocator loses between blocks: never part of an estimate.
RESERVED_GIB = 1.5
SHORTEST = 1024  # tokens; below this too little room is left for documents, and a smaller model serves better
TERMS = {
    "weights": "가중치",
    "quantization_constants": "양자화 상수",
    "adapters": "어댑터",
    "gradients": "기울기",
    "optimizer": "옵티마이저",
    "activations": "활성값",
    "logits": "로짓",
}


class OutOfMemory(RuntimeError):
    """Training needed more memory than there is; the message has this run's numbers and what helps most."""


def lora_parameter_count(d: int, k: int, r: int) -> int:
    """Parameters of one adapter on a d × k matrix: B is d × r, A is r × k (LoRA, arXiv 2106.09685, §4.2)."""
    return r * (d + k)


def estimate_vram(
    profile: Profile,
    *,
    quantized: bool = True,
    double_quant: bool = True,
    batch_size: int | None = None,
    seq_length: int | None = None,
) -> dict[str, float]:
    """What a training step holds on the GPU at its peak, term by term, in GiB; ``total`` is their sum.

    ``RESERVED_GIB`` comes on top. Counted for bf16 autocast, a batch padded to ``seq_length``, and
    ``transformers``' own loss:

    - weights: 0.5 byte a linear weight; embeddings, head and norms 4 bytes (fp32 after preparation).
      Not quantized: 2 bytes for all.
    - quantization_constants: one fp32 in 64 weights (0.5 bit a weight); double: 8/64 + 32/(64·256) = 0.127 bit.
    - adapters, gradients: 4 bytes a LoRA weight each. optimizer: two states, 1 byte each in 8 bit, else 4.
    - activations: what is kept for the backward pass. With gradient checkpointing the input of each block, and
      the inner values of the one block that is being recomputed; without it every block's.
    - logits: batch × length × vocabulary three times in fp32 (log-softmax, its gradient, the logits' gradient),
      and the head once more in bf16.
      ``WorkshopTrainer`` computes them from the first answer token on only: with our records this term is an upper
      bound.

    With checkpointing the logits are gone when the first block is recomputed, so the peak is the larger of the two
    moments, not their sum: the terms are those of that moment, and ``logits`` is 0 where recomputing needs more.

    Measured on a CPU (bf16 autocast, no dropout, 12-25 M parameters), gradients, activations and logits together
    lie 2 % below to 12 % above what torch counts; on a GPU they have not been measured.
    """
    spec = model_spec(profile)
    shape = model_shape(spec)
    tokens = (batch_size or profile.batch_size) * (seq_length or profile.max_seq_length)
    sizes = shape.linear_sizes
    lora = shape.layers * sum(lora_parameter_count(*sizes[t], profile.lora_r) for t in spec.lora_targets)
    constant_bits = 8 / NF4_BLOCK + 32 / (NF4_BLOCK * CONSTANT_BLOCK) if double_quant else 32 / NF4_BLOCK
    fixed = {
        "weights": shape.linear_parameters * 0.5 + shape.other_parameters * 4
        if quantized
        else shape.parameters * 2,
        "quantization_constants": shape.linear_parameters * constant_bits / 8 if quantized else 0,
        "adapters": lora * 4,
        "gradients": lora * 4,
        "optimizer": lora * (2 if "8bit" in profile.optim else 8),
    }

    stream = 4 if quantized else 2  # bytes: fp32 norms and embeddings make the residual stream fp32
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    adapted = sum(sizes[target][0] for target in spec.lora_targets)
    inner = tokens * (
        adapted * (2 + (profile.lora_dropout > 0))  # each adapter's own bf16 input, and its dropout mask
        + 2 * (2 * queries + 2 * keys)  # attention: q, k, v and its output in bf16
        + 2 * 4 * shape.hidden  # the norms compute in fp32
        + stream * 3 * shape.intermediate  # gate, silu(gate), up
    )
    boundaries = shape.layers * tokens * shape.hidden * stream
    logits = tokens * shape.vocab * 3 * 4 + (shape.vocab * shape.hidden * 2 if quantized else 0)
    # Going back through one block: fp32 gradients of gate and up and of the residual stream, one weight unpacked.
    backward = tokens * 4 * 2 * (shape.intermediate + shape.hidden)
    backward += 2 * max(d * k for d, k in sizes.values()) if quantized else 0
    kept = boundaries if profile.gradient_checkpointing else boundaries + shape.layers * inner
    recomputed = inner if profile.gradient_checkpointing else 0
    activations, logits = max((kept, logits), (kept + recomputed + backward, 0), key=sum)
    gib = {name: size / GIB for name, size in {**fixed, "activations": activations, "logits": logits}.items()}
    return {**gib, "total": sum(gib.values())}


def fit_settings(profile: Profile, gib: float) -> tuple[Profile, list[str]]:
    """``profile`` changed as little as it takes to train on a card with ``gib`` GiB, and Korean lines that say how.

    In this order, stopping as soon as the estimate leaves ``RESERVED_GIB`` free: gradient checkpointing and an
    8-bit optimizer; a smaller batch, accumulated to the same effective batch; a shorter length (the RAFT context
    shrinks by as much); a smaller model, again from the profile's own batch and length. The first two leave what is
    learned as it is, but for rounding; the last two change it, and their lines say so. The last line is the estimate.

    Raises:
        ValueError: not even the smallest model on offer fits.
    """
    budget = gib - RESERVED_GIB
    for key in (profile.model, *_smaller_models(profile)):
        start = replace(profile, model=key)
        for candidate in _ladder(start):
            total = estimate_vram(candidate)["total"]
            if total <= budget:
                return candidate, [*_changes(profile, candidate), _verdict(candidate, total, gib)]
    raise ValueError(
        f"{gib:g} GiB에 들어가는 설정을 찾지 못했습니다. tiny 프로파일을 쓰거나 더 큰 GPU를 빌려 주세요."
    )


def explain_out_of_memory(profile: Profile, error: BaseException) -> str:
    """Korean advice after an out-of-memory error in training: this run's numbers, and the change that helps most.

    Changes are ordered by what they save in the estimate; those that alter what is learned come last and are
    marked. Nothing is changed here, and every proposal keeps batch × accumulation.
    """
    terms = estimate_vram(profile)
    largest = sorted(TERMS, key=lambda name: -terms[name])[:3]
    lines = [
        "메모리가 모자라 학습을 멈췄습니다.",
        f"- 이 설정: {model_spec(profile).source}, 배치 {profile.batch_size} × 누적 "
        f"{profile.gradient_accumulation_steps}, 길이 {profile.max_seq_length}토큰",
        f"- 어림한 최대 사용량: {terms['total']:.2f} GiB("
        + ", ".join(f"{TERMS[name]} {terms[name]:.2f}" for name in largest)
        + f" 등)에 CUDA의 몫 약 {RESERVED_GIB:g} GiB가 더 듭니다.",
    ]
    if device := _device_line():
        lines.append(f"- {device}")
    options = _remedies(profile)
    if options:
        lines.append("도움이 큰 순서로:")
        lines += [
            f"{rank}. {text} (어림 {terms['total']:.2f} → {total:.2f} GiB)"
            for rank, (total, text) in enumerate(options, 1)
        ]
    lines += [
        "설정은 자동으로 바꾸지 않았습니다. 고친 뒤에는 커널을 다시 시작해 남은 메모리부터 비워 주세요.",
        f"원래 오류: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}",
    ]
    return "\n".join(lines)


def model_table(profile: Profile) -> pd.DataFrame:
    """The models on offer, one a row, with licence, pinned revision and the estimate for ``profile``'s batch and length."""
    import pandas as pd

    rows = []
    for spec in MODELS.values():
        total = estimate_vram(replace(profile, model=spec.key))["total"]
        rows.append(
            {
                "키": spec.key,
                "모델": spec.source,
                "파라미터(B)": round(model_shape(spec).parameters / 1e9, 2),
                "라이선스": spec.licence,
                "쓸 수 있는 곳": spec.licence_note,
                "리비전": (spec.revision or "고정하지 않음")[:12] if not spec.local else "저장소에 포함",
                "생각 모드": "끔" if spec.thinks else "없음",
                "학습 메모리(GiB, 어림)": round(total, 1),
            }
        )
    return pd.DataFrame(rows)


def _batches(profile: Profile) -> list[Profile]:
    """The same effective batch in ever smaller pieces, the profile's own first; evaluation shrinks alike."""
    product = profile.batch_size * profile.gradient_accumulation_steps
    return [
        replace(
            profile,
            batch_size=size,
            gradient_accumulation_steps=product // size,
            eval_batch_size=max(1, profile.eval_batch_size * size // profile.batch_size),
            generation_batch_size=max(1, profile.generation_batch_size * size // profile.batch_size),
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
    saving = profile
    if not profile.gradient_checkpointing:
        saving = replace(saving, gradient_checkpointing=True)
    lighter = saving if "8bit" in saving.optim else replace(saving, optim="paged_adamw_8bit")
    smallest = _batches(lighter)[-1]
    return [profile, saving, *_batches(lighter), *_shorter(smallest)]


def _smaller_models(profile: Profile) -> list[str]:
    """Hub models with fewer parameters, the same family first, the largest first."""
    if model_spec(profile).local:
        return []
    size = {key: model_shape(spec).parameters for key, spec in MODELS.items() if not spec.local}
    family = profile.model.split("-")[0]
    smaller = [key for key in size if size[key] < size[profile.model]]
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


def _verdict(profile: Profile, total: float, gib: float) -> str:
    return (
        f"어림한 최대 사용량은 {total:.1f} GiB이고, {gib:g} GiB 가운데 {gib - total:.1f} GiB가 남습니다"
        f"(CUDA의 몫으로 {RESERVED_GIB:g} GiB를 비워 둡니다)."
    )


def _remedies(profile: Profile) -> list[tuple[float, str]]:
    """(estimate after it, Korean text) of each single change that saves something, the best first."""
    total = estimate_vram(profile)["total"]
    kept, altered = [], []
    half = _batches(profile)[1:2]
    if not profile.gradient_checkpointing:
        kept.append(replace(profile, gradient_checkpointing=True))
    if "8bit" not in profile.optim:
        kept.append(replace(profile, optim="paged_adamw_8bit"))
    altered += _shorter(profile)[:1]
    altered += [replace(profile, model=key) for key in _smaller_models(profile)[:1]]
    groups = []
    for group, mark in ((kept + half, ""), (altered, "[학습 결과가 달라집니다] ")):
        found = [(estimate_vram(p)["total"], mark + " ".join(_changes(profile, p))) for p in group]
        groups += sorted(option for option in found if option[0] < total)
    return groups


def _device_line() -> str:
    """What the GPU says at this moment, or nothing on a CPU."""
    import torch

    if not torch.cuda.is_available():
        return ""
    free, size = torch.cuda.mem_get_info()
    return (
        f"이 GPU: 전체 {size / GIB:.1f} GiB, 지금 비어 있는 메모리 {free / GIB:.1f} GiB, "
        f"이 프로세스의 최대 할당 {torch.cuda.max_memory_allocated() / GIB:.1f} GiB"
    )
