"""Software, text, checkout, memory and disk."""

from __future__ import annotations

import importlib.util
import locale
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from src.classroom.preflight.hub import missing_gb
from src.classroom.preflight.lines import GIB, Line, judge, problem
from src.hub.cache import GB, hub_cache
from src.profiles import ROOT, Profile
from src.qlora.registry import model_shape, model_spec

OUTPUT_GB = 1.0  # what a day leaves under outputs/: checkpoints, pages, logs
RAM_GIB = {True: 4.0, False: 16.0}  # the tiny model; a sharded hub model on its way to the GPU


def check_python(profile: Profile) -> Iterator[Line]:
    found = platform.python_version()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    least = re.search(r'requires-python = ">=([\d.]+)"', project)[1]
    old = sys.version_info < tuple(map(int, least.split(".")))
    remedy = f"{least} 이상을 설치해 주세요. 예: make workshop PYTHON=python{least}"
    yield judge("파이썬", old, f"{found}은(는) 너무 오래되었습니다.", found, remedy)


def check_packages(profile: Profile) -> Iterator[Line]:
    listed = re.findall(r"(?m)^([A-Za-z][\w-]*)", (ROOT / "requirements.txt").read_text(encoding="utf-8"))
    pinned = re.findall(r"(?m)^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    pins = {_plain(name): pin for name, pin in pinned}
    versions = {_plain(name): _version(name) for name in {*listed, *pins}}
    missing = [name for name in listed if not versions[_plain(name)]]
    if missing:
        yield problem("패키지", f"설치되지 않은 것: {', '.join(missing)}")
    # "2.13.0+cpu" is the CPU build of 2.13.0.
    other = {n: v for n, v in versions.items() if v and n in pins and v.split("+")[0] != pins[n]}
    if other:
        told = ", ".join(f"{name} {found}(시험한 버전 {pins[name]})" for name, found in sorted(other.items()))
        yield problem("패키지", f"시험하지 않은 버전: {told}", status="warning")
    if not missing and not other:
        yield Line("패키지", "ok", f"{len(listed)}개 모두 시험한 버전입니다.")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_text(profile: Profile) -> Iterator[Line]:
    encoding = locale.getpreferredencoding(False)
    told = f"이 환경의 기본 인코딩이 {encoding}이라 한글이 깨질 수 있습니다."
    utf8 = _plain(encoding) in ("utf-8", "utf8")
    yield judge("글자 인코딩", not utf8, told, "UTF-8", status="warning")
    package = importlib.util.find_spec("koreanize_matplotlib")
    font = package and Path(package.origin).parent / "fonts" / "NanumGothic.ttf"
    yield judge("한글 글꼴", not (font and font.is_file()), "차트에 쓸 한글 글꼴이 없습니다.", "나눔고딕")


def check_checkout(profile: Profile) -> Iterator[Line]:
    """The shipped model and embedder are whole."""
    damaged = [name for name in profile.data_files if not (ROOT / name).is_file()]
    for sums in sorted((ROOT / "data" / "tiny").glob("*/SHA256SUMS")):
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, name = line.split(maxsplit=1)
            path = sums.parent / name.strip()
            if not path.is_file() or sha256(path.read_bytes()).hexdigest() != digest:
                damaged.append(path.relative_to(ROOT).as_posix())
    told = f"없거나 손상된 파일: {', '.join(damaged)}"
    yield judge("저장소", damaged, told, "모델, 임베더, 데이터 파일이 온전합니다.")


def check_memory(profile: Profile) -> Iterator[Line]:
    import psutil

    total, need = psutil.virtual_memory().total / GIB, RAM_GIB[model_spec(profile).local]
    told = f"{total:.1f} GiB, 권하는 크기는 {need:.0f} GiB입니다."
    yield judge("RAM", total < need, told, f"{total:.1f} GiB", status="warning")


def output_gb(profile: Profile) -> float:
    """GB of what the day leaves, and of the merged model that notebook 03 saves in 16 bit and removes again."""
    return OUTPUT_GB + 2 * model_shape(model_spec(profile)).parameters / GB


def check_disk(profile: Profile) -> Iterator[Line]:
    folder = profile.output_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="한글-") as file:
            file.write("쓰기 시험".encode())
        yield Line("결과 폴더", "ok", f"{folder}에 쓸 수 있습니다.")
    except OSError as error:
        yield problem("결과 폴더", f"{folder}에 쓸 수 없습니다({error.strerror or error}).")
    needs = {folder: output_gb(profile)}
    if missing := missing_gb(profile):
        needs[hub_cache()] = missing
    disks: dict[int, tuple[Path, float]] = {}  # one line a disk, however many folders lie on it
    for folder, need in needs.items():
        place = next(path for path in (folder, *folder.parents) if path.exists())
        first, sum_ = disks.get(place.stat().st_dev, (place, 0.0))
        disks[place.stat().st_dev] = (first, sum_ + need)
    for place, need in disks.values():
        free = shutil.disk_usage(place).free / GB
        well = f"{place}에 {free:.1f} GB가 남았습니다(필요한 것 {need:.1f} GB)."
        told = f"{place}에 {free:.1f} GB가 남았는데 {need:.1f} GB가 더 필요합니다."
        yield judge("디스크", free < need, told, well)
