"""A kernel that goes silent is noticed, said, woken or given up; one that works is left alone. No wait is for ever."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import nbclient.client
import nbformat
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.classroom import run, watch
from src.classroom.lanes import HANDS_OVER, lanes
from src.classroom.watch import PatientClient

pytestmark = pytest.mark.skipif(os.name == "nt", reason="정지 신호가 없는 운영 체제입니다")

SLIDERS = """
from ipywidgets import SelectionSlider, interact
import matplotlib.pyplot as plt
def draw(a, b):
    plt.plot(range(a * b)); plt.show()
interact(draw, a=SelectionSlider(options=[1, 2]), b=SelectionSlider(options=[8, 16]));
"""


@pytest.fixture
def short(monkeypatch):
    """The same watch in seconds instead of minutes."""
    for name, seconds in {"LOOK": 0.5, "TELL": 1.5, "DEAF": 3.0, "WAIT": 4.0}.items():
        monkeypatch.setattr(watch, name, seconds)


@pytest.fixture
def go(tmp_path, monkeypatch, capsys):
    """Run cells as one notebook; gives the exit status, what was printed, and the page."""
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("WORKSHOP_PROFILE", "tiny")

    def start(*cells: str) -> tuple[int, str, str]:
        path = tmp_path / "01_silent.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells]), path)
        status = run.main(["--jobs", "1"], notebooks=[path])
        page = tmp_path / "outputs" / "tiny" / "html" / "01_silent.html"
        return status, capsys.readouterr().out, page.read_text(encoding="utf-8")

    yield start
    assert psutil.Process().children(recursive=True) == []


def test_a_stopped_kernel_is_woken_and_goes_on(short, go):
    status, out, page = go("import os, signal; os.kill(os.getpid(), signal.SIGSTOP); print('다시', '갑니다')")
    assert status == 0 and "깨웁니다" in out and "다시 갑니다" in page


def test_a_kernel_that_stops_again_and_again_is_started_anew_and_then_given_up(short, go):
    cell = "import os, signal\nwhile True: os.kill(os.getpid(), signal.SIGSTOP)"
    status, out, page = go("print('먼저')", cell)
    assert status == 1 and "자꾸 멈춥니다" in out and out.count("처음부터 다시 실행합니다") == 1
    assert "먼저" in page and "여기서 멈췄습니다" in page


def test_what_stuck_once_runs_at_the_second_try_and_the_summary_says_so(short, go, tmp_path):
    flag = tmp_path / "tried"
    cell = f"""
import os, signal
from pathlib import Path
if not Path({str(flag)!r}).exists():
    Path({str(flag)!r}).touch()
    while True: os.kill(os.getpid(), signal.SIGSTOP)
