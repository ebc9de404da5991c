"""The notebook runner, on small made-up notebooks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from src.classroom import run, runner
from src.classroom.console import Console, Others, cell_headings, elapsed
from src.classroom.kernel import environment, kernel_env
from src.classroom.lanes import HANDS_OVER
from src.classroom.report import print_summary, warning_lines
from src.data.text import width
from src.profiles import PROFILES, ROOT

ENTRY_KEYS = {"name", "status", "seconds", "slowest_cells", "stderr", "warnings"}


def write_notebook(path: Path, *cells: str) -> Path:
    """A notebook of ``cells``; one that begins with '#' and a space is Markdown."""
    nb = nbformat.v4.new_notebook()
    for source in cells:
        make = nbformat.v4.new_markdown_cell if source.startswith("# ") else nbformat.v4.new_code_cell
        nb.cells.append(make(source))
    nbformat.write(nb, path)
    return path


@pytest.fixture
def outputs(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("WORKSHOP_PROFILE", "tiny")
    return tmp_path / "outputs" / "tiny"


@pytest.fixture
def three(tmp_path) -> list[Path]:
    """Notebooks that each add a line to one file; the second fails as long as ``mended`` is missing."""
    note = "open('order.txt', 'a').write('{}\\n')"
    return [
        write_notebook(tmp_path / "01_first.ipynb", "# 첫째", note.format("first"), "print('하나')"),
        write_notebook(
            tmp_path / "02-second.ipynb",
            "# 둘째",
            "import os\nprint('여기까지')",
            "# 나누기",
            "x = 0 if os.path.exists('mended') else 1 / 0",
            note.format("second"),
        ),
        write_notebook(tmp_path / "03_third.ipynb", "# 셋째", note.format("third")),
    ]


def read_run(outputs: Path) -> dict:
    return json.loads((outputs / "run.json").read_text(encoding="utf-8"))


def statuses(outputs: Path) -> list[str]:
    return [entry["status"] for entry in read_run(outputs)["notebooks"]]


def test_runs_in_order_in_fresh_kernels(outputs, three, tmp_path, capfd):
    (tmp_path / "mended").touch()
    assert run.main([], notebooks=three) == 0
    assert (tmp_path / "order.txt").read_text().split() == ["first", "second", "third"]
    assert {p.name for p in (outputs / "html").iterdir()} == {p.stem + ".html" for p in three}
    assert "하나" in (outputs / "html" / "01_first.html").read_text(encoding="utf-8")
    result = read_run(outputs)
    assert set(result) == {"profile", "commit", "seconds", "notebooks"}
    assert result["profile"] == "tiny"
    assert result["seconds"] >= sum(e["seconds"] for e in result["notebooks"])  # one lane: by the clock
    assert [e["name"] for e in result["notebooks"]] == [p.stem for p in three]
    assert all(set(e) == ENTRY_KEYS and e["status"] == "ok" for e in result["notebooks"])
    second = result["notebooks"][1]["slowest_cells"]
    assert sorted((c["index"], c["heading"]) for c in second) == [(1, "둘째"), (3, "나누기"), (4, "나누기")]
    out, err = capfd.readouterr()
    assert "[2/3] 02-second · 셀 3/3 · 나누기" in out
    assert err == ""  # nor do the kernels themselves say anything on the terminal


def test_what_a_dying_kernel_says_stays_off_the_terminal(outputs, tmp_path, capfd):
    """On a busy machine ZeroMQ now and then aborts in a kernel that is shutting down, and says so on its stderr."""
    noise = "import atexit, os; atexit.register(lambda: os.write(2, b'Assertion failed: pfd.revents'))"
    assert run.main([], notebooks=[write_notebook(tmp_path / "01_noise.ipynb", noise)]) == 0
    assert capfd.readouterr().err == ""


def test_two_lanes_keep_their_own_order_and_stop_at_a_failure(outputs, tmp_path):
    note = "open('order.txt', 'a').write('{} ')"
    keys = ("00.01", "00", "01", "02", "05")
    paths = [write_notebook(tmp_path / f"{key}-x.ipynb", "# 절", note.format(key)) for key in keys]
    assert run.main(["--jobs", "2"], notebooks=paths) == 0
    order = (tmp_path / "order.txt").read_text().split()
    assert [key for key in order if key in ("00.01", "00", "05")] == ["00.01", "00", "05"]
    assert [key for key in order if key in ("01", "02")] == ["01", "02"]
    assert [entry["name"] for entry in read_run(outputs)["notebooks"]] == [f"{key}-x" for key in keys]
    write_notebook(paths[2], "1 / 0")
    assert run.main(["--jobs", "2"], notebooks=paths) == 1
    assert statuses(outputs)[2:4] == ["failed", "not run"]


def hand_over(path: Path) -> None:
    """The first code cell leaves what the next notebook needs."""
    nb = nbformat.read(path, as_version=4)
    next(cell for cell in nb.cells if cell.cell_type == "code").metadata["tags"] = [HANDS_OVER]
    nbformat.write(nb, path)


def test_the_next_one_begins_as_soon_as_its_needs_are_there(outputs, tmp_path):
    """03 ends only when it sees what 04 wrote; one after the other, 04 sees that 03 has ended."""
    both = "from pathlib import Path; import time; n = Path('note')\n"
    wait = f"{both}for _ in range(600):\n    if n.exists(): break\n    time.sleep(0.1)\nelse: 1 / 0"
    paths = [
        write_notebook(tmp_path / "03-x.ipynb", "# 절", "print('어댑터')", wait),
        write_notebook(tmp_path / "04-x.ipynb", "# 절", f"{both}n.touch()"),
    ]
    hand_over(paths[0])
    assert run.main(["--jobs", "2"], notebooks=paths) == 0
    write_notebook(paths[0], "# 절", "print('어댑터')", f"{both}n.unlink()")
    hand_over(paths[0])
    write_notebook(paths[1], "# 절", f"{both}assert not n.exists()")
    assert run.main(["--jobs", "1"], notebooks=paths) == 0


def test_no_more_than_two_run_at_once_and_nothing_begins_after_a_failure(outputs, tmp_path):
    """05 has its slot when 03 hands over; it fails, so 04 is not begun, and 03 runs to its end."""
    # Whether 04 begins is decided by what the runner knows, not by what 05 has done.
    told = str(outputs / "run.json")
    seen = f"import time\nwhile '\"failed\"' not in open({told!r}).read(): time.sleep(0.1)"
    paths = [
        write_notebook(tmp_path / "03-x.ipynb", "# 절", "1", seen),
        write_notebook(tmp_path / "04-x.ipynb", "# 절", "1"),
        write_notebook(tmp_path / "05-x.ipynb", "# 절", "1 / 0"),
    ]
    hand_over(paths[0])
    assert run.main(["--jobs", "2"], notebooks=paths) == 1
    assert statuses(outputs) == ["ok", "not run", "failed"]


def test_the_electives_run_for_themselves_and_leave_the_day_as_it_is(outputs, three, tmp_path, capsys):
    """What run.json says of the day stays word for word, and a day that runs again keeps what it says of them."""
    (tmp_path / "mended").touch()
    extra = [write_notebook(tmp_path / f"1{i}_extra.ipynb", "# 절", f"1 / {i}") for i in (2, 0)]
    assert run.main([], notebooks=three, electives=extra) == 0
    day = read_run(outputs)
    assert "electives" not in day
    assert run.main(["--electives"], notebooks=three, electives=extra) == 1
    assert "make electives FROM=10" in capsys.readouterr().out
    both = read_run(outputs)
    assert {key: both[key] for key in day} == day
    assert [entry["status"] for entry in both["electives"]["notebooks"]] == ["ok", "failed"]
    page = (outputs / "index.html").read_text(encoding="utf-8")
    assert page.index("03_third") < page.index("12_extra") and 'href="html/12_extra.html"' in page
    assert run.main(["--only", "03"], notebooks=three, electives=extra) == 0
    assert read_run(outputs)["electives"] == both["electives"] and statuses(outputs) == ["ok"] * 3
    assert run.main(["--only", "12"], notebooks=three, electives=extra) == 0
    assert run.main(["--electives", "--from", "03"], notebooks=three, electives=extra) == 2


def test_electives_without_a_day(outputs, tmp_path):
    extra = [write_notebook(tmp_path / "12_extra.ipynb", "# 절", "1")]
    assert run.main(["--electives"], electives=extra) == 0
    assert read_run(outputs)["notebooks"] == [] and read_run(outputs)["electives"]["notebooks"]
    assert "12_extra" in (outputs / "index.html").read_text(encoding="utf-8")


def test_a_failure_is_named_and_what_ran_is_kept(outputs, three, tmp_path, capsys):
    assert run.main([], notebooks=three) == 1
    out = capsys.readouterr().out
    for part in ("02-second.ipynb", "셀 2/3", "나누기", "ZeroDivisionError: division by zero", "FROM=02"):
        assert part in out
    assert statuses(outputs) == ["ok", "failed", "not run"]
    assert read_run(outputs)["notebooks"][1]["error"] == {
        "index": 3,
        "heading": "나누기",
        "message": "ZeroDivisionError: division by zero",
    }
    page = (outputs / "html" / "02-second.html").read_text(encoding="utf-8")
    assert "여기까지" in page and "ZeroDivisionError" in page and "여기서 멈췄습니다" in page
    assert not (outputs / "html" / "03_third.html").exists()

    (tmp_path / "mended").touch()
    assert run.main(["--from", "02"], notebooks=three) == 0
    assert statuses(outputs) == ["ok", "ok", "ok"]
    assert "error" not in read_run(outputs)["notebooks"][1]
    assert (tmp_path / "order.txt").read_text().split() == ["first", "second", "third"]


def test_from_forgets_what_another_commit_left(outputs, three, monkeypatch):
    monkeypatch.setattr(runner, "current_commit", lambda: "a")
    assert run.main(["--only", "01"], notebooks=three) == 0
    assert statuses(outputs) == ["ok", "not run", "not run"]
    monkeypatch.setattr(runner, "current_commit", lambda: "b")
    assert run.main(["--only", "03"], notebooks=three) == 0
    assert statuses(outputs) == ["not run", "not run", "ok"]


def test_a_page_of_an_earlier_run_does_not_survive(outputs, three):
    (outputs / "html").mkdir(parents=True)
    (outputs / "html" / "03_third.html").write_text("alt")
    assert run.main([], notebooks=three) == 1
    assert not (outputs / "html" / "03_third.html").exists()


def test_what_to_type_next_names_the_profile(outputs, three, capsys):
    """make workshop takes tiny by itself, and make lab what was once chosen in 00.01."""
    assert run.main(["--profile", "rtx4090"], notebooks=three) == 1
    out = capsys.readouterr().out
    assert "make workshop PROFILE=rtx4090 FROM=02\n" in out and "make lab PROFILE=rtx4090\n" in out
    assert run.main([], notebooks=three) == 1
    out = capsys.readouterr().out
    assert "make workshop FROM=02\n" in out and "make lab PROFILE=tiny\n" in out


def test_pictures_are_within_the_page_and_nothing_blocks_it(outputs, tmp_path):
    draw = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    assert run.main([], notebooks=[write_notebook(tmp_path / "01_plot.ipynb", "# 그림 $x^2$", draw)]) == 0
    page = (outputs / "html" / "01_plot.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "<script src=" not in page and "$x^2$" in page


def test_a_kernel_sees_profile_outputs_and_this_checkout(outputs, tmp_path):
    cell = (
        "import sys, src.profiles as p\n"
        "print('|'.join([p.active_profile().name, str(p.active_profile().output_dir), str(p.ROOT), sys.executable]))"
    )
    assert run.main([], notebooks=[write_notebook(tmp_path / "01_env.ipynb", cell)]) == 0
    page = (outputs / "html" / "01_env.html").read_text(encoding="utf-8")
    assert f"tiny|{outputs}|{ROOT}|{sys.executable}" in page


def test_kernels_start_with_the_settings_that_make_exports_unless_the_user_has_own(
    outputs, tmp_path, monkeypatch
):
    """Threads that spin while another program runs made a training of one minute last for ever."""
    told = subprocess.run(
        ["make", "-s", "-f", "-", "show"],
        input="include configs/environment.mk\nshow:\n\t@env\n",
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        check=True,
    ).stdout
    for name, value in environment().items():
        assert f"{name}={value}\n" in told
        monkeypatch.delenv(name, raising=False)
    assert kernel_env(PROFILES["tiny"])["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert kernel_env(PROFILES["tiny"])["GOMP_SPINCOUNT"] == "7"


def test_a_warning_is_counted_and_named(outputs, tmp_path):
    cell = "import sys, warnings\nprint('10%', file=sys.stderr)\nwarnings.warn('조심하세요')"
    assert run.main([], notebooks=[write_notebook(tmp_path / "01_warn.ipynb", cell)]) == 0
    entry = read_run(outputs)["notebooks"][0]
    assert entry["stderr"] == 1 and "UserWarning: 조심하세요" in entry["warnings"][0]


def test_the_summary_ends_with_the_verdict_and_where_to_look(outputs, tmp_path, capsys):
    def entry(*interval):
        return {"base": 0.0, "tuned": 0.75, "difference": 0.75, "interval": interval, "p_value": 0.0001}

    metrics = {"rougeL": entry(0.7, 0.8), "bleu": entry(-1.23, 4), "answer_contained": entry(-0.3, -0.1)}
    outputs.mkdir(parents=True)
    text = json.dumps({"n": 1320, "metrics": metrics})
    (outputs / "comparison.json").write_text(text)
    cell = f"open({str(outputs / 'comparison.json')!r}, 'w').write({text!r})"
    assert run.main([], notebooks=[write_notebook(tmp_path / "04_compare.ipynb", cell)]) == 0
    end = capsys.readouterr().out.split("== 튜닝 전과 후 (질문 1,320개)")[1]
    rows = [re.split(r"\s{2,}", line.strip()) for line in end.split("\n")[1:5]]
    assert rows == [
        ["지표", "베이스 모델", "튜닝한 모델", "차이", "차이의 95% 구간", "판정"],
        ["ROUGE-L", "0.000", "0.750", "+0.750", "+0.700 ~ +0.800", "나아짐"],
        ["BLEU", "0.0", "0.8", "+0.8", "-1.2 ~ +4.0", "차이 불확실"],
        ["정답 포함(답 있는 질문)", "0.000", "0.750", "+0.750", "-0.300 ~ -0.100", "나빠짐"],
    ]
    starts = {width(line[: line.rindex("  ")]) for line in end.split("\n")[1:5]}
    assert len(starts) == 1  # a Hangul letter is two columns wide
    assert "결과가 엇갈립니다" in end and "나빠진 지표가 있습니다: 정답 포함(답 있는 질문)." in end
    assert "ROUGE-L 차이 +0.750, 95% 구간 +0.700~+0.800" in end
    assert str(outputs / "index.html") in end


@pytest.mark.parametrize("text", ["{", "[]", '{"n": 3, "metrics": {"unheard_of": {}}}'])
def test_a_broken_comparison_does_not_spoil_the_summary(outputs, tmp_path, capsys, text):
    outputs.mkdir(parents=True)
    (outputs / "comparison.json").write_text(text)
    print_summary(Console(), outputs, [], 0.0, 0.0)
    out = capsys.readouterr().out
    assert "읽지 못했습니다" in out and "다음에 볼 곳" in out


def test_a_dying_kernel_and_a_slow_cell_are_failures(outputs, tmp_path, capsys):
    dying = write_notebook(tmp_path / "01_dies.ipynb", "import os\nos._exit(1)")
    assert run.main([], notebooks=[dying]) == 1
    assert "커널이 갑자기 꺼졌습니다" in capsys.readouterr().out
    slow = write_notebook(tmp_path / "02_slow.ipynb", "import time\ntime.sleep(60)")
    assert run.main(["--timeout", "1"], notebooks=[slow]) == 1
    assert "--timeout" in capsys.readouterr().out
    assert psutil.Process().children(recursive=True) == []


def test_a_missing_notebook_and_a_wrong_key_are_said_at_once(outputs, three, capsys):
    three[2].unlink()
    assert run.main([], notebooks=three) == 2
    assert "03_third.ipynb" in capsys.readouterr().err
    assert not outputs.exists()
    with pytest.raises(SystemExit) as stopped:
        run.main(["--from", "9"], notebooks=three)
    assert stopped.value.code == 2


def test_each_notebook_of_the_workshop_has_its_own_key(capsys):
    assert run.main(["--list"]) == 0
    keys = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert keys[:7] == ["00.01", "00", "01", "02", "03", "04", "05"]
    assert len(keys) == len({*keys}) == 7 + len(run.ELECTIVES)


@pytest.mark.skipif(os.name == "nt", reason="신호를 보내는 방식이 달라요")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_and_its_kernel(outputs, tmp_path, number):
    child = (
        "import subprocess, time\nsubprocess.Popen(['sleep', '300'])\nopen('started', 'w')\ntime.sleep(300)"
    )
    notebooks = [
        write_notebook(tmp_path / "01_long.ipynb", "# 오래", "print('먼저')", child),
        write_notebook(tmp_path / "02_next.ipynb", "print('다음')"),
    ]
    code = f"import sys; from pathlib import Path; from src.classroom import run; sys.exit(run.main([], [Path(p) for p in {[str(p) for p in notebooks]!r}]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 2  # the kernel and what its cell started
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "중단했습니다" in out
    assert psutil.wait_procs(below, timeout=60)[1] == []
    assert statuses(outputs) == ["failed", "not run"]
    assert "먼저" in (outputs / "html" / "01_long.html").read_text(encoding="utf-8")


def test_headings_ignore_comments_in_code():
    cells = [
        nbformat.v4.new_code_cell("1"),
        nbformat.v4.new_markdown_cell("# 하나\n\n```python\n# 주석\n```\n"),
        nbformat.v4.new_code_cell("2"),
        nbformat.v4.new_markdown_cell("글만 있어요"),
        nbformat.v4.new_markdown_cell("## 둘 ##"),
    ]
    assert cell_headings(cells) == ["(제목 없음)", "하나", "하나", "하나", "둘"]


def test_progress_bars_on_stderr_are_no_warnings():
    cell = nbformat.v4.new_code_cell("")
    for name, text in (("stderr", "50%|####\nFutureWarning: a\n"), ("stdout", "Warning: b\n")):
        cell.outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
    assert warning_lines([cell]) == ["FutureWarning: a"]


def ticked(console: Console, seconds: float) -> None:
    """Let the console tick for so long."""

    async def some_ticks() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(console.tick(), seconds)

    asyncio.run(some_ticks())


def test_a_terminal_shows_each_lane_and_the_time_gone_by_on_one_line(monkeypatch):
    shown = []
    monkeypatch.setattr(Others, "line", lambda _: "")  # whatever else this machine does
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("builtins.print", lambda text, **_: shown.append(text))
    console = Console()
    console.tty, console.every = True, 0.05
    console.show("a", "[5/7] 03_fine_tuning_with_lora · 셀 12/40 · 아주 긴 제목을 가진 셀")
    ticked(console, 1.5)
    assert shown[-1].startswith("\r\x1b[2K[5/7]") and shown[-1].endswith(" · 1초째")  # cut is the heading
    console.show("b", "[2/7] 00-concepts · 셀 1/40 · 또 긴 제목을 가진 셀")
    assert re.fullmatch(r"\r\x1b\[2K\[5/7\].* · 1초째 \| \[2/7\].* · 0초째", shown[-1])
    assert all("\n" not in part and width(part.removeprefix("\r\x1b[2K")) < 60 for part in shown)
    console.forget("a")
    console.forget("b")
    count = len(shown)
    ticked(console, 0.2)
    assert len(shown) == count  # and no more once the cells are done


def test_a_log_gets_a_line_now_and_then(capsys):
    console = Console()
    assert not console.tty and console.every >= 10
    console.every = 0.05
    console.show("a", "셀 1/1")
    ticked(console, 0.3)
    assert "셀 1/1 · 0초째" in capsys.readouterr().out
    console.done("a", " · 0.3초")
    assert capsys.readouterr().out == "셀 1/1 · 0.3초\n"


def test_time_gone_by():
    assert [elapsed(seconds) for seconds in (0.4, 59.9, 60, 3725)] == ["0초", "59초", "1분 00초", "62분 05초"]


def test_a_busy_machine_is_named_once_each_time_it_becomes_busy(monkeypatch):
    # By the clock, processor seconds of all programs, of the run's own.
    looks = [(0, 0, 0), (20, 38, 36), (40, 78, 46), (60, 118, 56), (80, 138, 76), (100, 178, 86)]
    monkeypatch.setattr(Others, "_times", staticmethod(lambda: looks.pop(0)))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    others = Others()
    said = [others.line() for _ in range(5)]
    assert [bool(line) for line in said] == [False, True, False, False, True]
    assert "코어 2개 가운데 1.5개" in said[1]


def test_what_a_run_uses_itself_does_not_count_as_others():
    """A process of ours that ended between two looks is in its parent's times."""
    before = Others._times()
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import time; end = time.process_time() + 1\nwhile time.process_time() < end: pass",
        ]
    )
    after = Others._times()
    assert after[2] - before[2] >= 1.0
