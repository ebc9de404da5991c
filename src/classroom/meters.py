"""Bytes that can be counted on any machine: what autograd keeps, and all tensors alive."""

import weakref
from typing import Any, Self

import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class TensorBytes(TorchDispatchMode):
    """``with TensorBytes() as meter: …`` and then ``meter.peak``: bytes of the tensors made within, at their most.

    Each storage counts once, from the operation that made it until it is freed; libraries and Python do not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self._count, result)
        return result

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.held += size
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


class SmallCard(saved_tensors_hooks):
    """A pretended card: refuses once the tensors kept for the backward pass need more than ``capacity`` bytes.

    Real on any machine, since autograd itself hands over what it keeps; the peak is ``peak``.
    """

    def __init__(self, capacity: float = float("inf")) -> None:
        super().__init__(lambda tensor: _Kept(self, tensor), lambda kept: kept.tensor)
        self.capacity, self.held, self.peak = capacity, 0, 0

    def __enter__(self) -> Self:
        super().__enter__()
        return self


class _Kept:
    """A tensor that autograd keeps; its bytes are given back when autograd lets go of it."""

    def __init__(self, card: SmallCard, tensor: Any) -> None:
        self.card, self.tensor, self.size = card, tensor, 0
        if card.held + tensor.nbytes > card.capacity:
            asked = f"{tensor.nbytes / 2**20:.2f} MiB"
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {asked}. (연습용 카드)")
        self.size = tensor.nbytes
        card.held += self.size
        card.peak = max(card.peak, card.held)

    def __del__(self) -> None:
        self.card.held -= self.size
