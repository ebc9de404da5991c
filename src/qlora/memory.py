"""What training costs in GPU memory, term by term."""

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
    "logits": "로짓",
}


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

    ``RESERVED_GIB`` comes on top. Counted for bf16 autocast, a batch padded to ``seq_length``, transformers' own loss:

    - weights: 0.5 byte a linear weight; embeddings, head and norms 4 bytes (fp32 after preparation).
      Not quantized: 2 bytes for all.
    - quantization_constants: one fp32 in 64 weights (0.5 bit a weight); double: 8/64 + 32/(64·256) = 0.127 bit.
    - adapters, gradients: 4 bytes a LoRA weight each. optimizer: two states, 1 byte each in 8 bit, else 4.
    - activations: what is kept for the backward pass. With gradient checkpointing the input of each block, and
      the inner values of the one block that is being recomputed; without it every block's.
    - logits: batch × length × vocabulary three times in fp32 (log-softmax, its gradient, the logits' gradient), and
      the head once more in bf16. An upper bound: ``WorkshopTrainer`` computes them from the first answer token on.

    With checkpointing the logits are gone when the first block is recomputed, so the peak is the larger of the two
    moments, not their sum: the terms are those of that moment, and ``logits`` is 0 where recomputing needs more.

    Measured on a CPU (bf16 autocast, no dropout, 12-25 M parameters), gradients, activations and logits together lie
    2 % below to 12 % above what torch counts; on a GPU they have not been measured.
    """
    spec = model_spec(profile)
    shape = model_shape(spec)
    tokens = (batch_size or profile.batch_size) * (seq_length or profile.max_seq_length)
    sizes = shape.linear_sizes
    lora = shape.layers * sum(lora_parameter_count(*sizes[t], profile.lora_r) for t in spec.lora_targets)
    constant_bits = 8 / NF4_BLOCK + 32 / (NF4_BLOCK * CONSTANT_BLOCK) if double_quant else 32 / NF4_BLOCK
    prepared = shape.linear_parameters * 0.5 + shape.other_parameters * 4
    fixed = {
        "weights": prepared if quantized else shape.parameters * 2,
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
