"""The picture of TensorBoard in notebook 03: ``python -m benchmarks.tensorboard_page`` opens the page of the tiny
profile's last training in a real browser and writes ``docs/tensorboard.png``. Needs Chromium and requirements-dev.txt.
"""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.profiles import PROFILES, ROOT

PICTURE = ROOT / "docs" / "tensorboard.png"
SHOWN = ("eval/bleu", "eval/loss", "train/loss", "train/learning_rate")  # what the page's filter leaves
# As a reader sets them: by itself the page smooths the curves, cuts far points off and opens its settings beside them.
SETTINGS = {
    "ignoreOutliers": False,
    "scalarSmoothing": 0,
    "stepSelectorEnabled": False,
    "timeSeriesSettingsPaneOpened": False,
    "timeSeriesCardMinWidth": 430,
}
WIDTH, HEIGHT = 1200, 830
COLOURS = 48  # a page of few colours: a palette makes the file a third


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """TensorBoard on ``folder`` at a free port of this machine, until the block ends; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", str(port)]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to this machine itself
    with subprocess.Popen([*command, "--host", "127.0.0.1"], stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(120):
                try:
                    opener.open(f"{address}/data/runs", timeout=5).close()
                    break
                except (urllib.error.URLError, TimeoutError):
                    if process.poll() is not None:
                        raise RuntimeError("TensorBoard ended before it answered.") from None
                    time.sleep(0.5)
            yield address
        finally:
            process.terminate()


def take(folder: Path) -> bytes:
    """A PNG of the page's scalars, as somebody sees it who has opened it and typed a filter."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tensorboard(folder) as address, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_default_timeout(120_000)
        kept = json.dumps(json.dumps(SETTINGS))  # a JSON text, as a string of JavaScript
        page.add_init_script(f"localStorage.setItem('_tb_global_settings', {kept})")
        page.goto(f"{address}/?darkMode=false&tagFilter={'%7C'.join(SHOWN)}#timeseries")
        charts = page.locator("scalar-card")
        charts.nth(len(SHOWN) - 1).wait_for()
        page.wait_for_timeout(5000)  # the lines are drawn on a canvas: nothing says when
        picture = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    file = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS).save(file, "PNG", optimize=True)
    return file.getvalue()


def main() -> None:
    runs = PROFILES["tiny"].artifacts_dir / "runs"  # notebook 03 says that it is a tiny run
    if not any(runs.glob("**/events.*")):
        sys.exit("노트북 03의 기록이 없습니다. 먼저 make workshop을 실행해 주세요.")
    PICTURE.write_bytes(take(runs))
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
