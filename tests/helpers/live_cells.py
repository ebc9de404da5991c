"""How many 4-bit bases a notebook's variables hold after each of its cells: ``python tests/helpers/live_cells.py 03``.

Runs the notebook as a learner does (``WORKSHOP_OUTPUTS`` and ``WORKSHOP_PROFILE`` as there) and prints the cells after
which the number changed, the largest number last. Drills and practice, which use the tiny base under every profile, do
not count. Measured on the tiny profile: never more than one base after any cell of 03 (61 cells), 04 (50) and 05 (30).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRACTICE = ("src.classroom.practice", "src.classroom.drills")
STARTUP = """
import sys
sys.path.insert(0, {helpers!r})
import live_cells
live_cells.watch(get_ipython(), {log!r})
"""


def watch(shell, log: str) -> None:
    """In the kernel: after each cell one line of JSON in ``log``, ``{"cell": its beginning, "bases": how many}``."""
    import weakref

    from bitsandbytes.nn import Linear4bit

    layers, init = [], Linear4bit.__init__

    def counted(self, *args, **options):
        init(self, *args, **options)
        frame, names = sys._getframe(1), set()
        while frame is not None:
            names.add(frame.f_globals.get("__name__"))
            frame = frame.f_back
        if "src.qlora.loading" in names and not names & set(PRACTICE):
            layers.append(weakref.ref(self))

    def write(result) -> None:
        from src.profiles import active_profile
        from src.qlora.registry import model_shape, model_spec

        a_base = 7 * model_shape(model_spec(active_profile())).layers
        alive = sum(ref() is not None for ref in layers)
        line = {
            "cell": result.info.raw_cell[:60],
            "bases": -(-alive // a_base),
            "loaded": len(layers) // a_base,
        }
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    Linear4bit.__init__ = counted
    shell.events.register("post_run_cell", write)


def count(*arguments: str) -> list[dict]:
    """The lines of ``watch`` of a run of ``src.classroom.run`` with ``arguments``."""
    with tempfile.TemporaryDirectory() as folder:
        startup, log = (
            Path(folder) / "profile_default" / "startup" / "00-watch.py",
            Path(folder) / "cells.jsonl",
        )
        startup.parent.mkdir(parents=True)
        startup.write_text(STARTUP.format(helpers=str(Path(__file__).parent), log=str(log)), encoding="utf-8")
        command = [sys.executable, "-m", "src.classroom.run", *arguments]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "IPYTHONDIR": folder}, check=True)
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    cells = count("--only", sys.argv[1])
    before = None
    for cell in cells:
        if (cell["bases"], cell["loaded"]) != before:
            print(cell)
        before = (cell["bases"], cell["loaded"])
    print(f"{len(cells)} cells, at most {max(cell['bases'] for cell in cells)} base(s) at once")
