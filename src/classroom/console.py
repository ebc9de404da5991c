"""The terminal while notebooks run: what each lane does and for how long."""

import asyncio
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

import psutil

from src.classroom.lanes import HANDS_OVER
from src.data.text import width


class Console:
    """What runs now: one line that updates itself on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self.tty = sys.stdout.isatty()
        self.every = 1 if self.tty else 30  # seconds between signs of life within one cell
        self._shown: dict[str, tuple[str, float]] = {}  # lane -> what it does, since when

    def line(self, text: str) -> None:
        """Print ``text`` for good."""
        print(("\r\x1b[2K" if self.tty else "") + text, flush=True)
        self._draw()

    def show(self, lane: str, text: str) -> None:
        """``lane`` begins something."""
        self._shown[lane] = (text, time.monotonic())
        self._draw()

    def done(self, lane: str, end: str) -> None:
        """What ``lane`` did has ended: a terminal shows the next thing soon, a log keeps it."""
        if not self.tty:
            print(self._shown[lane][0] + end, flush=True)

    def forget(self, lane: str) -> None:
        """``lane`` has nothing more to show."""
        self._shown.pop(lane, None)

    async def tick(self) -> None:
        """Show the time gone by, and that others use the machine when they do, until cancelled."""
        others, shown = Others(), time.monotonic()
        look = shown + 1
        while True:
            await asyncio.sleep(min(self.every, 1.0))
            now = time.monotonic()
            if now >= look:
                look = now + 20
                if line := others.line():
                    self.line(line)
            if now - shown < self.every:
                continue
            shown = now
            self._draw()
            if not self.tty:
                for text, since in self._shown.values():
                    if (seconds := time.monotonic() - since) >= self.every:
                        print(f"{text} · {elapsed(seconds)}째", flush=True)

    def _draw(self) -> None:
        """The running lanes side by side. Where they do not fit, the texts are cut: what moves is at the end."""
        if not self.tty or not self._shown:
            return
        room = (shutil.get_terminal_size().columns - 1) // len(self._shown) - 2
        parts = []
        for text, since in self._shown.values():
            end = f" · {elapsed(time.monotonic() - since)}째"
            while text and width(text) + width(end) > room:
                text = text[:-1]
            parts.append(text + end)
        print("\r\x1b[2K" + " | ".join(parts), end="", flush=True)


class Cells:
    """One notebook's place on the console and the seconds of its cells, kept by nbclient's hooks."""

    def __init__(self, console: Console, number: str, handed_over: asyncio.Event) -> None:
        self.console, self.number, self.handed_over = console, number, handed_over
        self.times: list[dict[str, Any]] = []
        self.at: tuple[int, int, int, str] | None = None  # (index, place among code cells, how many, heading)
        console.show(number, f"{number} · 커널을 시작합니다")

    def begin(self, cells: Sequence[Any]) -> None:
        self.headings = cell_headings(cells)
        self.code = [i for i, cell in enumerate(cells) if cell.cell_type == "code" and cell.source.strip()]

    def started(self, cell: Any, cell_index: int) -> None:
        place = self.code.index(cell_index) + 1
        self.at = (cell_index, place, len(self.code), self.headings[cell_index])
        self.begun = time.monotonic()
        self.console.show(self.number, f"{self.number} · 셀 {place}/{len(self.code)} · {self.at[3]}")

    def executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        seconds = time.monotonic() - self.begun
        self.times.append({"index": cell_index, "heading": self.at[3], "seconds": round(seconds, 2)})
        self.console.done(self.number, f" · {seconds:.1f}초")
        if HANDS_OVER in cell.metadata.get("tags", ()) and execute_reply["content"]["status"] == "ok":
            self.handed_over.set()

    def end(self) -> None:
        self.console.forget(self.number)


def cell_headings(cells: Sequence[Any]) -> list[str]:
    """For each cell the nearest Markdown heading at or above it."""
    headings, current = [], "(제목 없음)"
    for cell in cells:
        if cell.cell_type == "markdown":
            # '#' in code is a comment
            prose = re.sub(r"^(```|~~~).*?^\1", "", cell.source, flags=re.M | re.S)
            found = re.findall(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", prose, flags=re.M)
            current = found[-1] if found else current
        headings.append(current)
    return headings


class Others:
    """What other programs use of this machine: asked now and then, it says so once each time that it becomes much."""

    def __init__(self) -> None:
        self.cores = os.cpu_count() or 1
        self._before, self._told = self._times(), False

    def line(self) -> str:
        """What to say of the time since the last call; nothing where there is nothing new."""
        now = self._times()
        seconds, all_, ours = (new - old for new, old in zip(now, self._before, strict=True))
        self._before, used = now, (all_ - ours) / seconds
        told, self._told = self._told, used >= 0.4 * self.cores
        if told or not self._told:
            return ""
        return (
            f"다른 프로그램이 이 컴퓨터의 코어 {self.cores}개 가운데 {used:.1f}개를 쓰고 있어 평소보다 오래 걸립니다. "
            "닫을 수 있으면 닫아 주세요."
        )

    @staticmethod
    def _times() -> tuple[float, float, float]:
        """(By the clock, processor seconds of all programs, of this one and of whatever it started)."""
        whole, ours = psutil.cpu_times(), 0.0
        for process in (me := psutil.Process(), *me.children(recursive=True)):
            try:
                ours += sum(process.cpu_times()[:4])  # those of its children that have ended, too
            except psutil.Error:
                continue
        return time.monotonic(), whole.user + whole.system + getattr(whole, "nice", 0.0), ours


def elapsed(seconds: float) -> str:
    """``75`` -> "1분 15초"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}분 {rest:02d}초" if minutes else f"{rest}초"
