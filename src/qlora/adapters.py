"""An adapter on a frozen 4-bit base: attached, loaded, merged, and its logits compared on all three ways."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from src.profiles import Profile
from src.qlora.configs import build_bnb_config, build_lora_config
from src.qlora.loading import load_base_model
from src.qlora.registry import model_shape, model_spec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel


def attach_adapter(
    model: PreTrainedModel, profile: Profile, lora_config: LoraConfig | None = None
) -> PeftModel:
    """Freeze ``model`` and put a fresh, seeded adapter on it; only the adapter can be trained.

    Norms, embeddings and head of a 4-bit base become fp32 first. Activations are recomputed in the backward pass when
    ``profile.gradient_checkpointing`` says so.

    Raises:
        ValueError: a target names no linear layer of this model (PEFT complains only when none of them does), or the
            model carries an adapter already.
    """
    from peft import get_peft_model
    from transformers import set_seed

    if hasattr(model, "peft_config"):
        raise ValueError(
            "이 모델에는 어댑터가 이미 붙어 있습니다. load_base_model로 베이스 모델을 새로 불러온 뒤 다시 붙여 주세요."
        )
    lora_config = lora_config or build_lora_config(profile)
    _check_targets(model, lora_config)
    model = _prepare(model)
    if profile.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    set_seed(profile.seed)  # A is drawn at random, B starts at zero: the first output is the base's
    return get_peft_model(model, lora_config)


def load_adapter(model: PreTrainedModel, adapter_dir: str | Path) -> PeftModel:
    """A saved adapter on a freshly loaded base, for answering; a 4-bit base is prepared as in training, so that the
    logits equal those of the model that was trained."""
    from peft import PeftModel

    return PeftModel.from_pretrained(_prepare(model), str(adapter_dir)).eval()


def merge_adapter(base_model_16bit: PreTrainedModel, adapter_dir: str | Path) -> PreTrainedModel:
    """W ← W + (alpha / r) B A, in place: an ordinary model without PEFT.

    Raises:
        ValueError: the base is in 4 bit. The merged weights would be rounded to 4 bit again, and the answers
            would no longer be those of the adapter that was evaluated.
    """
    if getattr(base_model_16bit, "is_loaded_in_4bit", False):
        raise ValueError(
            "4비트 베이스에는 어댑터를 합치지 않습니다. 합친 가중치를 다시 4비트로 반올림하면 답이 달라집니다. "
            "load_base_model(profile)처럼 quantization_config 없이 16비트로 불러온 베이스에 합쳐 주세요."
        )
    return load_adapter(base_model_16bit, adapter_dir).merge_and_unload(safe_merge=True)


def adapter_parity(
    profile: Profile, adapter_dir: str | Path, input_ids: torch.Tensor, *, trained: PeftModel | None = None
) -> pd.DataFrame:
    """How far apart the same adapter's logits lie on its different ways into use; one comparison a row.

    - ``reload`` (only with ``trained``, the model still in memory): trained against reloaded on a fresh NF4 base. 0.
    - ``merge``: the adapter on the 16- or 32-bit base against merged into that base: rounding only.
    - ``quantization``: the adapter on the NF4 base against on the unquantized base: NF4's own error.
    - ``merge_4bit``: the adapter on the NF4 base against merged into it, rounded to 4 bit again: a warning, never to
      be used (``merge_adapter`` refuses it).

    ``input_ids`` is (batch, length) without padding. Columns: ``logit_difference``'s. One base is in memory at a time,
    in fp32 below 2 B parameters, in bf16 above, where ``merge`` shows bf16's rounding.
    """
    import pandas as pd
    import torch

    def base(quantized: bool) -> PreTrainedModel:
        if quantized:
            return load_base_model(profile, quantization_config=build_bnb_config(profile))
        model = load_base_model(profile)
        return model.float() if model_shape(model_spec(profile)).parameters < 2e9 else model

    in_memory = logits_of(trained, input_ids) if trained is not None else None
    model = load_adapter(base(quantized=True), adapter_dir)
    on_nf4 = logits_of(model, input_ids)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Merge lora module to 4-bit")
        into_nf4 = logits_of(model.merge_and_unload(), input_ids)
    del model
    model = load_adapter(base(quantized=False), adapter_dir)
    on_full = logits_of(model, input_ids)
    into_full = logits_of(model.merge_and_unload(safe_merge=True), input_ids)
    del model
    torch.cuda.empty_cache()
    pairs = {
        "reload": (in_memory, on_nf4),
        "merge": (on_full, into_full),
        "quantization": (on_full, on_nf4),
        "merge_4bit": (on_nf4, into_nf4),
    }
    if trained is None:
        del pairs["reload"]
    return pd.DataFrame({name: logit_difference(*pair) for name, pair in pairs.items()}).T


def logits_of(model: PreTrainedModel | PeftModel, input_ids: torch.Tensor) -> torch.Tensor:
    """(batch, length, vocabulary) logits in fp32 on the CPU, in evaluation mode, which is undone afterwards.

    After training, accelerate leaves its bf16 autocast around the model's forward; the model's own forward is used.
    """
    with evaluation_mode(model):
        forward = model.__dict__.get("_original_forward", model)
        return forward(input_ids=input_ids.to(model.device)).logits.float().cpu()


@contextmanager
def evaluation_mode(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """No dropout and no gradients within; the model's mode is as before after it."""
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def logit_difference(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """Of two equally shaped logits: ``max_difference`` (the largest absolute one), ``relative_error`` (norm of the
    difference over norm of the first), ``same_token`` (share of positions with the same most likely token, 0-1)."""
    return {
        "max_difference": (first - second).abs().max().item(),
        "relative_error": ((first - second).norm() / first.norm()).item(),
        "same_token": (first.argmax(-1) == second.argmax(-1)).float().mean().item(),
    }


def trainable_parameters(model) -> tuple[int, int]:
    """(trainable, total) parameters; a 4-bit weight counts as the weights it stands for."""
    trainable = total = 0
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)  # packed: two weights in a byte
        count = state.shape.numel() if state is not None else parameter.numel()
        total += count
        trainable += count if parameter.requires_grad else 0
    return trainable, total


def _prepare(model: PreTrainedModel) -> PreTrainedModel:
    """A 4-bit base ready for an adapter, any other as it is."""
    from peft import prepare_model_for_kbit_training

    # PEFT 0.21 still asks transformers by a name that 5.x renamed: nothing a learner can act on.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    if not getattr(model, "is_loaded_in_4bit", False):
        return model
    return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


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
