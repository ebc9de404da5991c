"""Run the workshop's notebooks in order, each in a fresh kernel: ``python -m src.classroom.run``.

Leaves below ``profile.output_dir``: ``html/<notebook>.html`` (pictures embedded), ``run.json`` and, on the terminal, a
summary. Exit status: 0 all ran, 1 a cell failed, 2 wrong arguments or a missing notebook, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from src.classroom.kernel import kernel_env, new_manager
from src.classroom.report import (
    Console,
    cell_headings,
    error_message,
    not_run,
    print_summary,
    read_entries,
    warning_lines,
    write_html,
    write_run,
)
from src.profiles import PROFILES, ROOT, Profile, active_profile

NOTEBOOKS = (
    ROOT / "prerequisites" / "00.01-prerequisites.ipynb",
    ROOT / "main-practice" / "00-concepts.ipynb",
    ROOT / "main-practice" / "01_data_preprocessing_and_validation.ipynb",
    ROOT / "main-practice" / "02_data_quality_check.ipynb",
    ROOT / "main-practice" / "03_fine_tuning_with_lora.ipynb",
    ROOT / "main-practice" / "04_evaluation_and_comparison.ipynb",
    ROOT / "main-practice" / "05_custom_qlora.ipynb",
)


class Stopped(Exception):
    """Ctrl-C or SIGTERM came in."""


class Runner:
    """Runs notebooks and keeps ``run.json`` up to date after each of them."""

    def __init__(self, profile: Profile, notebooks: Sequence[Path], timeout: int | None = None) -> None:
        self.profile = profile
        self.notebooks = list(notebooks)
        self.timeout = timeout  # seconds a cell; None waits for ever
        self.output_dir = profile.output_dir.resolve()
        self.console = Console()
        self.stopped = False
        self._current: asyncio.Future | None = None

    def run(self, selected: Sequence[Path]) -> int:
        """Run ``selected`` (some of ``notebooks``, in their order) and return the exit status."""
        started = time.time()
        commit = _commit()
        entries = {p.stem: not_run(p) for p in self.notebooks}
        entries |= read_entries(self.output_dir, self.profile.name, commit)
        for path in selected:
            entries[path.stem] = not_run(path)
            self._html(path).unlink(missing_ok=True)  # a page of an earlier run would pass for this one's
        status = 0
        self._save(commit, entries)
        with self._signals():
            for path in selected:
                if self.stopped:  # between two notebooks
                    return 130
                entry = asyncio.run(self._run_notebook(path))
                entries[path.stem] = entry
                self._save(commit, entries)
                if entry["status"] != "ok":
                    status = 130 if self.stopped else 1
                    break
        ordered = [entries[p.stem] for p in self.notebooks]
        print_summary(self.console, self.output_dir, ordered, started)
        return status

    async def _run_notebook(self, path: Path) -> dict[str, Any]:
        started = time.monotonic()
        number = f"[{self.notebooks.index(path) + 1}/{len(self.notebooks)}] {path.stem}"
        self.console.update(f"{number} · 커널을 시작합니다")
        entry, times, error, at = not_run(path), [], None, None
        sockets = tempfile.TemporaryDirectory(prefix="ws-")
        manager = new_manager(Path(sockets.name))
        nb = nbformat.v4.new_notebook()
        try:
            nb = nbformat.read(path, as_version=4)
            headings = cell_headings(nb.cells)
            client = NotebookClient(
                nb, km=manager, timeout=self.timeout, startup_timeout=120, coalesce_streams=True
            )
            # The notebook's own folder, as in JupyterLab.
            await client.async_start_new_kernel(cwd=str(path.parent), env=kernel_env(self.profile))
            await self._interruptible(client.async_start_new_kernel_client())
            code = [i for i, c in enumerate(nb.cells) if c.cell_type == "code" and c.source.strip()]
            for n, index in enumerate(code, 1):
                at, begun = (index, n, len(code), headings[index]), time.monotonic()
                label = f"{number} · 셀 {n}/{len(code)} · {headings[index]}"
                with self.console.ticking(label):
                    await self._interruptible(client.async_execute_cell(nb.cells[index], index, n))
                seconds = time.monotonic() - begun
                times.append({"index": index, "heading": headings[index], "seconds": round(seconds, 2)})
                self.console.progress(label, f" · {seconds:.1f}초")
            client.set_widgets_metadata()
        except Exception as exception:
            error = exception
        finally:
            if manager.has_kernel:
                with contextlib.suppress(Exception):
                    client.kc.stop_channels()
                await manager.shutdown_kernel(now=error is not None)
            sockets.cleanup()
        warnings = warning_lines(nb.cells)
        entry.update(
            status="failed" if error else "ok",
            seconds=round(time.monotonic() - started, 2),
            slowest_cells=sorted(times, key=lambda t: -t["seconds"])[:5],
            stderr=len(warnings),
            warnings=warnings[:5],
        )
        if error:
            entry["error"] = {
                "index": at[0] if at else None,
                "heading": at[3] if at else "",
                "message": "중단되었습니다." if self.stopped else error_message(error),
            }
        write_html(nb, self._html(path), path, failed_at=at[0] if error and at else None)
        self.console.line(
            f"{number} · {('중단' if self.stopped else '실패') if error else '완료'} · {entry['seconds']:.1f}초"
        )
        if error:
            self._explain(path, at, entry["error"]["message"])
        return entry

    async def _interruptible(self, step: Coroutine) -> None:
        """Await ``step``; a signal cancels it, and only it, so that the kernel's clean-up always runs."""
        if self.stopped:
            step.close()
            raise Stopped
        self._current = asyncio.ensure_future(step)
        try:
            await self._current
        except (Exception, asyncio.CancelledError) as error:
            if self.stopped:
                raise Stopped from None
            raise error
        finally:
            self._current = None

    @contextlib.contextmanager
    def _signals(self):
        """SIGINT and SIGTERM stop the running cell; outside the main thread Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: object) -> None:
            self.stopped = True
            if self._current is not None and not self._current.done():
                self._current.get_loop().call_soon_threadsafe(self._current.cancel)

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _explain(self, path: Path, at: tuple | None, message: str) -> None:
        key = _key(path)
        where = f"셀 {at[1]}/{at[2]} (In [{at[1]}])\n  제목: {at[3]}" if at else "커널 시작"
        self.console.line(f"\n{'중단했습니다' if self.stopped else '셀에서 오류가 났습니다'}.")
        self.console.line(f"  노트북: {path.name}\n  위치: {where}\n  오류: {message}")
        self.console.line(f"  실행한 데까지: {self._html(path)}")
        again = "여기서 이어 가기" if self.stopped else "고친 뒤 여기서 이어 가기"
        self.console.line(f"  {again}: make workshop FROM={key}")

    def _html(self, path: Path) -> Path:
        return self.output_dir / "html" / f"{path.stem}.html"

    def _save(self, commit: str, entries: dict[str, dict[str, Any]]) -> None:
        write_run(self.output_dir, self.profile.name, commit, [entries[p.stem] for p in self.notebooks])


def _commit() -> str:
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return git.stdout.strip() if git.returncode == 0 else "unknown"


def _key(path: Path) -> str:
    """What names a notebook on the command line: ``03_fine_tuning_with_lora.ipynb`` -> ``03``."""
    return path.stem.replace("-", "_").split("_")[0]


def main(argv: Sequence[str] | None = None, notebooks: Sequence[Path] = NOTEBOOKS) -> int:
    """Parse ``argv`` and run; ``notebooks`` is what there is to run, in order."""
    parser = argparse.ArgumentParser(
        prog="python -m src.classroom.run", description="워크숍 노트북을 차례로 실행합니다."
    )
    keys = [_key(p) for p in notebooks]
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--from", dest="start", choices=keys, help="이 노트북부터 끝까지")
    one.add_argument("--only", choices=keys, help="이 노트북만")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="WORKSHOP_PROFILE 대신")
    parser.add_argument(
        "--timeout", type=int, help="셀 하나에 줄 시간(초). 정하지 않으면 끝날 때까지 기다립니다"
    )
    parser.add_argument("--list", action="store_true", help="노트북 목록만 보여 줍니다")
    args = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console without Hangul must not stop the run
    if args.list:
        print("\n".join(f"{_key(p):<6} {p.name}" for p in notebooks))
        return 0
    try:
        profile = PROFILES[args.profile] if args.profile else active_profile()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    first = keys.index(args.start) if args.start else 0
    selected = [notebooks[keys.index(args.only)]] if args.only else list(notebooks[first:])
    missing = [str(p) for p in selected if not p.is_file()]
    if missing:
        print("노트북 파일이 없습니다. 저장소를 다시 받아 주세요:", *missing, sep="\n  ", file=sys.stderr)
        return 2
    return Runner(profile, notebooks, args.timeout).run(selected)


if __name__ == "__main__":
    sys.exit(main())
