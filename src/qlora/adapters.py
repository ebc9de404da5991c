"""An adapter on a frozen 4-bit base: attached, loaded, merged, and its logits compared on all three ways."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from src.profiles import Profile
from src.qlora.configs import build_bnb_config, build_lora_config, sharded
from src.qlora.loading import LOCAL, free_memory, load_base_model, load_tokenizer
from src.qlora.memory import GIB, estimate_vram
from src.qlora.registry import model_shape, model_spec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel


def attach_adapter(
    model: PreTrainedModel, profile: Profile, lora_config: LoraConfig | None = None
) -> PeftModel:
    """Freeze ``model`` and put a fresh, seeded adapter on it; only the adapter, in fp32 (sharded: in
    ``compute_dtype``), can be trained.

    Norms, embeddings and head stay in the profile's ``compute_dtype``: PEFT's ``prepare_model_for_kbit_training`` would
    make them fp32, and with them every activation between two layers and the cache of keys and values. Activations
    are recomputed in the backward pass when ``profile.gradient_checkpointing`` says so.

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
    if profile.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    _hush_peft()
    set_seed(profile.seed)  # A is drawn at random, B starts at zero: the first output is the base's
    # FSDP joins the adapter with its block: there it has the block's type.
    return get_peft_model(model, lora_config, autocast_adapter_dtype=not sharded())


def load_adapter(model: PreTrainedModel, adapter_dir: str | Path) -> PeftModel:
    """A saved adapter on a freshly loaded base, for answering; the logits equal those of the model that was trained."""
    from peft import PeftModel

    _hush_peft()
    return PeftModel.from_pretrained(model, str(adapter_dir)).eval()


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
    and of the logits the two that are compared; in fp32 below 2 B parameters, above in the profile's ``compute_dtype``,
    where ``merge`` shows its rounding. A 16-bit base that the card has no room for is computed on the CPU, and said so.
    """
    import pandas as pd

    rows = {}
    trained_logits = logits_of(trained, input_ids) if trained is not None else None
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    model = load_adapter(base, adapter_dir)
    on_nf4 = logits_of(model, input_ids)
    if trained_logits is not None:
        rows["reload"] = logit_difference(trained_logits, on_nf4)
        del trained_logits
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Merge lora module to 4-bit")
        model = model.merge_and_unload()
    warned = logit_difference(on_nf4, logits_of(model, input_ids))
    del base, model  # before the base in 16 bit comes

    model = load_adapter(_full_base(profile, input_ids), adapter_dir)
    on_full = logits_of(model, input_ids)
    quantization = logit_difference(on_full, on_nf4)
    del on_nf4
    rows["merge"] = logit_difference(on_full, logits_of(model.merge_and_unload(safe_merge=True), input_ids))
    del model
    free_memory()
    return pd.DataFrame(rows | {"quantization": quantization, "merge_4bit": warned}).T


def save_merged(profile: Profile, adapter_dir: str | Path, folder: str | Path) -> None:
    """The adapter merged into the base without quantization, in ``folder``: an ordinary model and its tokenizer, which
    needs neither PEFT nor the base. ``load_merged`` reads it."""
    merged = merge_adapter(load_base_model(profile, on_cpu=_on_cpu(profile, 1)), adapter_dir)
    merged.save_pretrained(folder, max_shard_size="2GB")  # a shard at a time goes through RAM
    load_tokenizer(profile).save_pretrained(folder)


def load_merged(profile: Profile, folder: str | Path) -> PreTrainedModel:
    """A merged model from where ``save_merged`` left it, in the profile's ``compute_dtype``: on the GPU where that has
    room for it, else on the CPU."""
    import torch
    from transformers import AutoModelForCausalLM

    on_cpu = _on_cpu(profile, profile.max_seq_length)
    options = {"dtype": getattr(torch, profile.compute_dtype), "device_map": {"": "cpu" if on_cpu else 0}}
    return AutoModelForCausalLM.from_pretrained(str(folder), **LOCAL, **options).eval()


def _full_base(profile: Profile, input_ids: torch.Tensor) -> PreTrainedModel:
    """The base without quantization, for a comparison: on the card where that has room for it, else on the CPU."""
    model = load_base_model(profile, on_cpu=_on_cpu(profile, input_ids.shape[1]))
    return model.float() if model_shape(model_spec(profile)).parameters < 2e9 else model


def _on_cpu(profile: Profile, length: int) -> bool:
    """Whether the model without quantization must be computed on the CPU; where a card is too small, it is said."""
    import torch

    if not torch.cuda.is_available():
        return True
    free_memory()
    need = estimate_vram(profile, "parity", seq_length=length)["total"]
    free = torch.cuda.mem_get_info()[0] / GIB
    if need > free:
        print(
            f"16비트 모델에는 약 {need:.1f} GiB가 드는데 GPU에 {free:.1f} GiB가 비어 있어, "
            "이것만 CPU에서 계산합니다(몇 분 걸립니다)."
        )
    return need > free


def logits_of(model: PreTrainedModel | PeftModel, input_ids: torch.Tensor) -> torch.Tensor:
    """(batch, length, vocabulary) logits on the CPU, row by row as ``evaluation_mode`` computes them, in the model's type.

    After training, accelerate leaves its bf16 autocast around the model's forward; the model's own forward is used.
    """
    import torch

    with evaluation_mode(model):
        forward = model.__dict__.get("_original_forward", model)
        rows = (
            forward(input_ids=row[None].to(model.device), use_cache=False).logits.cpu() for row in input_ids
        )
        return torch.cat(list(rows))


@contextmanager
def evaluation_mode(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """No dropout and no gradients within, and autocast as in training: a model in 16 bit computes, and keeps its cache
    of keys and values, in that type, the fp32 adapter included. The model's mode is as before after it."""
    import torch

    was_training = model.training
    half = model.dtype if model.dtype in (torch.bfloat16, torch.float16) else None
    model.eval()
    try:
        with torch.inference_mode(), torch.autocast(model.device.type, half, enabled=half is not None):
            yield
    finally:
        model.train(was_training)


def logit_difference(first: torch.Tensor, second: torch.Tensor) -> dict[str, float]:
    """Of two equally shaped logits: ``max_difference`` (the largest absolute one), ``relative_error`` (norm of the
    difference over norm of the first), ``same_token`` (share of positions with the same most likely token, 0-1).

    Row by row: a vocabulary of 100,000 makes the fp32 difference of a whole batch as large as a model's layer.
    """
    import torch

    largest, errors, norms, same = [], [], [], []
    for a, b in zip(first, second, strict=True):
        error = a.float() - b.float()
        largest.append(error.abs().max())
        errors.append(error.norm())
        norms.append(a.float().norm())
        same.append((a.argmax(-1) == b.argmax(-1)).float().mean())
    return {
        "max_difference": max(largest).item(),
        "relative_error": (torch.stack(errors).norm() / torch.stack(norms).norm()).item(),
        "same_token": torch.stack(same).mean().item(),
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


def _hush_peft() -> None:
    """PEFT 0.21 still asks transformers by a name that 5.x renamed: nothing a learner can act on."""
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)


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
