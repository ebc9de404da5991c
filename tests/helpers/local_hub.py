"""A Hugging Face hub on the loopback: the part of its interface that its clients use to read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from stand_ins import Repo


@dataclass
class Server:
    """A hub that is served: its address, what lies there and every request so far, "GET /path"."""

    url: str
    repos: dict[tuple[str, str], Repo]
    requests: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serve_hub(hub: dict[tuple[str, str], Repo]) -> Iterator[Server]:
    """Answer for ``hub`` on a free port of the loopback, until the block ends."""
    handler = type(
        "Handler", (_Handler,), {}
    )  # a class of its own: hubs side by side know nothing of each other
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.served = Server(f"http://127.0.0.1:{listening.server_port}", hub)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield handler.served
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def hub_env(home: Path, url: str, **more: str) -> dict[str, str]:
    """The environment of a process whose only hub is ``url`` and whose caches lie in ``home``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    nobody = {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    return {**kept, **nobody, "HF_HOME": str(home), "HF_ENDPOINT": url, **more}


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    served: Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        posted = self.rfile.read(length).decode()
        self.served.requests.append(f"{self.command} {self.path}")
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.send_file(found[1] or "models", *found.groups()[1:])
        elif found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/([\w-]+))?(?:/(.*))?", path):
            self.send_facts(*found.groups(), posted)
        elif path == "/":
            self.send(b"a hub for tests")
        else:
            self.send(b"{}", 404)

    do_HEAD = do_POST = do_GET

    def log_message(self, *values: object) -> None:
        """Nothing on the terminal."""

    def repo(self, kind: str, name: str, revision: str) -> Repo | None:
        """The repository at ``revision``; None, and the answer is sent, where it has none such."""
        repo = self.served.repos.get((kind, name))
        if repo is not None and revision in ("main", repo.commit):
            return repo
        self.send(b"{}", 404, {"X-Error-Code": "RevisionNotFound" if repo else "RepoNotFound"})
        return None

    def send_facts(self, kind: str, name: str, verb: str | None, rest: str | None, posted: str) -> None:
        revision, _, below = (rest or "main").partition("/")
        repo = self.repo(kind, name, revision)
        if repo is None:
            return
        entries = [_entry(file, path) for file, path in repo.files().items()]
        if verb in (None, "revision"):
            siblings = [{"rfilename": entry["path"]} for entry in entries]
            facts = {
                "id": name,
                "sha": repo.commit,
                "siblings": siblings,
                "private": False,
                "gated": False,
                "tags": [],
            }
        elif verb == "tree":
            query = parse_qs(urlsplit(self.path).query)
            facts = _tree(entries, below, query.get("recursive", ["false"])[0].lower() in ("true", "1"))
        elif verb == "paths-info":
            wanted = json.loads(posted)["paths"] if posted.startswith("{") else parse_qs(posted)["paths"]
            facts = [entry for entry in _tree(entries, "", True) if entry["path"] in wanted]
        else:  # auth-check
            facts = {}
        self.send(json.dumps(facts).encode(), head={"Content-Type": "application/json"})

    def send_file(self, kind: str, name: str, revision: str, file: str) -> None:
        repo = self.repo(kind, name, revision)
        if repo is None:
            return
        head = {"X-Repo-Commit": repo.commit}
        path = repo.files().get(file)
        if path is None:
            return self.send(b"{}", 404, {**head, "X-Error-Code": "EntryNotFound"})
        data = path.read_bytes()
        head |= {"ETag": f'"{_oid(path)}"', "Accept-Ranges": "bytes"}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
            head["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return self.send(data[first : last + 1], 206, head)
        self.send(data, head=head)

    def send(self, data: bytes, status: int = 200, head: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(head or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def _entry(name: str, path: Path) -> dict[str, Any]:
    return {"type": "file", "oid": _oid(path), "size": path.stat().st_size, "path": name}


def _tree(entries: list[dict[str, Any]], below: str, recursive: bool) -> list[dict[str, Any]]:
    """The files below a folder and the folders beside them, as the hub lists them."""
    start = f"{below.rstrip('/')}/" if below else ""
    inside = [entry for entry in entries if entry["path"].startswith(start)]
    listed = {e["path"]: e for e in inside if recursive or "/" not in e["path"].removeprefix(start)}
    for entry in inside:
        folders = entry["path"].removeprefix(start).split("/")[:-1]
        for depth in range(1, len(folders) + 1 if recursive else min(len(folders), 1) + 1):
            path = start + "/".join(folders[:depth])
            listed.setdefault(path, {"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
    return list(listed.values())
