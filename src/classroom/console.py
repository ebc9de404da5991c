"""The terminal while notebooks run: what runs and for how long."""

import asyncio
import os
import shutil
import sys
import time

import psutil

from src.data.text import width


class Console:
    """What runs now: one line that updates itself on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self.tty = sys.stdout.isatty()
        self.every = 1.0 if self.tty else 30.0  # seconds between signs of life within one cell
        self._text, self._since = "", 0.0  # what runs, and since when

    def line(self, text: str) -> None:
        """Print ``text`` for good."""
        print(("\r\x1b[2K" if self.tty else "") + text, flush=True)
        self._draw()

    def show(self, text: str) -> None:
        """Something begins."""
        self._text, self._since = text, time.monotonic()
        self._draw()

    def done(self, end: str) -> None:
        """It has ended: a terminal shows the next thing soon, a log keeps it."""
        if not self.tty:
            print(self._text + end, flush=True)

    def forget(self) -> None:
        """Nothing more to show."""
        self._text = ""

    async def tick(self) -> None:
        """Show the time gone by until cancelled."""
        while True:
            await asyncio.sleep(self.every)
            self._draw()
            seconds = time.monotonic() - self._since
            if self._text and not self.tty and seconds >= self.every:
                print(f"{self._text} · {elapsed(seconds)}째", flush=True)

    def _draw(self) -> None:
        """Where text and time do not fit, the text is cut: what moves is at the end."""
        if self.tty and self._text:
            text, end = self._text, f" · {elapsed(time.monotonic() - self._since)}째"
            while text and width(text) + width(end) >= shutil.get_terminal_size().columns:
                text = text[:-1]
            print("\r\x1b[2K" + text + end, end="", flush=True)


def busy_line() -> str:
    """What to say where other programs use this machine; nothing where they do not."""
    cores = os.cpu_count() or 1
    used = psutil.cpu_percent(interval=0.5) / 100 * cores
    if used < 0.4 * cores:
        return ""
    return (
        f"다른 프로그램이 이 컴퓨터의 코어 {cores}개 가운데 {used:.1f}개를 쓰고 있어 평소보다 오래 걸립니다. "
        "닫을 수 있으면 닫아 주세요."
    )


def elapsed(seconds: float) -> str:
    """``75`` -> "1분 15초"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}분 {rest:02d}초" if minutes else f"{rest}초"
