"""What the day costs in GPU memory, phase by phase and term by term."""

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
TERMS = {
    "weights": "가중치",
    "quantization_constants": "양자화 상수",
    "adapters": "어댑터",
    "gradients": "기울기",
    "optimizer": "옵티마이저",
    "activations": "활성값",
    "cache": "키와 값의 캐시",
    "logits": "로짓",
}
PHASES = {
    "training": "학습",
    "answering": "답하기",
    "few_shot": "예시를 보여 주고 답하기",
    "open_book": "오픈북 시험",
    "parity": "16비트 모델과의 비교",
}


def lora_parameter_count(d: int, k: int, r: int) -> int:
    """Parameters of one adapter on a d × k matrix: B is d × r, A is r × k (LoRA, arXiv 2106.09685, §4.2)."""
    return r * (d + k)


def fits_whole(profile: Profile) -> bool:
    """Whether every weight can be trained here: 16 bytes each (fp32 weight and gradient, Adam's two moments) in half of
    the memory that is free, of the GPU where there is one."""
    import psutil
    import torch

    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available
    return 16 * model_shape(model_spec(profile)).parameters < free / 2


def estimate_vram(
    profile: Profile,
    phase: str = "training",
    *,
    quantized: bool = True,
    double_quant: bool = True,
    batch_size: int | None = None,
    seq_length: int | None = None,
) -> dict[str, float]:
    """What a ``phase`` of the day holds on the GPU at its peak, term by term, in GiB; ``total`` is their sum.

    ``RESERVED_GIB`` comes on top. With ``c`` the bytes of ``compute_dtype`` (2, or 4 on a CPU):

    - weights: 0.5 byte a linear weight, ``c`` bytes each for embeddings, head and norms. Not quantized: ``c`` for all.
    - quantization_constants: one fp32 in 64 weights (0.5 bit a weight); double: 8/64 + 32/(64·256) = 0.127 bit.
    - adapters: 4 bytes a LoRA weight; in the open book two of them.

    ``training``: a step on ``batch_size`` rows padded to ``seq_length`` (default: the profile's).

    - gradients: 4 bytes a LoRA weight. optimizer: two states, 1 byte each in 8 bit, else 4.
    - activations: what is kept for the backward pass. With gradient checkpointing the input of each block, and the
      inner values of the one block that is being recomputed; without it every block's.
    - logits: ``WorkshopTrainer`` computes them at the answers alone, here two longest answers a row (rows of a batch
      are of like length, not of the same), three times in fp32: log-softmax, its gradient, their own.

    With checkpointing the logits are gone when the first block is recomputed, so the peak is the larger of the two
    moments, not their sum: the terms are those of that moment, and ``logits`` is 0 where recomputing needs more.

    ``answering``, ``few_shot``, ``open_book``: a batch of ``answering_tokens``, or one row where that is longer.

    - cache: keys and values of all tokens in all layers. activations: one block's, and the attention mask; solved
      examples are shown to the base, whose adapter is off.
    - logits: of the last position alone.

    ``parity``: the adapter on the base without quantization, all logits of a row (``logits_of`` goes row by row).

    Tests hold each term against what torch counts on a CPU, at two sizes; ``benchmarks.true_shape`` does at the 7.8B
    model's own. On a GPU nothing has been measured.

    Raises:
        ValueError: an unknown phase.
    """
    if phase not in PHASES:
        raise ValueError(f"'{phase}'이라는 단계는 없습니다. {', '.join(PHASES)} 가운데에서 골라 주세요.")
    rows, length = batch_size or profile.batch_size, seq_length or profile.max_seq_length
    fixed = _fixed(profile, quantized and phase != "parity", double_quant)
    if phase == "open_book":
        fixed["adapters"] *= 2
    if phase == "training":
        terms = fixed | _training(profile, rows, length, quantized)
    elif phase == "parity":
        terms = fixed | _forward(profile, 1, length, quantized=False, kept=length)
    else:
        longest = length * (1 + profile.few_shot_examples * (phase == "few_shot"))
        if batch_size is None:
            rows = max(1, answering_tokens(profile) // longest)
        terms = fixed | _forward(profile, rows, longest, quantized=quantized, adapter=phase != "few_shot")
    gib = {name: size / GIB for name, size in terms.items()}
    return {**gib, "total": sum(gib.values())}


def needed_vram(profile: Profile) -> tuple[str, float]:
    """(Korean name of the phase that needs most, GiB it needs), ``RESERVED_GIB`` included. The comparison with the
    16-bit base does not count: where a card has no room for it, the CPU computes it (``adapter_parity``)."""
    totals = {phase: estimate_vram(profile, phase)["total"] for phase in PHASES if phase != "parity"}
    phase = max(totals, key=lambda name: totals[name])
    return PHASES[phase], totals[phase] + RESERVED_GIB


def answering_tokens(profile: Profile) -> int:
    """Tokens of a batch to answer, prompts and answers together: as many as need no more memory than a training step
    by the estimate (with the longest prompts and a second adapter in memory), and never less than one longest row."""
    room = sum(_training(profile, profile.batch_size, profile.max_seq_length, True).values())
    room -= _fixed(profile, True, True)["adapters"]
    length = profile.max_seq_length * (1 + profile.few_shot_examples)
    one, two = (sum(_forward(profile, rows, length, True).values()) for rows in (1, 2))
    tokens = length * (1 + (room - one) / (two - one))
    return max(profile.max_seq_length, int(tokens))


def _lora_parameters(profile: Profile) -> int:
    spec = model_spec(profile)
    shape = model_shape(spec)
    sizes = (shape.linear_sizes[target] for target in spec.lora_targets)
    return shape.layers * sum(lora_parameter_count(*size, profile.lora_r) for size in sizes)


def _compute_bytes(profile: Profile) -> int:
    return 4 if profile.compute_dtype == "float32" else 2


def _fixed(profile: Profile, quantized: bool, double_quant: bool) -> dict[str, float]:
    """Bytes that lie on the card in every phase."""
    shape, c = model_shape(model_spec(profile)), _compute_bytes(profile)
    constant_bits = 8 / NF4_BLOCK + 32 / (NF4_BLOCK * CONSTANT_BLOCK) if double_quant else 32 / NF4_BLOCK
    return {
        "weights": shape.linear_parameters * (0.5 if quantized else c) + shape.other_parameters * c,
        "quantization_constants": shape.linear_parameters * constant_bits / 8 if quantized else 0,
        "adapters": _lora_parameters(profile) * 4,
    }


def _unpacked(profile: Profile) -> int:
    """Bytes of the largest 4-bit weight, unpacked for a multiplication."""
    sizes = model_shape(model_spec(profile)).linear_sizes.values()
    return _compute_bytes(profile) * max(d * k for d, k in sizes)


def _training(profile: Profile, rows: int, length: int, quantized: bool) -> dict[str, float]:
    """Bytes of a step beyond ``_fixed``."""
    spec, c, tokens = model_spec(profile), _compute_bytes(profile), rows * length
    shape = model_shape(spec)
    lora = _lora_parameters(profile)
    hidden, inside, queries = shape.hidden, shape.intermediate, shape.heads * shape.head_dim
    inputs = c * (2 * hidden + queries + inside)  # of q, k, v · of gate, up · of o · of down
    if profile.lora_dropout:  # each adapter's own input, a byte for what was dropped, and attention's output
        inputs = (c + 1) * sum(shape.linear_sizes[target][0] for target in spec.lora_targets) + c * queries
    inner = tokens * (
        inputs
        + c * 3 * queries  # q, and k and v repeated for every head
        + 2 * 4 * hidden  # the norms compute in fp32
        + c * 3 * inside  # gate, silu(gate), up
    )
    logits = rows * min(length, 2 * profile.max_new_tokens) * shape.vocab * 3 * 4
    # Going back through a block: the gradient of down's input, from base and adapter, or a weight unpacked for it.
    backward = tokens * c * (inside + hidden) + max(
        tokens * c * inside, _unpacked(profile) if quantized else 0
    )
    if profile.gradient_checkpointing:
        kept, recomputed = shape.layers * tokens * hidden * c, inner
    else:  # the last norm's gradients in fp32 may be more
        kept, recomputed, backward = shape.layers * inner, 0, max(backward, tokens * 5 * 4 * hidden)
    activations, logits = max((kept, logits), (kept + recomputed + backward, 0), key=sum)
    return {
        "gradients": lora * 4,
        "optimizer": lora * (2 if "8bit" in profile.optim else 8),
        "activations": activations,
        "logits": logits,
    }


def _forward(
    profile: Profile,
    rows: int,
    length: int,
    quantized: bool,
    kept: int | None = None,
    adapter: bool = True,
) -> dict[str, float]:
    """Bytes beyond ``_fixed`` when ``rows`` of ``length`` tokens are read without gradients: with a cache of keys and
    values for the answers that follow, or, with ``kept``, for the logits of so many positions and no answer."""
    shape, c, tokens = model_shape(model_spec(profile)), _compute_bytes(profile), rows * length
    cache = 2 * shape.layers * tokens * shape.kv_heads * shape.head_dim * c
    # Embeddings, the block's input, the residual stream and its norm; silu(gate) and up; then up's weight unpacked, or
    # the adapter's part that is added to it; without adapter, the product of the two.
    block = tokens * c * (4 * shape.hidden + 2 * shape.intermediate)
    more = tokens * c * (2 if adapter else 1) * shape.intermediate
    block += max(more, _unpacked(profile) if quantized else 0)
    mask = rows * length * length if kept is None else 0
    return {
        "cache": 0 if kept else cache,
        "activations": block + mask,
        "logits": rows
        * shape.vocab
        * (kept * c if kept else c + 2 * 4),  # in fp32, too, and the token's before
    }


def model_table(profile: Profile) -> pd.DataFrame:
    """The models on offer, one a row, with licence, pinned revision and the estimate for ``profile``'s batch and length."""
    import pandas as pd

    return pd.DataFrame(
        {
            "키": key,
            "모델": spec.source,
            "파라미터(B)": round(model_shape(spec).parameters / 1e9, 2),
            "라이선스": spec.licence,
            "쓸 수 있는 곳": spec.licence_note,
            "리비전": (spec.revision or "고정하지 않음")[:12] if not spec.local else "저장소에 포함",
            "생각 모드": "끔" if spec.thinks else "없음",
            "학습 메모리(GiB, 어림)": round(estimate_vram(replace(profile, model=key))["total"], 1),
        }
        for key, spec in MODELS.items()
    )
