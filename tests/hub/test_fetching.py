"""Without a hub: one Korean line within ten seconds, whatever is asked for and whoever asks. With one: asked once."""

from __future__ import annotations

import json
import re
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
from src.profiles import PROFILES
from src.qlora.loading import load_base_model, load_tokenizer
from src.qlora.registry import hub_items
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
        gated = self.trouble == "gated" and "/resolve/" in self.path
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


def ask_at(monkeypatch, url):
    """The hub's client reads these once, from the environment."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def endpoint(request, tmp_path, monkeypatch):
    """The hub's client with an empty cache and the trouble that a test asks for; gives the requests that arrived."""
    trouble = request.param
    handler = type("Handler", (Answers,), {"trouble": trouble, "asked": [], "wait": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a client that waited no longer
    port = 9 if trouble == "down" else server.server_port  # nothing listens at 9
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for name in ("HF_HUB_CACHE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    ask_at(monkeypatch, f"http://127.0.0.1:{port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", trouble == "offline")
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


def test_a_file_cut_short_is_fetched_again(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    ask_at(monkeypatch, hub.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    item = hub_items(BIG)[0]
    snapshot = fetch(item)
    shard = max(snapshot.glob("*.safetensors"))
    whole = shard.read_bytes()
    shard.resolve().write_bytes(whole[:-10])
    assert find(item).missing == (shard.name,) and 0 < find(item).left
    assert fetch(item) == snapshot and shard.read_bytes() == whole
    with pytest.raises(HubError, match=r"저장소에 modules\.json.*없습니다"):  # a model is no embedder
        fetch(replace(item, kind="embedder"))
