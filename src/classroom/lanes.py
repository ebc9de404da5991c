"""Which notebooks may run side by side."""

import os
from collections.abc import Sequence
from pathlib import Path

import psutil

from src.profiles import Profile
from src.qlora.registry import model_spec

# Notebooks of different lanes use nothing of each other's; a lane is worked off in its order.
LANES = (("00.01", "00", "05"), ("01", "02", "03", "04"))
# The tag of a cell that leaves all that the next notebook of its lane needs.
HANDS_OVER = "hands-over"
LANE_GIB = 3  # memory that a lane of small models needs


def lanes(selected: Sequence[Path]) -> list[list[Path]]:
    """``selected`` in lanes that need nothing of each other; a notebook that ``LANES`` does not know stays last in
    the last one."""
    known = {key: lane for lane in LANES for key in lane}
    found: dict[tuple[str, ...], list[Path]] = {}
    for path in selected:
        found.setdefault(known.get(key_of(path), LANES[-1]), []).append(path)
    return list(found.values())


def usual_jobs(profile: Profile) -> int:
    """Two lanes where a second core and the memory are there for them; a model for a card has it to itself."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory().available / 2**30
    return 2 if model_spec(profile).local and cores > 1 and memory > 2 * LANE_GIB else 1


def key_of(path: Path) -> str:
    """What names a notebook on the command line: ``03_fine_tuning_with_lora.ipynb`` -> ``03``."""
    return path.stem.replace("-", "_").split("_")[0]
