"""Can what is pinned be installed elsewhere? ``python -m benchmarks.wheels`` asks PyPI for every line of ``constraints.txt``
which systems its wheels are for. Nothing of it can be run here; a test sees to it that every pin has been asked for.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

from benchmarks import write_section
from src.data.text import fingerprint
from src.profiles import ROOT

SYSTEMS = {
    "Linux x86-64": r"(many)?linux.*_x86_64",
    "Linux ARM": r"(many)?linux.*_aarch64",
    "macOS ARM": r"macosx_.*_(arm64|universal2)",
    "Windows x86-64": r"win_amd64",
}
PYTHON = (3, 11)  # the oldest that is supported


def pins() -> dict[str, str]:
    """Package -> version, as ``constraints.txt`` has it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    bare = [line.split("#")[0].strip() for line in lines]
    return dict(line.split("==") for line in bare if line)


def systems_of(name: str, version: str) -> set[str]:
    """The systems that PyPI has a wheel of this release for; "sdist" where there is only source."""
    request = urllib.request.Request(
        f"https://pypi.org/simple/{name}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return systems([file["filename"] for file in json.load(answer)["files"]], version)


def systems(files: Iterable[str], version: str) -> set[str]:
    """The systems on which one of ``files`` is a wheel of ``version`` for ``PYTHON``; "sdist" for none."""
    found: set[str] = set()
    for file in files:
        if not file.endswith(".whl"):
            continue
        try:
            _, released, _, tags = parse_wheel_filename(file)
        except ValueError:  # names of old releases
            continue
        if str(released) != version:
            continue
        for tag in filter(_fits, tags):
            matching = {s for s, form in SYSTEMS.items() if re.fullmatch(form, tag.platform)}
            found |= set(SYSTEMS) if tag.platform == "any" else matching
    return found or {"sdist"}


def _fits(tag: Tag) -> bool:
    """Whether ``PYTHON`` can load it where the system is right; stable-ABI wheels fit from the Python they name on."""
    own, platforms = "cp{}{}".format(*PYTHON), [tag.platform]
    return tag in {*cpython_tags(PYTHON, [own], platforms), *compatible_tags(PYTHON, own, platforms)}


def main() -> None:
    asked = pins()
    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(asked, pool.map(lambda item: systems_of(*item), asked.items()), strict=True))
    gaps = {name: systems for name, systems in found.items() if systems != set(SYSTEMS)}
    rows = [f"| 패키지 | {' | '.join(SYSTEMS)} |", "|---|" + "---|" * len(SYSTEMS)]
    for name, systems in sorted(gaps.items()):
        marks = ["소스" if systems == {"sdist"} else "있음" if s in systems else "없음" for s in SYSTEMS]
        rows.append(f"| {name} {asked[name]} | {' | '.join(marks)} |")
    text = (
        f"`constraints.txt`의 {len(asked)}개 가운데 {len(asked) - len(gaps)}개는 네 곳 모두에 휠이 있습니다. 나머지:\n\n"
        + "\n".join(rows)
        + f"\n\nPyPI에 물은 목록의 지문: `{fingerprint(asked)}`"
    )
    write_section("wheels", text)
    print(text)


if __name__ == "__main__":
    main()
