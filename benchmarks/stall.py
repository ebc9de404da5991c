"""Does a run stand still on a busy machine? ``python -m benchmarks.stall`` runs slider, ``Output`` and large-output cells beside
busy processes and counts the stalls; ``--mirror`` runs them as nbclient does by itself, for comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from benchmarks import machine, write_section
from src.classroom.kernel import kernel_env, new_manager
from src.classroom.watch import PatientClient
from src.profiles import active_profile

SLIDERS = """
from ipywidgets import SelectionSlider, interact
import matplotlib.pyplot as plt
def draw(a, b):
    plt.figure(figsize=(7, 3)); plt.plot(range(a * b)); plt.show()
interact(draw, a=SelectionSlider(options=[1, 2, 4, 8]), b=SelectionSlider(options=[512, 1024]));
"""
OUTPUT = """
from ipywidgets import Output
out = Output(); display(out)
with out:
    for i in range(20): print(i)
    display({'text/plain': 'x' * 1000}, raw=True)
"""
LARGE = "for i in range(40): print('가' * 50_000)"
LIMIT = 60.0  # seconds after which a cell counts as standing still: it takes one or two


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many other programs that never rest."""
    loops = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()


def _spin() -> None:
    while True:
        pass


async def run_cells(count: int, mirror: bool) -> tuple[int, float]:
    """(Cells that ended, seconds of the slowest): all of ``count``, or those before the one that stood still."""
    sources = [SLIDERS, OUTPUT, LARGE]
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(sources[i % 3]) for i in range(count)])
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="ws-") as sockets:
        manager = new_manager(Path(sockets))
        options = {"km": manager, "timeout": None, "startup_timeout": 120, "coalesce_streams": True}
        client = NotebookClient(nb, **options) if mirror else PatientClient(nb, say=print, **options)
        await client.async_start_new_kernel(env=kernel_env(active_profile()))
        await client.async_start_new_kernel_client()
        try:
            for index, cell in enumerate(nb.cells):
                started = time.monotonic()
                step = asyncio.ensure_future(client.async_execute_cell(cell, index, index + 1))
                if not (await asyncio.wait({step}, timeout=LIMIT))[0]:
                    return index, slowest
                step.result()
                slowest = max(slowest, time.monotonic() - started)
            return count, slowest
        finally:
            await manager.shutdown_kernel(now=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--busy", type=int, default=4, help="other programs beside it")
    parser.add_argument(
        "--mirror", action="store_true", help="nbclient's own waiting and its mirror of widgets"
    )
    args = parser.parse_args()
    with busy(args.busy):
        # Not asyncio.run, which waits for what is left: a step that stands still does not end when cancelled.
        run = run_cells(args.cells, args.mirror)
        ended, slowest = asyncio.new_event_loop().run_until_complete(run)
    how = "nbclient 그대로" if args.mirror else "이 워크숍의 실행기"
    stood = "멈추지 않음" if ended == args.cells else f"{ended + 1}번째 셀에서 멈춤"
    text = (
        f"{how}, 다른 프로그램 {args.busy}개 옆에서 셀 {args.cells}개: {stood}, 가장 느린 셀 {slowest:.1f}초."
    )
    print(text, flush=True)
    write_section("stall-mirror" if args.mirror else "stall", f"{text} {machine('nbclient', 'ipykernel')}")
    os._exit(0)


if __name__ == "__main__":
    main()
