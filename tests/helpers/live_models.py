"""Which 4-bit models lie in memory: counted by their layers, so that a variable that holds one of them counts."""

from __future__ import annotations

import gc
import json
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What each kernel of a run does first, in IPython's folder of things to do then.
STARTUP = """
import sys
sys.path.insert(0, {helpers!r})
import live_models
sys.path.pop(0)
live_models.count_bases(get_ipython(), {folder!r})
"""


def live_layers() -> int:
    """4-bit layers alive now, without collecting anything first: what a card holds at this moment."""
    from bitsandbytes.nn import Linear4bit

    return sum(isinstance(thing, Linear4bit) for thing in gc.get_objects())


@contextmanager
def loaded_models() -> Iterator[list[weakref.ref]]:
    """The 4-bit bases that are loaded within; a second one while the first lives is an error, where it is loaded. Nothing
    is freed by chance: Python collects only where it is told to."""
    loaded: list[weakref.ref] = []

    def watched(model: Any) -> None:
        alive = [ref for ref in loaded if ref() is not None]
        assert not alive, f"{len(alive)} 4-bit model still in memory while the next is loaded"
        loaded.append(weakref.ref(model))

    undo = _at_each_load(watched)
    gc.disable()
    try:
        yield loaded
    finally:
        gc.enable()
        undo()


def _at_each_load(tell: Callable[[Any], None]) -> Callable[[], None]:
    """``tell`` gets each 4-bit model as soon as it has its layers, from now on; returns what ends that."""
    from transformers.quantizers.quantizer_bnb_4bit import Bnb4BitHfQuantizer

    before = Bnb4BitHfQuantizer.preprocess_model

    def watched(self: Any, model: Any, *args: Any, **options: Any) -> Any:
        done = before(self, model, *args, **options)
        tell(model)
        return done

    Bnb4BitHfQuantizer.preprocess_model = watched

    def undo() -> None:
        Bnb4BitHfQuantizer.preprocess_model = before

    return undo


def counting_kernels(folder: Path) -> dict[str, str]:
    """The environment of a run whose kernels count (``count_bases``); ``folder`` is theirs, ``bases_of`` reads it."""
    startup = folder / "profile_default" / "startup" / "00-count.py"
    startup.parent.mkdir(parents=True)
    text = STARTUP.format(helpers=str(Path(__file__).parent), folder=str(folder))
    startup.write_text(text, encoding="utf-8")
    return {"IPYTHONDIR": str(folder)}


def bases_of(folder: Path) -> dict[str, int]:
    """A cell's source -> the most quantized bases at once, while it ran and after it."""
    files = (path.read_text(encoding="utf-8").splitlines() for path in folder.glob("*.jsonl"))
    return {line["cell"]: line["bases"] for lines in files for line in map(json.loads, lines)}


def count_bases(shell: Any, folder: str) -> None:
    """In a kernel: after each cell a line of JSON in a file of its own below ``folder``: its source and the most quantized
    bases of the profile that lived at once, at a loading within it or at its end. A base lives as long as one of its layers. The tiny base of
    drills and practice, the same under every profile, does not count."""
    from bitsandbytes.nn import Linear4bit

    loaded: list[list[weakref.ref]] = []
    at_once = [0]

    def alive() -> int:
        return sum(any(ref() is not None for ref in layers) for layers in loaded)

    def count(model: Any) -> None:
        if not Path(model.name_or_path).match("data/tiny/base"):
            loaded.append([weakref.ref(m) for m in model.modules() if isinstance(m, Linear4bit)])
            at_once.append(alive())

    def write(result: Any) -> None:
        line = {"cell": result.info.raw_cell, "bases": max(*at_once, alive())}
        at_once[:] = [0]
        with open(Path(folder) / f"{os.getpid()}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    _at_each_load(count)
    shell.events.register("post_run_cell", write)
