"""Without a hub: one Korean line within ten seconds, whatever is asked for and whoever asks. With one: asked once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from src.classroom.preflight.hub import check_hub
from src.data.corpus import read_hub_rows
from src.hub import fetching
from src.hub.cache import HubItem, find
from src.hub.fetching import HubError, check_access, fetch
from src.profiles import PROFILES, ROOT
from src.qlora.loading import load_base_model, load_tokenizer
from src.scoring.embedding import load_embedder
from tests.hub.test_cache import COMMIT, WHOLE, put

BIG = PROFILES["rtx4090"]
LOADERS = {
    "tokenizer": (load_tokenizer, "모델"),
    "base": (load_base_model, "모델"),
    "embedder": (load_embedder, "임베더"),
    "rows": (read_hub_rows, "데이터"),
}
PAGE = "<html><body>Please log in to the guest network</body></html>"


class Answers(BaseHTTPRequestHandler):
    """A server that answers every request alike; ``trouble`` says how, ``asked`` keeps the paths."""

    trouble, asked, wait = "page", [], threading.Event()

    def do_GET(self):
        self.asked.append(self.path)
        if self.trouble == "silent":
            self.wait.wait(60)
        gated = self.trouble == "gated" and "auth-check" in self.path
        status = {"gated": 403 if gated else 200, "busy": 503}.get(self.trouble, 200)
        info = json.dumps({"id": "some/thing", "sha": COMMIT, "siblings": []})
        body = (PAGE if self.trouble == "page" else info).encode()
        self.send_response(status)
        if gated:
            self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.fixture
def endpoint(request, tmp_path, monkeypatch):
    """The hub's client with an empty cache and the trouble that a test asks for; gives the requests that arrived."""
    import huggingface_hub.constants as constants

    trouble = request.param
    handler = type("Handler", (Answers,), {"trouble": trouble, "asked": [], "wait": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a client that waited no longer
    port = 9 if trouble == "down" else server.server_port  # nothing listens at 9
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("HF_HUB_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", trouble == "offline")
    yield handler.asked
    handler.wait.set()
    server.shutdown()
    server.server_close()


TROUBLES = {
    "offline": "HF_HUB_OFFLINE=1",
    "down": "닿지 않아",
    "silent": "닿지 않아",
    "page": "허브가 아닌 것이 답했습니다",
    "gated": "hf auth login",
    "busy": "HTTP 503",
}


def korean_line(text: str) -> bool:
    return (
        "\n" not in text
        and bool(re.search("[가-힣]", text))
        and not re.search(r"[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+", text)
    )


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("endpoint", TROUBLES, indirect=True)
def test_a_loader_says_it_in_one_korean_line(endpoint, loader, request, monkeypatch, capfd, caplog):
    trouble = request.node.callspec.params["endpoint"]
    if trouble == "silent":
        monkeypatch.setattr(fetching, "SECONDS", 1)
    load, kind = LOADERS[loader]
    started = time.monotonic()
    with pytest.raises(HubError) as caught:
        load(BIG)
    assert time.monotonic() - started < 10
    told = str(caught.value)
    assert korean_line(told) and TROUBLES[trouble] in told and (kind in told or trouble == "page")
    assert PAGE not in told and len(endpoint) <= 2  # no retries
    shown = capfd.readouterr()
    rest = [line for line in (shown.out + shown.err).splitlines() if not line.startswith("[라이선스]")]
    assert rest == [] and not caplog.records
    assert isinstance(caught.value, OSError)  # what callers catch


@pytest.mark.parametrize("endpoint", TROUBLES, indirect=True)
def test_the_preflight_says_it_too(endpoint, request, monkeypatch):
    trouble = request.node.callspec.params["endpoint"]
    if trouble == "silent":
        monkeypatch.setattr(fetching, "SECONDS", 1)
    started = time.monotonic()
    lines = list(check_hub(BIG))
    assert time.monotonic() - started < 10
    assert [line.check for line in lines[:3]] == ["모델 파일", "임베더 파일", "데이터 파일"]
    assert {line.status for line in lines[:3]} == {"warning"} and "31.3 GB" in lines[0].message
    errors = [line for line in lines if line.status == "error"]
    # A hub that does not answer is asked once; one that refuses an item is asked for each.
    names = ["모델 접근", "임베더 접근", "데이터 접근"] if trouble in ("gated", "busy") else ["허브"]
    assert [line.check for line in errors] == names
    for line in errors:
        assert TROUBLES[trouble] in line.message + line.remedy and korean_line(line.message)
        assert line.remedy and "패키지" not in line.remedy and "pip" not in line.remedy


def test_a_name_server_that_is_silent_does_not_hold_a_class_up(monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *a, **k: time.sleep(30))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(fetching, "SECONDS", 1)
    started = time.monotonic()
    with pytest.raises(HubError, match="닿지 않아"):
        check_access(HubItem("model", "someone/elsewhere"))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("endpoint", ["gated"], indirect=True)
def test_a_refusal_never_shows_the_token(endpoint, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "secret" * 6)
    with pytest.raises(HubError, match="토큰 있음") as caught:
        check_access(HubItem("model", "someone/model"))
    assert "hf_secret" not in str(caught.value) and caught.value.__suppress_context__


@pytest.mark.parametrize("endpoint", ["down"], indirect=True)
def test_what_is_in_the_cache_is_not_asked_for(endpoint, tmp_path):
    item = HubItem("model", "someone/model", COMMIT)
    snapshot = put(tmp_path / "hub", item, WHOLE)
    assert fetch(item) == snapshot and endpoint == []


# --- A hub that works ------------------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """One repository: what the hub's client asks for in order to download it, and nothing else."""

    files: dict[str, bytes]
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        path = self.path.split("?")[0]
        if "/tree/" in path:
            tree = [
                {"type": "file", "path": n, "size": len(b), "oid": f"{i:040d}"}
                for i, (n, b) in enumerate(self.files.items())
            ]
            return self.answer(json.dumps(tree).encode())
        if path.startswith("/api/"):
            return self.answer(json.dumps({"id": "someone/model", "sha": COMMIT, "siblings": []}).encode())
        name = path.split(f"/{COMMIT}/")[1]
        etag = f"{list(self.files).index(name):040d}"
        return self.answer(self.files[name], {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    do_HEAD = do_GET

    def answer(self, body, head=None):
        self.send_response(200)
        for name, value in {**(head or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(random_base_dir):
    files = {path.name: path.read_bytes() for path in random_base_dir.iterdir()}
    files |= {"LICENSE": b"terms", "modeling_own.py": b"raise SystemExit", "pytorch_model.bin": b"twice"}
    handler = type("Handler", (Hub,), {"files": files, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    server.server_close()


LOAD = """
from dataclasses import replace
from src.profiles import PROFILES
from src.qlora import MODELS, load_base_model, load_tokenizer, attach_adapter
MODELS["small"] = replace(MODELS["qwen3-0.6b"], key="small", source="someone/model", revision=None)
profile = replace(PROFILES["tiny"], model="small")
load_tokenizer(profile)
model = attach_adapter(load_base_model(profile), profile)
model.save_pretrained(r"{folder}")
from src.qlora.loading import copy_licence
from pathlib import Path
copy_licence(profile, Path(r"{folder}"))
"""


def said(stderr: str) -> list[str]:
    """Lines on stderr, without transformers' bar while it reads the weights."""
    return [line for line in stderr.splitlines() if line.strip() and "Loading weights" not in line]


def test_downloaded_once_then_loaded_without_a_question(hub, tmp_path):
    """Online first; then, with the hub gone and without the variable, from what that left."""
    endpoint, asked = hub
    env = {**os.environ, "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore"}
    env = {k: v for k, v in env.items() if k not in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN")}

    def run(endpoint):
        code = LOAD.format(folder=tmp_path / "adapter")
        return subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={**env, "HF_ENDPOINT": endpoint},
            capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip

    first = run(endpoint)
    assert first.returncode == 0, first.stderr
    assert "[내려받기] 모델 someone/model" in first.stdout and COMMIT in first.stdout
    assert said(first.stderr) == []
    assert not any(
        name.endswith((".py", ".bin")) for name in asked
    )  # neither code nor the weights a second time
    assert (tmp_path / "adapter" / "LICENSE").read_bytes() == b"terms"
    del asked[:]
    started = time.monotonic()
    again = run("http://127.0.0.1:9")
    assert again.returncode == 0, again.stderr
    assert time.monotonic() - started < 60 and "[내려받기]" not in again.stdout and said(again.stderr) == []


def test_a_file_cut_short_is_fetched_again(hub, tmp_path, monkeypatch):
    endpoint, _ = hub
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    item = HubItem("model", "someone/model")
    snapshot = fetch(item)
    weights = snapshot / "model.safetensors"
    whole = weights.read_bytes()
    weights.resolve().write_bytes(whole[:-10])
    assert find(item).missing == ("model.safetensors",)
    assert fetch(item) == snapshot and weights.read_bytes() == whole
    with pytest.raises(HubError, match=r"저장소에 .*없습니다"):
        fetch(replace(item, kind="embedder"))