print('둘째에는', '됩니다')"""
    status, out, page = go(cell)
    assert status == 0 and "1번 다시 시작" in out and "둘째에는 됩니다" in page


def test_what_sticks_after_handing_over_is_tried_again_when_the_next_one_has_ended(
    short, tmp_path, monkeypatch
):
    """Another try writes anew what the next notebook reads."""
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("WORKSHOP_PROFILE", "tiny")
    monkeypatch.chdir(tmp_path)
    write = "open('order', 'a').write('{} ')"
    stick = "import os, signal\nwhile open('order').read().split() != ['03', '04', '03']: os.kill(os.getpid(), signal.SIGSTOP)"
    sources = {
        "03": [write.format("03"), stick],
        "04": ["import time; end = time.time() + 12\nwhile time.time() < end: pass", write.format("04")],
    }
    paths = []
    for key, cells in sources.items():
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        nb.cells[0].metadata["tags"] = [HANDS_OVER]
        paths.append(tmp_path / f"{key}-x.ipynb")
        nbformat.write(nb, paths[-1])
    assert run.main(["--jobs", "2"], notebooks=paths) == 0
    assert Path("order").read_text().split() == ["03", "04", "03"]


def test_a_reply_that_never_comes(short, go, monkeypatch):
    """The kernel says that it is done, and its reply is lost on the way."""
    start = PatientClient.async_start_new_kernel_client

    async def deaf(self):
        client = await start(self)
        get_msg = client.shell_channel.get_msg

        async def lose(timeout=None):
            while True:
                message = await get_msg(timeout=timeout)
                if message["msg_type"] != "execute_reply":
                    return message

        client.shell_channel.get_msg = lose
        return client

    monkeypatch.setattr(PatientClient, "async_start_new_kernel_client", deaf)
    status, out, page = go("print('끝난', '셀')")
    assert status == 1 and "답이 도착하지 않았습니다" in out and "끝난 셀" in page


def test_a_cell_that_only_waits_is_told_and_given_up_in_the_end(short, go):
    status, out, _ = go("import threading; threading.Event().wait()")
    assert status == 1 and "일하지 않고 기다립니다" in out and "기다리기만 합니다" in out


def test_a_long_cell_that_works_is_never_cut_short(short, go):
    """Longer than every patience: it computes, in itself or in a process it started, or says something."""
    work = "import time\nend = time.monotonic() + 6\nwhile time.monotonic() < end: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    talk = "import time\nfor n in range(8): print(n, flush=True); time.sleep(0.8)"
    status, out, _ = go(work, child, talk)
    assert status == 0 and "기다립니다" not in out


def test_a_killed_kernel_ends_the_run_and_keeps_the_page(go):
    begun = time.monotonic()
    status, out, page = go("print('먼저')", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert status == 1 and "커널이 갑자기 꺼졌습니다" in out and "먼저" in page
    assert time.monotonic() - begun < 60


def test_widgets_are_heard_and_never_answered(go, monkeypatch):
    """nbclient would send on the shell channel while it waits there for the reply, and could wait for ever. What a
    slider draws belongs to the slider: the page has the still picture beside it, once."""
    from jupyter_client.channels import AsyncZMQSocketChannel

    send, sent = AsyncZMQSocketChannel.send, []

    def noted(channel, message):
        sent.append(message["header"]["msg_type"])
        return send(channel, message)

    monkeypatch.setattr(AsyncZMQSocketChannel, "send", noted)
    status, _, page = go(SLIDERS, "plt.plot([1, 2]); plt.show()")
    assert status == 0 and page.count('src="data:image/png') == 1
    assert "execute_request" in sent and "comm_msg" not in sent


@given(st.text("가\r\n ", max_size=30))
def test_a_line_that_overwrites_itself_is_read_as_by_nbclient(text):
    """In time that grows with the text, not with the square of its longest line: it is looked for at line starts."""
    assert (
        watch.OVERWRITTEN.pattern.startswith("^") and watch.OVERWRITTEN is nbclient.client._RGX_CARRIAGERETURN
    )
    assert watch.OVERWRITTEN.sub("", text) == re.sub(r".*\r(?=[^\n])", "", text)


def test_a_very_long_line_reaches_the_page(go):
    status, _, page = go("print('가' * 300_000 + '끝')")
    assert status == 0 and "가끝" in page


def test_no_socket_is_waited_for_without_an_end(go, monkeypatch):
    """An edge-triggered socket's wake-up can be lost on a busy machine: only who asks again finds what has come."""
    from jupyter_client.channels import AsyncZMQSocketChannel

    get_msg, patience = AsyncZMQSocketChannel.get_msg, []

    async def noted(channel, timeout=None):
        patience.append(timeout)
        return await get_msg(channel, timeout=timeout)

    monkeypatch.setattr(AsyncZMQSocketChannel, "get_msg", noted)
    status, _, page = go("print('깨어', '있습니다')")
    assert status == 0 and "깨어 있습니다" in page
    assert patience and all(seconds is not None and seconds <= 1 for seconds in patience)


def test_an_idle_kernel_does_not_count_as_working(short, go):
    """What the watch takes for work is above what a kernel uses that only waits, beside other programs too."""
    status, out, _ = go("import time; time.sleep(3)")
    assert status == 0 and "일하지 않고 기다립니다" in out


def test_each_notebook_has_its_lane():
    found = lanes(run.NOTEBOOKS)
    assert [[Path(p).stem[:2] for p in lane] for lane in found] == [
        ["00", "00", "05"],
        ["01", "02", "03", "04"],
    ]
    assert [len(lane) for lane in lanes(run.NOTEBOOKS[4:])] == [2, 1]
