"""Answers that were generated once: kept with everything they depend on, so that a second look costs nothing.

One JSON Lines file a combination of model, adapter and settings, ``generations-<key>.jsonl``. The key is a hash of
all three, so answers of another adapter, base or temperature lie in another file and are never read; within the file
an answer is found by the hash of its prompt's token ids, which hold tokenizer, template and few-shot examples, too.
"""

import hashlib
import json
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.data.files import append_jsonl, read_jsonl
from src.data.text import fingerprint

_HASHED: weakref.WeakKeyDictionary = (
    weakref.WeakKeyDictionary()
)  # a model to what its weights were, and their hash


def model_identity(model: Any) -> dict[str, str | None]:
    """``{"model", "base", "adapter"}``: a name to read, and hashes of the weights in memory that decide an answer.

    ``base`` covers every weight and quantization constant outside the adapter, with and without one attached;
    ``adapter`` the active adapter's weights and scaling, None while it is switched off. Weights, not file names: what
    was trained on, or loaded from another folder under the same name, is another model.
    """
    adapter = _adapter_weights(model)
    return {
        "model": str(getattr(model.config, "_name_or_path", "")),
        "base": _base_hash(model),
        "adapter": _hash_tensors(*adapter) if adapter else None,
    }


def _of_adapter(name: str) -> bool:
    return ".lora_" in name or ".modules_to_save." in name


def _base_hash(model: Any) -> str:
    """Of all weights outside the adapter; counted once a model (seconds where there are billions) and again only when
    a weight is another tensor, or has been written to since."""
    whole = model.get_base_model() if hasattr(model, "peft_config") else model
    weights = [(name, p) for name, p in model.named_parameters() if not _of_adapter(name)]
    now = [(id(p), p.data_ptr(), p._version) for _, p in weights]
    if whole not in _HASHED or _HASHED[whole][0] != now:
        base = {  # by the names they have before PEFT wraps the model
            re.sub(r"^base_model\.model\.|\.(?:base_layer|original_module)(?=\.)", "", name): tensor
            for name, tensor in model.state_dict().items()
            if not _of_adapter(name)
        }
        _HASHED[whole] = now, _hash_tensors(base)
    return _HASHED[whole][1]


def _adapter_weights(model: Any) -> tuple[dict[str, Any], str] | None:
    """Weights of the active adapters and the factors they are multiplied with; None without one switched on."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    layers = [(name, layer) for name, layer in layers if not layer.disable_adapters]
    active = {key for _, layer in layers for key in layer.active_adapters}
    if not active:
        return None
    factors = [
        [name, {key: float(layer.scaling.get(key, 0)) for key in sorted(active)}] for name, layer in layers
    ]
    weights = {
        name: tensor
        for name, tensor in model.named_parameters()
        if _of_adapter(name) and active & set(name.split("."))
    }
    return weights, json.dumps(factors)


def _hash_tensors(tensors: Mapping[str, Any], extra: str = "") -> str:
    import torch

    digest = hashlib.sha256(extra.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class AnswerCache:
    """The answers of one fingerprint and one set of settings, read from ``folder`` and appended to it.

    A batch is one write, flushed to disk; a process killed within it leaves a torn last line. Lines that are torn, no
    answers, or not of this key, are passed over, never trusted.
    """

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self.identity = dict(identity)
        self.key = fingerprint(self.identity)
        self.path = Path(folder) / f"generations-{self.key[:16]}.jsonl"
        rows = read_jsonl(self.path, damaged=[]) if self.path.exists() else []
        self.answers: dict[str, str] = {
            str(row.get("prompt")): row["answer"]
            for row in rows
            if row.get("key") == self.key and isinstance(row.get("answer"), str)
        }

    def add(self, answers: Mapping[str, str], sizes: Mapping[str, tuple[int, int]] | None = None) -> None:
        """Keep ``answers`` (prompt hash to answer) at once; ``sizes``: tokens of each prompt and answer, for a bill."""
        new = {prompt: answer for prompt, answer in answers.items() if prompt not in self.answers}
        self._append(new, sizes or {})
        self.answers |= new

    def _append(self, new: Mapping[str, str], sizes: Mapping[str, tuple[int, int]]) -> None:
        # The identity in words stands once, on top, for a reader who wonders what the file holds.
        rows: list[dict[str, Any]] = [] if self.path.exists() else [{"key": self.key, **self.identity}]
        rows += [{"key": self.key, "prompt": prompt, "answer": answer} for prompt, answer in new.items()]
        append_jsonl(self.path, rows)
