"""Run by tests/training/test_distributed.py: ``python -m src.train``'s main on the random model.

``[torchrun …|accelerate launch …] parallel_run.py BASE PROFILE.json``; the clean records are in WORKSHOP_OUTPUTS.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from src.profiles import PROFILES
from src.qlora.registry import MODELS
from src.train import main

if __name__ == "__main__":
    MODELS["random"] = replace(MODELS["tiny"], key="random", source=sys.argv[1])
    numbers = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    PROFILES["random"] = replace(PROFILES["tiny"], name="random", model="random", **numbers)
    os.environ["WORKSHOP_PROFILE"] = "random"
    raise SystemExit(main([]))
