"""What a learner sees: notebook 00.01 in JupyterLab and the chat page, in headless Chromium.

``WORKSHOP_SCREENSHOTS`` names a folder for the pictures: no assertion can tell good Hangul from bad, an eye can.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from src.classroom.chat import INSTALL, LONGEST
from src.classroom.landing import write_landing
from src.classroom.report import not_run
from src.classroom.run import NOTEBOOKS
from src.profiles import PROFILES, ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("no browser: apt install chromium", allow_module_level=True)

HEIGHT = 900
MODEL = "window.jupyterapp.shell.currentWidget.content.model.toJSON()"
HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script>'


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(
        viewport={"width": 1280, "height": HEIGHT}, locale="en-US"
    )  # Lab's menu in English
    page.set_default_timeout(120_000)
    yield page
    page.close()


@pytest.fixture
def pictures(tmp_path):
    return Path(os.environ.get("WORKSHOP_SCREENSHOTS", tmp_path / "screenshots"))


@contextmanager
def server(log: Path, *arguments: object, ready: str = "", **env: object):
    """``python -m ARGUMENTS --port PORT`` from this checkout; yields its address once that answers."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    address, command = f"http://127.0.0.1:{port}", [sys.executable, "-m", *map(str, arguments)]
    env = {**os.environ, "WORKSHOP_PROFILE": "tiny", **{name: str(value) for name, value in env.items()}}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to this machine itself
    with log.open("wb") as out:
        process = subprocess.Popen([*command, f"--port={port}"], cwd=ROOT, env=env, stdout=out, stderr=out)
        try:
            for left in range(240, -1, -1):
                assert left and process.poll() is None, log.read_text("utf-8", "replace")[-3000:]
                try:
                    opener.open(address + ready, timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.5)
            yield address
        finally:
            process.terminate()
            process.wait(60)


# --- JupyterLab ----------------------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path_factory):
    """Address of a fresh JupyterLab that serves copies: what it saves never lands in the checkout."""
    home, room = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("room")
    for notebook in NOTEBOOKS:
        (room / notebook.parent.name).mkdir(exist_ok=True)
        shutil.copy(notebook, room / notebook.parent.name)
    env = {f"JUPYTER_{name}_DIR": home / name for name in ("CONFIG", "DATA", "RUNTIME")}
    env |= {f"JUPYTERLAB_{name}_DIR": home / name for name in ("SETTINGS", "WORKSPACES")}
    env |= {"IPYTHONDIR": home / "ipython", "WORKSHOP_OUTPUTS": home / "outputs"}
    options = ["--no-browser", "--allow-root", "--IdentityProvider.token=workshop"]
    options += ["--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={room}"]
    with server(home / "log", "jupyterlab", *options, ready="/api", **env) as address:
        yield address


def scroll_through(page, pictures: Path, stem: str) -> int:
    """A screenshot of every screenful; how many charts were really drawn on the way."""
    scroll = "(box, step) => { box.scrollTop += step; return box.scrollTop }"
    drawn = "all => all.filter(i => i.complete && i.naturalWidth > 200).map(i => i.src)"
    notebook, charts, top = page.locator(".jp-WindowedPanel-outer").first, set(), -1
    at = notebook.evaluate(scroll, -1_000_000)
    while at != top:
        page.wait_for_timeout(300)
        page.screenshot(path=pictures / f"{stem}-{at:06.0f}.png")
        charts.update(page.locator(".jp-RenderedImage img").evaluate_all(drawn))
        top, at = at, notebook.evaluate(scroll, HEIGHT - 200)
    return len(charts)


def test_a_notebook_runs_in_jupyterlab(lab, page, pictures):
    """The day's first: packages, charts, tables and exercises are in it, and it takes seconds."""
    notebook = NOTEBOOKS[0].relative_to(ROOT)
    page.goto(f"{lab}/lab/tree/{notebook.as_posix()}?token=workshop")
    idle = page.get_by_text("Python 3 (ipykernel) | Idle", exact=True)  # before that Lab asks for a kernel
    idle.wait_for()
    for item in ("Run", "Run All Cells"):
        page.get_by_role("menuitem", name=item, exact=True).click()

    deadline, waiting = time.monotonic() + 300, [""]  # for a cell that hangs, not for a slow machine
    while waiting:
        assert time.monotonic() < deadline, waiting[0]
        page.wait_for_timeout(2000)
        shown = nbformat.from_dict(page.evaluate(MODEL))  # with outputs that are not on the screen
        cells = [cell for cell in shown.cells if cell.cell_type == "code"]
        outputs = [output for cell in cells for output in cell.outputs]
        assert [(o.ename, o.evalue) for o in outputs if o.output_type == "error"] == []
        waiting = [cell.source for cell in cells if not cell.execution_count]
    idle.wait_for()

    # A chart's font without Hangul speaks on stderr, as everything else that warns.
    assert [o.text for o in outputs if o.get("name") == "stderr"] == []
    images = {o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})}
    assert scroll_through(page, pictures, notebook.stem) == len(images) > 1


