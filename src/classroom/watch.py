"""A notebook client that cannot wait for ever: what goes silent is noticed, said, woken, or given up.

A kernel that works is never cut short, however long a cell takes: it uses its processor, its disk or says something.
What is silent for ``TELL`` seconds is looked at. Stopped (SIGSTOP): woken. Idle though its reply never came: given
up at once. Answering on the control channel, which has a thread of its own: it waits for something (a network, a
lock), which is said, and given up after ``WAIT`` seconds. Not even that: given up after ``DEAF`` seconds.
"""

import asyncio
import re
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

import nbclient.client
import psutil
from nbclient import NotebookClient
from nbclient.output_widget import OutputWidget

SLICE = 1.0  # seconds a socket is waited for before it is asked again
LOOK = 5.0  # seconds between two looks at the kernel
TELL, DEAF, WAIT = 25.0, 50.0, 900.0  # seconds of silence
WAKINGS = 3  # times a notebook's kernel is woken before it counts as stuck
WORKING = 0.01  # of one processor: an idle kernel uses a tenth of it

# What a carriage return overwrites: nbclient's own pattern without "^" starts anew at every character of a line, so that
# one line of 500,000 characters holds up the whole runner for minutes.
OVERWRITTEN = nbclient.client._RGX_CARRIAGERETURN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)


class Stuck(RuntimeError):
    """The kernel is there and will not go on; the message says in Korean what was seen."""


class _Listener(OutputWidget):
    """Takes what is drawn into an ``Output`` widget off the cell's page, as a front end does, and tells nobody."""

    def _publish_msg(self, *args: Any, **kwargs: Any) -> None:
        pass


class PatientClient(NotebookClient):
    """``NotebookClient`` that polls its sockets in slices, never answers widgets and watches its kernel.

    nbclient mimics a front end for ``Output`` widgets: it sends on the shell channel while it waits there for the
    reply, and the wake-up of the edge-triggered socket can be lost (its issue 312): the reply lies unread for ever.
    No such sends here; and a socket that is asked anew each second finds whatever wake-up was lost.
    """

    def __init__(self, *args: Any, say: Callable[[str], None], **options: Any) -> None:
        options = {"startup_timeout": 120, "iopub_timeout": 120, "coalesce_streams": True} | options
        super().__init__(*args, **options)
        self.widget_registry = {"@jupyter-widgets/output": {"OutputModel": _Listener}}
        self.say = say
        self._heard = time.monotonic()
        self._idle = False  # the kernel has said that it is done with the cell

    async def async_start_new_kernel_client(self) -> Any:
        try:
            client = await super().async_start_new_kernel_client()
        except RuntimeError as error:
            raise Stuck(f"커널이 {self.startup_timeout}초 안에 시작하지 않았습니다.") from error
        for channel in (client.shell_channel, client.iopub_channel):
            channel.get_msg = self._in_slices(channel.get_msg)
        return client

    def _in_slices(self, get_msg: Callable[..., Any]) -> Callable[..., Any]:
        async def patiently(timeout: float | None = None) -> dict[str, Any]:
            end = None if timeout is None else time.monotonic() + timeout
            while True:
                left = SLICE if end is None else min(SLICE, end - time.monotonic())
                try:
                    message = await get_msg(timeout=max(0.0, left))
                except Empty:
                    if end is not None and time.monotonic() >= end:
                        raise
                    continue
                # The watch's own question makes the kernel say busy and idle, too.
                if message["parent_header"].get("msg_type") != "kernel_info_request":
                    self._heard = time.monotonic()
                    self._idle = self._idle or message["content"].get("execution_state") == "idle"
                return message

        return patiently

    async def watched(self, step: Any) -> Any:
        """Await ``step`` (a cell's execution) beside the watch.

        Raises:
            Stuck: the kernel will not go on; ``step`` has been cancelled.
        """
        work, watch = asyncio.ensure_future(step), asyncio.ensure_future(self._watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else watch.result()
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _watch(self) -> None:
        self._heard, self._idle = time.monotonic(), False
        used, told, woken = self._used(), False, 0
        while True:
            await asyncio.sleep(LOOK)
            now = self._used()
            if now[0] - used[0] >= WORKING * LOOK or now[1] != used[1]:
                self._heard = time.monotonic()
            used, silent = now, time.monotonic() - self._heard
            if silent < TELL:
                told = False
            elif self._idle:
                raise Stuck("커널은 셀을 끝냈는데 그 답이 도착하지 않았습니다.")
            elif stopped := [p for p in self._processes() if _status(p) == psutil.STATUS_STOPPED]:
                if (woken := woken + 1) > WAKINGS:
                    raise Stuck("커널이 자꾸 멈춥니다(정지 신호).")
                self.say(f"커널이 {silent:.0f}초째 멈춰 있어(정지 신호) 깨웁니다.")
                for process in stopped:
                    process.resume()
            elif not await self._answers():
                if silent >= DEAF:
                    raise Stuck(f"커널이 {silent:.0f}초째 아무 일도 하지 않고 대답도 없습니다.")
            elif silent >= WAIT:
                raise Stuck(f"셀이 {silent / 60:.0f}분째 아무 일도 하지 않고 기다리기만 합니다.")
            elif not told:
                told = True
                self.say(
                    f"셀이 {silent:.0f}초째 일하지 않고 기다립니다(네트워크나 다른 프로그램). "
                    f"{WAIT / 60:.0f}분까지 기다리고, Ctrl-C로 멈출 수 있습니다."
                )

    def _processes(self) -> list[psutil.Process]:
        provisioner = getattr(self.km, "provisioner", None)
        try:
            kernel = psutil.Process(provisioner.pid)
            return [kernel, *kernel.children(recursive=True)]
        except (psutil.Error, AttributeError, TypeError):  # gone: nbclient itself notices a dead kernel
            return []

    def _used(self) -> tuple[float, int]:
        """(Seconds of processor time, bytes read and written) of the kernel and whatever it started."""
        seconds, moved = 0.0, 0
        for process in self._processes():
            try:
                times = process.cpu_times()
                seconds += times.user + times.system
                counters = process.io_counters() if hasattr(process, "io_counters") else None
                moved += counters.read_bytes + counters.write_bytes if counters else 0
            except psutil.Error:
                continue
        return seconds, moved

    async def _answers(self) -> bool:
        """Whether the kernel's control thread still answers."""
        channel = self.kc.control_channel
        channel.send(self.kc.session.msg("kernel_info_request"))
        try:
            await channel.get_msg(timeout=LOOK)
        except Empty:
            return False
        return True


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.Error:
        return psutil.STATUS_DEAD
