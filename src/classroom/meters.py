"""Bytes that can be counted on any machine: what autograd keeps, and all tensors alive."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class TensorBytes(TorchDispatchMode):
    """``with TensorBytes() as meter: …`` and then ``meter.peak``: bytes of the tensors made within, at their most.

    Each storage counts once, from the operation that made it until it is freed; libraries and Python do not count.
    With a ``capacity`` in bytes it is a pretended card, which refuses what does not fit as CUDA would.
    """

    def __init__(self, capacity: float = float("inf")) -> None:
        super().__init__()
        self.capacity, self.held, self.peak = capacity, 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given: set[int] = set()
        tree_map_only(torch.Tensor, lambda t: given.add(t.untyped_storage()._cdata), (args, kwargs))
        result = func(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, lambda t: self._count(t, given), result)
        return result

    def _count(self, tensor: torch.Tensor, given: set[int]) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known and key not in given:  # a view of what was there before is nothing new
            if self.held + size > self.capacity:
                asked = f"Tried to allocate {size / 2**20:.2f} MiB. (연습용 카드)"
                raise torch.OutOfMemoryError(f"CUDA out of memory. {asked}")
            self._known.add(key)
            self.held += size
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size