# --- The chat page -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    """Address of the chat: the shipped base, an adapter of random numbers, and documents of which one is hostile."""
    pytest.importorskip("gradio", reason=f"no Gradio: {INSTALL}")
    import torch

    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model

    folder, profile = tmp_path_factory.mktemp("chat"), PROFILES["tiny"]
    model = attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder / "adapter")
    contexts = [
        "선풍기의 소비 전력은 31W입니다.",
        f"대출 기간은 14일입니다. {HOSTILE}",
        "필터는 찬물로 씻습니다.",
    ]
    rows = [{"question": f"질문 {n}번은?", "context": c, "answer": c[:8]} for n, c in enumerate(contexts)]
    (folder / "rows.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    command = ("src.classroom.chat", "--adapter", folder / "adapter", "--documents", folder / "rows.json")
    with server(folder / "log", *command, WORKSHOP_OUTPUTS=folder) as address:
        yield address


def test_the_chat_page_answers_and_runs_nothing(chat, page, pictures):
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(chat)

    def ask(question: str, expected: str, where: str = "찾은 문서") -> list[str]:
        """Ask, wait until ``expected`` stands in the box ``where``, give both answers."""
        page.get_by_label("질문").fill(question)
        page.get_by_role("button", name="묻기").click()
        playwright.expect(page.get_by_label(where)).to_have_value(
            re.compile(re.escape(expected)), timeout=60_000
        )
        page.screenshot(path=pictures / f"chat-{len(list(pictures.glob('chat-*')))}.png", full_page=True)
        return [page.get_by_label(model).input_value() for model in ("베이스 모델", "튜닝한 모델")]

    base, tuned = ask("선풍기의 소비 전력은?", "31W")
    assert base and tuned and base != tuned
    assert ask("   ", "질문을 적어 주세요.", "알림") == ["", ""]
    assert ask("가" * 100_000, f"{LONGEST:,}자 이하", "알림") == ["", ""]
    assert all(ask(f"{HOSTILE} 대출 기간은?", HOSTILE))  # shown as it was written, and not run:
    assert page.evaluate("window.hacked") is None and page.locator("img[onerror]").count() == 0
    assert not any("hacked" in text for text in page.locator("script").all_text_contents())
    assert all(ask("필터는 무엇으로 씻나요?", "[문서 1] (점수"))
    assert errors == [] and {url for url in asked if not url.startswith((chat, "data:", "blob:"))} == set()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_landing_page_fits_and_every_link_opens(browser, tmp_path, pictures, width):
    """On a desk and on a phone, from a folder, without a network, a script or an error."""
    entries = []
    for name in ("00-concepts", "01_data_preprocessing_and_validation"):
        entries.append(not_run(Path(name)) | {"status": "ok", "seconds": 12.3})
        (tmp_path / "html").mkdir(exist_ok=True)
        (tmp_path / "html" / f"{name}.html").write_text(f"<title>{name}</title>", encoding="utf-8")
    entry = {"base": 0.1, "tuned": 0.9, "difference": 0.8, "interval": [0.7, 0.85], "p_value": 0.0005}
    names = ("rougeL", "bleu", "exact_match", "answer_contained", "abstention")
    text = json.dumps({"n": 400, "n_groups": 26, "metrics": dict.fromkeys(names, entry)})
    (tmp_path / "comparison.json").write_text(text, encoding="utf-8")
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    landing = write_landing(tmp_path, {"notebooks": entries, "seconds": 24.6})
    page = browser.new_page(viewport={"width": width, "height": HEIGHT})
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(landing.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
    pictures.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=pictures / f"landing-{width}.png", full_page=True)
    targets = page.locator("a").evaluate_all("all => all.map(one => one.href)")
    assert len(targets) >= 5
    for target in targets:
        page.goto(target)
        assert page.url == target
    assert said == []
    page.close()
