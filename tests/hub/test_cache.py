"""A whole download is told from a half-finished one, and what is left of it is counted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from src.hub.cache import HubItem, find, hub_cache
from src.profiles import PROFILES, ROOT
from src.qlora.registry import MODELS, hub_items

COMMIT = "0123456789" * 4
MODEL = HubItem("model", "someone/model", COMMIT, 1000)
ROWS = HubItem("dataset", "someone/rows", COMMIT)


def put(cache, item, files, *, listed=None, unfinished=0):
    """A repository as the hub's client leaves it: content in blobs, links in the snapshot, the hub's listing."""
    folder = cache / item.folder
    blobs, snapshot = folder / "blobs", folder / "snapshots" / (item.revision or COMMIT)
    for path in (blobs, snapshot, folder / "refs", folder / "trees"):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for number, (name, content) in enumerate(files.items()):
        (blobs / str(number)).write_text(content)
        (snapshot / name).parent.mkdir(exist_ok=True)
        (snapshot / name).symlink_to(blobs / str(number))
    if listed:
        tree = {"format_version": 1, "files": {n: {"size": s, "blob_id": "0"} for n, s in listed.items()}}
        (folder / "trees" / f"{COMMIT}.json").write_text(json.dumps(tree))
    if unfinished:
        (blobs / "abc.1234.incomplete").write_text("x" * unfinished)
    return snapshot


INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}})
SMALL = {"config.json": "{}", "tokenizer.json": "{}"}
FIRST = {**SMALL, "model.safetensors.index.json": INDEX, "model-1.safetensors": "x" * 400}
WHOLE = {**FIRST, "model-2.safetensors": "x" * 500}


def test_nothing_there(tmp_path):
    found = find(MODEL, tmp_path)
    assert not found.whole and (found.snapshot, found.present, found.left) == (None, 0, 1000)


def test_a_missing_shard_is_not_whole(tmp_path):
    put(tmp_path, MODEL, FIRST, unfinished=100)
    found = find(MODEL, tmp_path)
    assert not found.whole and found.missing == ("model-2.safetensors",) and found.unfinished == 100
    assert found.left == 1000 - sum(map(len, FIRST.values())) - 100


@pytest.mark.parametrize("revision", [COMMIT, None])
def test_all_shards_are_whole_whatever_size_was_expected(tmp_path, revision):
    item = HubItem("model", "someone/model", revision, 10**12)
    snapshot = put(tmp_path, item, WHOLE)
    found = find(item, tmp_path)
    assert found.whole and found.snapshot == snapshot and found.left == 0


def test_another_commit_is_not_ours(tmp_path):
    put(tmp_path, MODEL, WHOLE)
    assert not find(HubItem("model", "someone/model", "f" * 40), tmp_path).whole


def test_a_link_without_its_content_is_missing(tmp_path):
    snapshot = put(tmp_path, MODEL, WHOLE)
    (snapshot / "tokenizer.json").resolve().unlink()
    assert find(MODEL, tmp_path).missing == ("tokenizer.json",)


def test_a_file_cut_short_by_copying_is_missing(tmp_path):
    put(
        tmp_path,
        MODEL,
        WHOLE,
        listed={name: len(text) for name, text in WHOLE.items()} | {"model-2.safetensors": 700},
    )
    found = find(MODEL, tmp_path)
    assert found.missing == ("model-2.safetensors",) and found.left == 200


def test_an_embedder_needs_its_modules(tmp_path):
    item = HubItem("embedder", "someone/embedder", COMMIT)
    modules = [{"type": "sentence_transformers.models.Transformer", "path": ""},
               {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]  # fmt: skip
    files = {**SMALL, "model.safetensors": "x", "modules.json": json.dumps(modules)}
    put(tmp_path, item, files)
    assert find(item, tmp_path).missing == ("1_Pooling/config.json",)


def test_a_data_set_of_which_only_the_card_was_streamed_is_not_whole(tmp_path):
    put(tmp_path, ROWS, {"README.md": "card"})
    assert not find(ROWS, tmp_path).whole


def test_a_data_set_with_all_of_its_files_is_whole(tmp_path):
    files = {"README.md": "card", "train.parquet": "rows"}
    put(tmp_path, ROWS, files)
    assert find(ROWS, tmp_path).whole
    put(tmp_path / "two", ROWS, files, listed={"README.md": 4, "train.parquet": 4, "validation.parquet": 9})
    found = find(ROWS, tmp_path / "two")
    assert found.missing == ("validation.parquet",) and found.left == 9
    put(tmp_path / "three", ROWS, files, unfinished=1)
    assert not find(ROWS, tmp_path / "three").whole


def test_the_cache_is_where_the_hubs_client_has_it(monkeypatch, tmp_path):
    code = "from huggingface_hub import constants; from src.hub import hub_cache; print(constants.HF_HUB_CACHE, hub_cache())"
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in (None, "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):  # each stronger than those before
        if name:
            monkeypatch.setenv(name, str(tmp_path / name))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        theirs, ours = done.stdout.split()
        assert theirs == ours and (name or ".cache") in ours
    assert hub_cache() == tmp_path / "HF_HUB_CACHE"


def test_what_a_profile_takes_from_the_hub():
    assert hub_items(PROFILES["tiny"]) == []
    model, embedder, rows = hub_items(PROFILES["rtx4090"])
    assert (model.kind, embedder.kind, rows.kind) == ("model", "embedder", "dataset")
    assert embedder.revision and rows.revision == PROFILES["rtx4090"].hub_data.revision


@pytest.mark.parametrize(
    ("key", "gb"),
    [
        ("exaone-3.0-7.8b", 31.3),
        ("exaone-3.5-7.8b", 31.3),
        ("exaone-3.5-2.4b", 9.6),
        ("qwen3-8b", 16.4),
        ("kanana-1.5-2.1b", 4.6),
    ],
)
def test_a_download_is_as_large_as_what_is_published(key, gb):
    assert MODELS[key].item.size / 1e9 == pytest.approx(gb, abs=0.05)
