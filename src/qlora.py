"""QLoRA: a frozen base in 4 bit, a small trainable adapter beside it, and what the two cost in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from src.models import model_shape, model_spec
from src.profiles import Profile

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from transformers import BitsAndBytesConfig, PreTrainedModel

GIB = 2**30
NF4_BLOCK = 64  # weights that share one quantization constant (QLoRA, arXiv 2305.14314, §3)
CONSTANT_BLOCK = 256  # constants that share one second-level constant


def build_bnb_config(profile: Profile) -> BitsAndBytesConfig:
    """NF4 storage, double quantization, bf16 arithmetic (QLoRA, arXiv 2305.14314, §3); the same on a CPU.

    Double quantization stores the *constants* of the 4-bit blocks in 8 bit, which saves about 0.37 bit a weight;
    the weights themselves stay in 4 bit.
    """
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def build_lora_config(profile: Profile) -> LoraConfig:
    """W + (alpha / r) B A on every linear layer of the blocks (LoRA, arXiv 2106.09685, §4.1)."""
    from peft import LoraConfig

    return LoraConfig(
        r=profile.lora_r,
        lora_alpha=profile.lora_alpha,
        lora_dropout=profile.lora_dropout,
        target_modules=list(model_spec(profile).lora_targets),
        bias="none",
        task_type="CAUSAL_LM",
    )


def attach_adapter(
    model: PreTrainedModel, profile: Profile, lora_config: LoraConfig | None = None
) -> PeftModel:
    """Freeze ``model`` and put a fresh, seeded adapter on it; only the adapter can be trained.

    A 4-bit base is prepared first: norms, embeddings and head become fp32, and activations are recomputed in
    the backward pass when ``profile.gradient_checkpointing`` says so.

    Raises:
        ValueError: a target names no linear layer of this model (PEFT itself complains only when none of them
            does), or the model carries an adapter already.
    """
    from peft import get_peft_model
    from transformers import set_seed

    if hasattr(model, "peft_config"):
        raise ValueError(
            "이 모델에는 어댑터가 이미 붙어 있습니다. load_base_model로 베이스 모델을 새로 불러온 뒤 다시 붙여 주세요."
        )
    lora_config = lora_config or build_lora_config(profile)
    _check_targets(model, lora_config)
    if is_4bit(model):
        model = _prepare(model)
    if profile.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    set_seed(profile.seed)  # A is drawn at random, B starts at zero: the first output is the base's
    with _without_deprecation_notes():
        return get_peft_model(model, lora_config)


def load_adapter(model: PreTrainedModel, adapter_dir: str | Path) -> PeftModel:
    """A saved adapter on a freshly loaded base, for answering; a 4-bit base is prepared as in training.

    With that preparation the logits equal those of the model that was trained.
    """
    from peft import PeftModel

    if is_4bit(model):
        model = _prepare(model)
    with _without_deprecation_notes():
        return PeftModel.from_pretrained(model, str(adapter_dir)).eval()


def merge_adapter(base_model_16bit: PreTrainedModel, adapter_dir: str | Path) -> PreTrainedModel:
    """W ← W + (alpha / r) B A, in place: an ordinary model without PEFT.

    Raises:
        ValueError: the base is in 4 bit. The merged weights would be rounded to 4 bit again, and the answers
            would no longer be those of the adapter that was evaluated.
    """
    from peft import PeftModel

    if is_4bit(base_model_16bit):
        raise ValueError(
            "4비트 베이스에는 어댑터를 합치지 않습니다. 합친 가중치를 다시 4비트로 반올림하면 답이 달라집니다. "
            "load_base_model(profile)처럼 quantization_config 없이 16비트로 불러온 베이스에 합쳐 주세요."
        )
    with _without_deprecation_notes():
        model = PeftModel.from_pretrained(base_model_16bit, str(adapter_dir))
    return model.merge_and_unload(safe_merge=True)


def is_4bit(model) -> bool:
    """Whether bitsandbytes holds this model's linear layers in 4 bit."""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def trainable_parameters(model) -> tuple[int, int]:
    """(trainable, total) parameters; a 4-bit weight counts as the weights it stands for."""
    trainable = total = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)  # packed: two weights in a byte
        count = state.shape.numel() if state is not None else parameter.numel()
        total += count
        trainable += count if parameter.requires_grad else 0
    return trainable, total


