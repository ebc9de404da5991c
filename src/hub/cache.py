"""What of the hub lies in this machine's cache, and what is still missing. Nothing here asks the network."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GB = 1e9  # as disks and downloads are measured
KINDS = {"model": "모델", "embedder": "임베더", "adapter": "어댑터", "dataset": "데이터"}
INDEX = "model.safetensors.index.json"
ROWS = {".parquet", ".json", ".jsonl", ".csv", ".arrow", ".gz", ".zip", ".txt"}  # files of a data set


@dataclass(frozen=True)
class HubItem:
    """One repository at one commit. ``revision`` None: ``main``; ``size``: bytes to download, where it is known."""

    kind: str  # a key of KINDS
    repo: str
    revision: str | None = None
    size: int | None = None

    @property
    def repo_type(self) -> str:
        """The hub's own word."""
        return "dataset" if self.kind == "dataset" else "model"

    @property
    def folder(self) -> str:
        """Its folder in the hub's cache."""
        return f"{self.repo_type}s--{self.repo.replace('/', '--')}"

    def __str__(self) -> str:
        return f"{KINDS[self.kind]} {self.repo}"


@dataclass(frozen=True)
class Cached:
    """What the cache holds of an item. Bytes: ``present`` in finished files, ``unfinished`` in others, ``left`` still
    to come (0 where the size is not known). ``missing`` names files, or is empty: then ``snapshot`` can be loaded."""

    snapshot: Path | None
    missing: tuple[str, ...]
    present: int
    unfinished: int
    left: int

    @property
    def whole(self) -> bool:
        return self.snapshot is not None and not self.missing


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it downloads, by its own environment variables."""
    above = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    home = os.environ.get("HF_HOME") or Path(above) / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def find(item: HubItem, cache: Path | None = None) -> Cached:
    """What ``cache`` (default: this machine's) holds of ``item``. A half-finished download is not whole: every shard
    that the index names must be there, at the size that the hub listed, where the listing was kept."""
    folder = (cache or hub_cache()) / item.folder
    ref = folder / "refs" / "main"
    commit = item.revision or (ref.read_text(encoding="utf-8").strip() if ref.is_file() else "")
    snapshot = folder / "snapshots" / commit
    unfinished = sum(path.stat().st_size for path in (folder / "blobs").glob("*.incomplete"))
    if not commit or not snapshot.is_dir():
        return Cached(None, (), 0, unfinished, max(0, (item.size or 0) - unfinished))
    there = {p.relative_to(snapshot).as_posix(): p.stat().st_size for p in snapshot.rglob("*") if p.is_file()}
    listed = _listing(folder / "trees" / f"{commit}.json")
    needed = _rows(there, listed, unfinished) if item.kind == "dataset" else _weights(item, snapshot)
    missing = tuple(
        name for name in needed if name not in there or there[name] != listed.get(name, there[name])
    )
    present = sum(there.values())
    total = sum(listed[name] - there.get(name, 0) for name in missing if name in listed)
    left = (total or (item.size or 0) - present) - unfinished if missing else 0
    return Cached(snapshot, missing, present, unfinished, max(0, left))


def _weights(item: HubItem, snapshot: Path) -> list[str]:
    """Files without which a model, an embedder or an adapter cannot be loaded."""
    if item.kind == "adapter":
        return ["adapter_config.json", "adapter_model.safetensors"]
    needed = ["config.json", "tokenizer.json"]
    if item.kind == "embedder":
        needed.append("modules.json")
        modules = _json(snapshot / "modules.json") or []
        needed += [f"{m['path']}/config.json" for m in modules if m["type"].endswith("Pooling")]
    index = _json(snapshot / INDEX)
    return [*needed, *(sorted(set(index["weight_map"].values())) if index else ["model.safetensors"])]


def _rows(there: dict[str, int], listed: dict[str, int], unfinished: int) -> list[str]:
    """Files with a data set's rows; without a listing any will do, unless something is half-finished."""
    rows = [name for name in listed or there if Path(name).suffix in ROWS]
    return rows if rows and (listed or not unfinished) else ["*.parquet"]


def _listing(path: Path) -> dict[str, int]:
    """{name: bytes} of the commit, as the hub's client keeps it after a download; empty where it does not."""
    return {name: entry["size"] for name, entry in ((_json(path) or {}).get("files") or {}).items()}


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
