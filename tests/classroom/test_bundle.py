"""A bundle is whole, or it names the file that is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from src.classroom import bundle
from src.classroom.preflight.hub import check_hub
from src.hub.cache import find
from src.hub.fetching import HubError
from src.profiles import PROFILES, ROOT
from src.qlora.registry import hub_items
from tests.hub.test_cache import WHOLE, put


@pytest.fixture
def one_wheel(monkeypatch):
    """Wheels come from the network."""

    def write(folder):
        folder.mkdir()
        (folder / "some-1.0-py3-none-any.whl").write_bytes(b"wheel")

    monkeypatch.setattr(bundle, "_collect_wheels", write)


@pytest.fixture
def made(tmp_path, one_wheel):
    return bundle.make_bundle(tmp_path / "bundle")


def test_it_holds_what_is_committed_and_is_whole(made):
    assert bundle.verify(made) == []
    for name in (
        "Makefile",
        "data/tiny/base/model.safetensors",
        "src/classroom/bundle.py",
        "wheels/some-1.0-py3-none-any.whl",
    ):
        assert (made / name).is_file()
    assert not (made / ".venv").exists() and not (made / "hub").exists()


def test_one_changed_byte_is_refused_by_name(made):
    path = made / "data/tiny/base/model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    said = bundle.main(["verify", str(made)])
    assert "data/tiny/base/model.safetensors" in said and said.count("\n-") == 1


def test_missing_and_cut_files_are_named(made):
    (made / "README.md").unlink()
    (made / "Makefile").write_bytes((made / "Makefile").read_bytes()[:-1])
    told = bundle.verify(made)
    assert [line.split(":")[0] for line in told] == ["Makefile", "README.md"]


def test_another_python_is_told(made):
    manifest = json.loads((made / bundle.MANIFEST).read_text(encoding="utf-8"))
    (made / bundle.MANIFEST).write_text(json.dumps({**manifest, "python": "3.9"}), encoding="utf-8")
    assert ["3.9" in line for line in bundle.verify(made)] == [True]


def test_a_damaged_manifest_is_a_message(made):
    (made / bundle.MANIFEST).write_text("{", encoding="utf-8")
    assert bundle.MANIFEST in bundle.verify(made)[0]


def test_what_a_learner_leaves_does_not_count(made):
    (made / "outputs").mkdir()
    (made / "outputs" / "new.txt").write_text("x", encoding="utf-8")
    assert bundle.verify(made) == []


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x", encoding="utf-8")
    with pytest.raises(ValueError, match="번들이 아닌"):
        bundle.make_bundle(tmp_path)
    assert (tmp_path / "mine.txt").exists()


def test_make_refuses_a_damaged_bundle_before_it_installs(made):
    (made / "pyproject.toml").write_text("", encoding="utf-8")
    done = subprocess.run(
        ["make", "workshop", f"PYTHON={sys.executable}"],
        cwd=made,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode != 0 and "pyproject.toml" in done.stderr
    assert not (made / ".venv" / ".installed").exists()


def test_wheels_are_of_what_is_listed_and_pinned(monkeypatch, tmp_path):
    """Of the day and of the electives, each once, and no line that pip itself reads in such a file."""
    assert {"requirements.txt", "requirements-electives.txt"} == {*bundle.REQUIREMENTS}
    ran = []
    monkeypatch.setattr(bundle.subprocess, "run", lambda command, **_: ran.append(command))
    bundle._collect_wheels(tmp_path)
    (command,) = ran
    packages = command[command.index("--disable-pip-version-check") + 1 : command.index("-c")]
    assert "torch>=2.9" in packages and "bm25s>=0.3,<0.4" in packages
    assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?(>=[\d.]+)?(,<[\d.]+)?", package) for package in packages)


def test_verifying_needs_no_package():
    code = "import sys, src.classroom.bundle; sys.exit(any(n in sys.modules for n in ('numpy', 'torch', 'pydantic')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A hub cache with everything that rtx4090 needs, on a machine that is offline."""
    files = {
        "model": WHOLE,
        "embedder": {**WHOLE, "modules.json": "[]"},
        "dataset": {"train.parquet": "rows"},
    }
    items = hub_items(PROFILES["rtx4090"])
    for item in items:
        put(tmp_path / "hf", item, files[item.kind])
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("WORKSHOP_PROFILE", "rtx4090")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return items


def test_it_holds_model_embedder_and_data_and_misses_each(cached, one_wheel, tmp_path, monkeypatch):
    made = bundle.make_bundle(tmp_path / "bundle")
    assert bundle.verify(made) == []
    assert not any(path.is_symlink() for path in (made / "hub").rglob("*"))
    monkeypatch.setenv("HF_HUB_CACHE", str(made / "hub"))  # as in the room
    assert [find(item).whole for item in cached] == [True] * 3
    assert {line.status for line in check_hub(PROFILES["rtx4090"])} == {"ok", "skipped"}
    manifest = json.loads((made / bundle.MANIFEST).read_text(encoding="utf-8"))
    kept = {n: d for n, d in manifest["files"].items() if not n.startswith("hub/")}
    (made / bundle.MANIFEST).write_text(json.dumps({**manifest, "files": kept}), encoding="utf-8")
    for item in cached:  # whatever the list of files says
        (made / "hub" / item.folder).rename(made / "hub" / "elsewhere")
        (told,) = bundle.verify(made)
        assert item.repo in told and item.folder in told
        (made / "hub" / "elsewhere").rename(made / "hub" / item.folder)


@pytest.mark.parametrize("place", range(3))
def test_a_bundle_without_one_of_them_is_not_made(cached, one_wheel, tmp_path, place):
    (tmp_path / "hf" / cached[place].folder).rename(tmp_path / "gone")
    with pytest.raises(HubError, match=cached[place].repo):
        bundle.make_bundle(tmp_path / "bundle")
    assert bundle.main(["make", str(tmp_path / "bundle")]).startswith("번들을 만들지 못했습니다")
