"""Notebooks run one after the other, or in two lanes side by side, each in a fresh kernel that is watched."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat

from src.classroom.console import Cells, Console
from src.classroom.kernel import kernel_env, new_manager
from src.classroom.landing import write_landing
from src.classroom.lanes import key_of, lanes
from src.classroom.report import (
    entry_of,
    error_message,
    not_run,
    print_summary,
    read_entries,
    read_run,
    write_html,
    write_run,
)
from src.classroom.watch import PatientClient, Stuck
from src.experiments.log import current_commit
from src.profiles import Profile

ATTEMPTS = 2  # a notebook whose kernel got stuck is run once more, from its beginning


class Stopped(Exception):
    """Ctrl-C or SIGTERM came in."""


class Runner:
    """Runs notebooks and keeps ``run.json`` up to date after each of them."""

    def __init__(
        self, profile: Profile, notebooks: Sequence[Path], timeout: int | None = None, electives: bool = False
    ) -> None:
        self.profile = profile
        self.notebooks = list(notebooks)
        self.electives = electives  # they have their own place in run.json, the day's stays as it is
        self.timeout = timeout  # seconds a cell; None: as long as it works
        self.output_dir = profile.output_dir.resolve()
        self.console = Console()
        self.stopped = self.failed = False
        self.entries: dict[str, dict[str, Any]] = {}
        self.commit = current_commit()
        self._steps: set[asyncio.Future] = set()

    def run(self, selected: Sequence[Path], jobs: int = 1) -> int:
        """Run ``selected`` (some of ``notebooks``, in their order), ``jobs`` at a time; returns the exit status."""
        self.started = time.time()
        self.entries = {p.stem: not_run(p) for p in self.notebooks}
        self.entries |= read_entries(self.output_dir, self.profile.name, self.commit, self.electives)
        for path in selected:
            self.entries[path.stem] = not_run(path)
            self._html(path).unlink(missing_ok=True)  # a page of an earlier run would pass for this one's
        self.before = sum(entry["seconds"] for entry in self.entries.values())
        self._save()
        with self._signals():
            asyncio.run(self._run_lanes(lanes(selected) if jobs > 1 else [list(selected)], jobs))
        self._save()
        write_landing(self.output_dir, read_run(self.output_dir))
        entries, compared = list(self.entries.values()), not self.electives
        print_summary(self.console, self.output_dir, entries, self.started, self._seconds(), compared)
        return 130 if self.stopped else 1 if self.failed else 0

    async def _run_lanes(self, each: Sequence[Sequence[Path]], jobs: int) -> None:
        self._slots = asyncio.Semaphore(jobs)
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(self.console.tick())
            await asyncio.gather(*(self._run_lane(lane) for lane in each))
            ticking.cancel()

    async def _run_lane(self, lane: Sequence[Path]) -> None:
        """The notebooks of ``lane``, each as soon as the one before it has handed over and a slot is free."""
        if not lane or self.stopped or self.failed:
            return
        path, *rest = lane
        handed_over = asyncio.Event()

        async def go_on() -> None:
            await handed_over.wait()
            await self._run_lane(rest)

        following = asyncio.create_task(go_on())
        for attempt in range(1, ATTEMPTS + 1):
            async with self._slots:
                if self.stopped or self.failed:  # while it waited
                    break
                self.entries[path.stem], stuck = await self._run_notebook(path, attempt, handed_over)
            if not stuck or self.stopped or attempt == ATTEMPTS:
                break
            message = self.entries[path.stem]["error"]["message"]
            self.console.line(f"{self._number(path)} · {message} 처음부터 다시 실행합니다.")
            if handed_over.is_set():
                await following  # it reads what another try will write anew
        self.failed = self.failed or self.entries[path.stem]["status"] == "failed"
        self._save()
        handed_over.set()
        await following

    async def _run_notebook(
        self, path: Path, attempt: int, handed_over: asyncio.Event
    ) -> tuple[dict[str, Any], bool]:
        """The notebook's entry in ``run.json``, and whether its kernel got stuck, so that another try may help."""
        started, number = time.monotonic(), self._number(path)
        lane = Cells(self.console, number, handed_over)
        error: Exception | None = None
        nb = nbformat.v4.new_notebook()
        try:
            nb = nbformat.read(path, as_version=4)
            lane.begin(nb.cells)
            await self._execute(nb, path, lane)
        except Exception as exception:
            error = exception
        finally:
            lane.end()
        entry = entry_of(path, nb.cells, lane.times, time.monotonic() - started, attempt)
        at = lane.at
        if error:
            message = "중단되었습니다." if self.stopped else error_message(error)
            entry["status"] = "failed"
            entry["error"] = {"index": at and at[0], "heading": at[3] if at else "", "message": message}
        day = [notebook.stem for notebook in self.notebooks]
        # In a thread, so that the other lane goes on.
        failed_at = at[0] if error and at else None
        await asyncio.to_thread(write_html, nb, self._html(path), path, failed_at, day)
        stuck = isinstance(error, Stuck)
        word = "완료" if not error else "중단" if self.stopped else "멈춤" if stuck else "실패"
        self.console.line(f"{number} · {word} · {entry['seconds']:.1f}초")
        if error and (self.stopped or not stuck or attempt == ATTEMPTS):
            self._explain(path, at, entry["error"]["message"])
        return entry, stuck

    async def _execute(self, nb: nbformat.NotebookNode, path: Path, lane: Cells) -> None:
        """Start a kernel, run every cell, shut the kernel down, whatever happens."""
        sockets = tempfile.TemporaryDirectory(prefix="ws-")
        manager = new_manager(Path(sockets.name))
        client = PatientClient(
            nb,
            km=manager,
            say=lambda text: self.console.line(f"{lane.number} · {text}"),
            timeout=self.timeout,
            on_cell_execute=lane.started,
            on_cell_executed=lane.executed,
        )
        ended = False
        try:
            # In the notebook's own folder, as in JupyterLab. What a cell prints goes to the page; what is left is
            # libraries' noise, as when ZeroMQ is torn down.
            silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            folder, env = str(path.parent), kernel_env(self.profile)
            await client.async_start_new_kernel(cwd=folder, env=env, **silent)
            await self._interruptible(client.async_start_new_kernel_client())
            for index, cell in enumerate(nb.cells):
                number = client.code_cells_executed + 1
                await self._interruptible(client.watched(client.async_execute_cell(cell, index, number)))
            client.set_widgets_metadata()
            ended = True
        finally:
            if manager.has_kernel:
                with contextlib.suppress(Exception):
                    client.kc.stop_channels()
                await manager.shutdown_kernel(now=not ended)
            sockets.cleanup()

    async def _interruptible(self, step: Coroutine) -> None:
        """Await ``step``; a signal cancels it, and only it, so that the kernel's clean-up always runs."""
        if self.stopped:
            step.close()
            raise Stopped
        task = asyncio.ensure_future(step)
        self._steps.add(task)
        try:
            await task
        except (Exception, asyncio.CancelledError) as error:
            if self.stopped:
                raise Stopped from None
            raise error
        finally:
            self._steps.discard(task)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the running cells; outside the main thread Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: object) -> None:
            self.stopped = True
            for task in list(self._steps):
                task.get_loop().call_soon_threadsafe(task.cancel)

        before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _explain(self, path: Path, at: tuple | None, message: str) -> None:
        where = f"셀 {at[1]}/{at[2]} (In [{at[1]}])\n  제목: {at[3]}" if at else "커널 시작"
        again = "여기서 이어 가기" if self.stopped else "고친 뒤 여기서 이어 가기"
        profile = "" if self.profile.name == "tiny" else f" PROFILE={self.profile.name}"
        self.console.line(
            f"\n{'중단했습니다' if self.stopped else '셀에서 오류가 났습니다'}.\n"
            f"  노트북: {path.name}\n  위치: {where}\n  오류: {message}\n"
            f"  실행한 데까지: {self._html(path)}\n  {again}: "
            f"make {'electives' if self.electives else 'workshop'}{profile} FROM={key_of(path)}"
        )

    def _number(self, path: Path) -> str:
        return f"[{self.notebooks.index(path) + 1}/{len(self.notebooks)}] {path.stem}"

    def _html(self, path: Path) -> Path:
        return self.output_dir / "html" / f"{path.stem}.html"

    def _save(self) -> None:
        entries = list(self.entries.values())
        write_run(self.output_dir, self.profile.name, self.commit, entries, self._seconds(), self.electives)

    def _seconds(self) -> float:
        """By the clock, of this run and of what an earlier one left: less than the notebooks' sum with two lanes."""
        return round(self.before + time.time() - self.started, 2)
