"""A room without network: everything the day needs in one folder, with a SHA-256 manifest.

``make bundle`` writes it, on a machine of the same kind (operating system, processor, Python) as the room's:
the checkout's committed files, every package as a wheel below ``wheels/`` and what the profile takes from the hub
(model, embedder, data set; downloaded now where the cache lacks it) below ``hub/``. In the copy ``make workshop`` finds ``wheels/``, verifies the manifest and installs
from there. Imports nothing but the standard library: it runs before anything is installed.
"""

import argparse
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import file_digest
from pathlib import Path

from src.hub.cache import HubItem, find, hub_cache
from src.hub.fetching import HubError, fetch
from src.profiles import ROOT, active_profile
from src.qlora.registry import hub_items

MANIFEST = "MANIFEST.json"
REQUIREMENTS = ("requirements.txt", "requirements-electives.txt")  # what a room installs
HERE = {
    "python": ".".join(platform.python_version_tuple()[:2]),
    "system": platform.system(),
    "machine": platform.machine(),
}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, items: Sequence[HubItem] = ()) -> None:
    """The digests of every file below ``folder``, the kind of machine the wheels are for, and what of the hub is in."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    digests = {p.relative_to(folder).as_posix(): _digest(p) for p in files}
    text = json.dumps({**HERE, "hub": [asdict(item) for item in items], "files": digests}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def verify(folder: Path) -> list[str]:
    """What is wrong with the bundle at ``folder``, in Korean, a file a line; empty when it is whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = manifest["files"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{MANIFEST}을 읽을 수 없습니다({type(error).__name__}). 번들을 다시 복사해 주세요."]
    other = [f"{k} {manifest.get(k)}(이 컴퓨터는 {v})" for k, v in HERE.items() if manifest.get(k) != v]
    remedy = "같은 환경에서 make bundle 로 다시 만들어 주세요."
    problems = [f"다른 환경에서 만든 번들입니다: {', '.join(other)}. {remedy}"] if other else []
    for name, digest in files.items():
        if not (folder / name).is_file():
            problems.append(f"{name}: 없습니다.")
        elif _digest(folder / name) != digest:
            problems.append(f"{name}: 내용이 손상되었습니다(SHA-256이 다릅니다).")
    for item in (HubItem(**fields) for fields in manifest.get("hub", ())):
        if not find(item, folder / "hub").whole:
            problems.append(f"{item}: 온전하지 않습니다. hub/{item.folder} 폴더를 다시 복사해 주세요.")
    return problems


def make_bundle(target: Path) -> Path:
    """Fill ``target`` (new, or a bundle to be replaced) and return it.

    Raises:
        ValueError: ``target`` holds something that is not a bundle.
        HubError: something that the profile needs is neither in the cache nor to be had.
        subprocess.CalledProcessError: git or pip failed; it has said why.
    """
    items = hub_items(active_profile())
    for item in items:  # first of all: it takes longest and fails most
        fetch(item)
    if target.exists():
        if any(target.iterdir()) and not (target / MANIFEST).exists():
            raise ValueError(f"{target}에 번들이 아닌 것이 있습니다. 다른 폴더를 적거나 비워 주세요.")
        shutil.rmtree(target)
    target.mkdir(parents=True)
    committed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in committed.stdout.decode().rstrip("\0").split("\0"):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    _collect_wheels(target / "wheels")
    for item in items:
        _copy_item(item, target / "hub")
    write_manifest(target, items)
    return target


def _collect_wheels(folder: Path) -> None:
    # "-r …" is the other file, "-e ." this checkout itself; pip builds it in the room, with the setuptools that lies among the wheels.
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in REQUIREMENTS]
    lines = [line.partition("#")[0].strip() for text in texts for line in text.splitlines()]
    packages = [line for line in lines if line and not line.startswith("-")]
    command = [sys.executable, *"-m pip wheel -q --disable-pip-version-check".split(), *packages]
    subprocess.run([*command, "-c", str(ROOT / "constraints.txt"), "-w", str(folder)], check=True)


def _copy_item(item: HubItem, cache: Path) -> None:
    """The one commit of ``item`` in the form of the hub's cache, with files where that has links: a stick for
    thirty computers may know none."""
    source, target = hub_cache() / item.folder, cache / item.folder
    commit = find(item).snapshot.name
    shutil.copytree(source / "snapshots" / commit, target / "snapshots" / commit)
    for name in (f"trees/{commit}.json", "refs/main"):
        if (source / name).is_file():
            (target / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, target / name)


def main(arguments: Sequence[str] | None = None) -> int | str:
    """0, or what went wrong, for ``SystemExit`` to print."""
    prog = "python -m src.classroom.bundle"
    parser = argparse.ArgumentParser(prog=prog, description="네트워크 없는 교실을 위한 번들")
    parser.add_argument("action", choices=("make", "verify"))
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "outputs" / "bundle")
    options = parser.parse_args(arguments)
    if options.action == "verify":
        if problems := verify(options.folder):
            return "\n- ".join(["번들이 온전하지 않습니다. 아래 파일을 다시 복사해 주세요.", *problems])
        print("번들이 온전합니다.")
        return 0
    try:
        folder = make_bundle(options.folder)
    except (ValueError, HubError, subprocess.CalledProcessError) as error:
        return f"번들을 만들지 못했습니다: {error}"
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    print(f"번들: {folder} ({size / 1e9:.1f}GB). 폴더째 복사한 뒤 그 안에서 make workshop 을 실행합니다.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