def lora_parameter_count(d: int, k: int, r: int) -> int:
    """Parameters of one adapter on a d × k matrix: B is d × r, A is r × k (LoRA, §4.2)."""
    return r * (d + k)


def estimate_vram(
    profile: Profile,
    *,
    quantized: bool = True,
    double_quant: bool = True,
    batch_size: int | None = None,
    seq_length: int | None = None,
) -> dict[str, float]:
    """What a training step needs on the GPU, term by term, in GiB; CUDA's own 0.5-1 GiB comes on top.

    - weights: 0.5 byte a linear weight; embeddings, head and norms 4 bytes (fp32 after preparation).
      Not quantized: 2 bytes for all.
    - quantization_constants: one fp32 in 64 weights (0.5 bit a weight); double: 8/64 + 32/(64·256) = 0.127 bit.
    - adapters, gradients: 4 bytes a LoRA weight each. optimizer: two states, 1 byte each in 8 bit, else 4.
    - activations: a block's input in fp32 for each block, and one block's inner values while it is recomputed;
      without gradient checkpointing every block keeps its inner values.
    - logits: batch × length × vocabulary, once in bf16, once in fp32, once as the gradient in fp32.
    """
    spec = model_spec(profile)
    shape = model_shape(spec)
    tokens = (batch_size or profile.batch_size) * (seq_length or profile.max_seq_length)
    lora = shape.layers * sum(
        lora_parameter_count(*shape.linear_sizes[target], profile.lora_r) for target in spec.lora_targets
    )
    constant_bits = 8 / NF4_BLOCK + 32 / (NF4_BLOCK * CONSTANT_BLOCK) if double_quant else 32 / NF4_BLOCK
    # Two norms (input and output, fp32), q, k, v and the attention output, gate, up, their product's two factors.
    attention = 2 * (shape.heads + shape.kv_heads) * shape.head_dim
    block = tokens * (4 * 4 * shape.hidden + 2 * attention + 2 * 4 * shape.intermediate)
    inner_blocks = 1 if profile.gradient_checkpointing else shape.layers
    terms = {
        "weights": shape.linear_parameters * 0.5 + shape.other_parameters * 4
        if quantized
        else shape.parameters * 2,
        "quantization_constants": shape.linear_parameters * constant_bits / 8 if quantized else 0,
        "adapters": lora * 4,
        "gradients": lora * 4,
        "optimizer": lora * (2 if "8bit" in profile.optim else 8),
        "activations": shape.layers * tokens * shape.hidden * 4 + inner_blocks * block,
        "logits": tokens * shape.vocab * (2 + 4 + 4),
    }
    gib = {name: size / GIB for name, size in terms.items()}
    return {**gib, "total": sum(gib.values())}


def _prepare(model: PreTrainedModel) -> PreTrainedModel:
    from peft import prepare_model_for_kbit_training

    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


@contextmanager
def _without_deprecation_notes() -> Iterator[None]:
    """PEFT 0.21 still asks transformers by a name that 5.x renamed: nothing a learner can act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        yield


def _check_targets(model: PreTrainedModel, lora_config: LoraConfig) -> None:
    import torch

    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    targets = lora_config.target_modules
    if isinstance(targets, str):  # "all-linear" or a regular expression: PEFT resolves and checks it
        return
    missing = sorted(t for t in targets if not any(f".{name}".endswith(f".{t}") for name in linear))
    if missing:
        have = sorted({name.rsplit(".", 1)[-1] for name in linear} - {"lm_head"})
        raise ValueError(
            f"LoRA 대상 {', '.join(missing)}에 맞는 층이 이 모델에 없습니다. "
            f"이 모델의 선형 층은 {', '.join(have)}입니다. target_modules를 이 이름으로 고쳐 주세요."
        )
