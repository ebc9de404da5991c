"""Which 4-bit models lie in memory: counted by their layers, so that a variable that holds one of them counts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager


def live_layers() -> int:
    """4-bit layers alive now, without collecting anything first: what a card holds at this moment."""
    from bitsandbytes.nn import Linear4bit

    return sum(isinstance(thing, Linear4bit) for thing in gc.get_objects())


@contextmanager
def loaded_models() -> Iterator[list[weakref.ref]]:
    """The 4-bit bases that are loaded within; a second one while the first lives is an error, where it is loaded."""
    from transformers import PreTrainedModel
    from transformers.quantizers.quantizer_bnb_4bit import Bnb4BitHfQuantizer

    loaded: list[weakref.ref] = []
    before = Bnb4BitHfQuantizer.preprocess_model

    def watched(self: Bnb4BitHfQuantizer, model: PreTrainedModel, *args: object, **options: object) -> object:
        alive = [ref for ref in loaded if ref() is not None]
        assert not alive, f"{len(alive)} 4-bit model still in memory while the next is loaded"
        loaded.append(weakref.ref(model))
        return before(self, model, *args, **options)

    Bnb4BitHfQuantizer.preprocess_model = watched
    try:
        yield loaded
    finally:
        Bnb4BitHfQuantizer.preprocess_model = before
