"""Is this machine ready? One verdict in seconds: ``python -m src.classroom.preflight [--profile NAME] [--json]``.

Imports nothing but the standard library, so that it can tell of a missing package instead of stumbling over it.
Every check stands alone: one that breaks becomes a line of the report. What touches a GPU runs in a process of its
own, because a broken driver can take the process down.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import locale
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from src.profiles import PROFILES, ROOT, Profile, active_profile

GIB = 2**30
SIGNS = {"ok": "✅", "warning": "⚠️", "error": "❌", "skipped": "➖"}
OUTPUT_GIB = 1.0  # what a day leaves under outputs/: checkpoints, pages, logs
RAM_GIB = {True: 4.0, False: 16.0}  # the tiny model; a sharded hub model on its way to the GPU
PROBE_SECONDS = 90
INSTALL = "make workshop 을 다시 실행하거나 .venv/bin/pip install -r requirements.txt -c constraints.txt"

# A 4-bit layer's gradient beside the one of the dequantized matrix, on the device that training will use.
PROBE = """
import json, sys
import torch
facts = {"torch": torch.__version__, "cuda_build": torch.version.cuda, "cuda": torch.cuda.is_available()}
if facts["cuda"]:
    free, total = torch.cuda.mem_get_info()
    facts |= {"device": torch.cuda.get_device_name(0), "capability": list(torch.cuda.get_device_capability(0)),
              "bf16": torch.cuda.is_bf16_supported(), "free": free, "total": total}
try:
    import bitsandbytes as bnb, bitsandbytes.functional as bf
    device = "cuda" if facts["cuda"] else "cpu"
    torch.manual_seed(0)
    layer = bnb.nn.Linear4bit(256, 256, bias=False, quant_type="nf4", compute_dtype=torch.bfloat16).to(device)
    layer.support_avx512bf16_for_cpu = False
    x = torch.randn(32, 256, device=device, dtype=torch.bfloat16)
    plain = bf.dequantize_4bit(layer.weight.data, layer.weight.quant_state).to(torch.bfloat16)
    gradients = []
    for function in (layer, lambda inputs: inputs @ plain.T):
        probe = x.clone().requires_grad_()
        function(probe).float().pow(2).mean().backward()
        gradients.append(probe.grad.float())
    facts["gradient_error"] = ((gradients[0] - gradients[1]).norm() / gradients[1].norm()).item()
except Exception as error:
    facts["four_bit_error"] = f"{type(error).__name__}: {error}"
print("FACTS" + json.dumps(facts))
"""


@dataclass(frozen=True)
class Line:
    """One line of the report; ``status`` is a key of ``SIGNS``, "skipped" means: not checked, not passed."""

    check: str
    status: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{SIGNS[self.status]} {self.check}: {self.message}" + (
            f"\n   → {self.remedy}" if self.remedy else ""
        )


# --- What the profile needs ------------------------------------------------------------------------------------


def _spec(profile: Profile) -> Any:
    from src.qlora.registry import model_spec

    return model_spec(profile)


def _download_gib(profile: Profile) -> float:
    """Size of the model's 16-bit weights, in GiB; 0 for a model of this checkout."""
    from src.qlora.registry import model_shape

    spec = _spec(profile)
    return 0.0 if spec.local else model_shape(spec).parameters * 2 / GIB


# --- Software --------------------------------------------------------------------------------------------------


def check_python(profile: Profile) -> Iterator[Line]:
    found = platform.python_version()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    least = re.search(r'requires-python = ">=([\d.]+)"', project)[1]
    if sys.version_info >= tuple(map(int, least.split("."))):
        yield Line("파이썬", "ok", found)
    else:
        yield Line(
            "파이썬",
            "error",
            f"{found}은(는) 너무 오래되었습니다.",
            f"{least} 이상을 설치해 주세요. 예: make workshop PYTHON=python{least}",
        )


def check_packages(profile: Profile) -> Iterator[Line]:
    listed = re.findall(
        r"^([A-Za-z][\w-]*)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pins = {_plain(name): pin for name, pin in re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE)}
    versions = {_plain(name): _version(name) for name in {*listed, *pins}}
    missing = [name for name in listed if not versions[_plain(name)]]
    if missing:
        yield Line(
            "패키지", "error", f"설치되지 않은 것: {', '.join(missing)}", f"{INSTALL} 을 실행해 주세요."
        )
    # "2.13.0+cpu" is the CPU build of 2.13.0.
    other = {n: v for n, v in versions.items() if v and n in pins and v.split("+")[0] != pins[n]}
    if other:
        told = ", ".join(f"{name} {found}(시험한 버전 {pins[name]})" for name, found in sorted(other.items()))
        yield Line("패키지", "warning", f"시험하지 않은 버전: {told}", f"{INSTALL} 을 실행해 주세요.")
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
    if _plain(encoding) not in ("utf-8", "utf8"):
        yield Line(
            "글자 인코딩",
            "warning",
            f"이 환경의 기본 인코딩이 {encoding}이라 한글이 깨질 수 있습니다.",
            "export PYTHONUTF8=1 LANG=C.UTF-8 을 실행한 뒤 다시 시작해 주세요(Windows: setx PYTHONUTF8 1).",
        )
    else:
        yield Line("글자 인코딩", "ok", "UTF-8")
    package = importlib.util.find_spec("koreanize_matplotlib")
    font = Path(package.origin).parent / "fonts" / "NanumGothic.ttf" if package and package.origin else None
    if font and font.is_file():
        yield Line("한글 글꼴", "ok", "나눔고딕")
    else:
        yield Line(
            "한글 글꼴",
            "error",
            "차트에 쓸 한글 글꼴이 없습니다.",
            "pip install koreanize-matplotlib 을 실행해 주세요.",
        )


def check_checkout(profile: Profile) -> Iterator[Line]:
    """The shipped model and embedder are whole."""
    damaged = []
    for sums in sorted((ROOT / "data" / "tiny").glob("*/SHA256SUMS")):
        for line in sums.read_text(encoding="utf-8").splitlines():
            digest, name = line.split(maxsplit=1)
            path = sums.parent / name.strip()
            if not path.is_file() or sha256(path.read_bytes()).hexdigest() != digest:
                damaged.append(path.relative_to(ROOT).as_posix())
    missing = [file for file in profile.data_files if not (ROOT / file).is_file()]
    if damaged or missing:
        told = ", ".join(damaged + missing)
        yield Line(
            "저장소", "error", f"없거나 손상된 파일: {told}", "저장소를 새로 내려받아 주세요(git clone)."
        )
    else:
        yield Line("저장소", "ok", "모델, 임베더, 데이터 파일이 온전합니다.")


# --- Memory, disk ----------------------------------------------------------------------------------------------


def check_memory(profile: Profile) -> Iterator[Line]:
    import psutil

    total, need = psutil.virtual_memory().total / GIB, RAM_GIB[_spec(profile).local]
    if total < need:
        yield Line(
            "RAM",
            "warning",
            f"{total:.1f} GiB, 권하는 크기는 {need:.0f} GiB입니다.",
            "다른 프로그램을 닫고, 노트북을 한 번에 하나씩만 열어 주세요.",
        )
    else:
        yield Line("RAM", "ok", f"{total:.1f} GiB")


def check_disk(profile: Profile) -> Iterator[Line]:
    folder = profile.output_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix="한글-") as file:
            file.write("쓰기 시험".encode())
        yield Line("결과 폴더", "ok", f"{folder}에 쓸 수 있습니다.")
    except OSError as error:
        yield Line(
            "결과 폴더",
            "error",
            f"{folder}에 쓸 수 없습니다({error.strerror or error}).",
            "폴더의 권한을 바꾸거나, WORKSHOP_OUTPUTS에 쓸 수 있는 폴더를 적어 주세요.",
        )
    needs = [(_existing(folder), OUTPUT_GIB)]
    if not _spec(profile).local and _cached_bytes(profile) == 0:
        needs.append((_existing(hub_cache()), _download_gib(profile)))
    disks: dict[int, tuple[Path, float]] = {}  # one line a disk, however many folders lie on it
    for place, need in needs:
        first, sum_ = disks.get(place.stat().st_dev, (place, 0.0))
        disks[place.stat().st_dev] = (first, sum_ + need)
    for place, need in disks.values():
        free = shutil.disk_usage(place).free / GIB
        if free < need:
            yield Line(
                "디스크",
                "error",
                f"{place}에 {free:.1f} GiB가 남았는데 {need:.1f} GiB가 필요합니다.",
                "자리를 비우거나, 모델은 HF_HOME, 결과는 WORKSHOP_OUTPUTS로 다른 디스크를 가리켜 주세요.",
            )
        else:
            yield Line("디스크", "ok", f"{place}에 {free:.1f} GiB가 남았습니다(필요한 것 {need:.1f} GiB).")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


# --- GPU and 4 bit ---------------------------------------------------------------------------------------------


@cache
def _probe() -> dict[str, Any]:
    """Facts of ``PROBE``, or ``{"error": its last line}``."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROBE],
            cwd=ROOT,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"{PROBE_SECONDS}초 안에 끝나지 않았습니다."}
    facts = [line for line in done.stdout.splitlines() if line.startswith("FACTS")]
    if facts:
        return json.loads(facts[-1].removeprefix("FACTS"))
    said = done.stderr.strip().splitlines()
    return {"error": said[-1][:300] if said else f"프로세스가 끝났습니다(코드 {done.returncode})."}


def check_gpu(profile: Profile) -> Iterator[Line]:
    facts, needed = _probe(), not _spec(profile).local
    if "error" in facts:
        yield Line(
            "torch",
            "error",
            f"torch를 쓸 수 없습니다({facts['error']}).",
            "CUDA 라이브러리와 torch가 서로 맞지 않거나 설치가 끊겼습니다. rm -rf .venv 뒤 make workshop 을 실행해 주세요.",
        )
        return
    build = f"CUDA {facts['cuda_build']}" if facts["cuda_build"] else "CPU"
    yield Line("torch", "ok", f"{facts['torch']} ({build} 빌드)")
    driver = _driver()
    if not facts["cuda"]:
        remedy = ""
        if driver and not facts["cuda_build"]:
            remedy = "GPU가 있으니 CUDA 빌드를 설치해 주세요: rm -rf .venv 뒤, PIP_EXTRA_INDEX_URL 없이 make workshop"
        elif driver:
            remedy = f"드라이버 {driver}가 CUDA {facts['cuda_build']}보다 오래되었을 수 있습니다. 드라이버를 올려 주세요."
        elif needed:
            remedy = "GPU가 있는 컴퓨터를 쓰거나, tiny 프로파일로 실행해 주세요: make workshop"
        if needed:
            yield Line(
                "GPU", "error", f"쓸 수 있는 GPU가 없습니다. {profile.name} 프로파일에는 필요합니다.", remedy
            )
        elif driver:
            yield Line("GPU", "warning", "드라이버는 있지만 torch가 GPU를 쓰지 못합니다.", remedy)
        else:
            yield Line("GPU", "skipped", f"없어서 점검하지 않았습니다. {profile.name}에는 필요 없습니다.")
        return
    major, minor = facts["capability"]
    yield Line(
        "GPU", "ok", f"{facts['device']}, 드라이버 {driver or '알 수 없음'}, 연산 능력 {major}.{minor}"
    )
    if not facts["bf16"] or major < 8:
        yield Line(
            "bf16",
            "error" if needed else "warning",
            f"이 GPU(연산 능력 {major}.{minor})는 bf16을 하드웨어로 계산하지 못합니다.",
            "연산 능력 8.0 이상(RTX 30 시리즈부터)의 GPU를 써 주세요.",
        )
    yield from _vram(profile, facts)


def _vram(profile: Profile, facts: dict[str, Any]) -> Iterator[Line]:
    from src.qlora.fitting import fit_settings
    from src.qlora.memory import RESERVED_GIB, estimate_vram

    need = estimate_vram(profile)["total"] + RESERVED_GIB
    free, total = facts["free"] / GIB, facts["total"] / GIB
    told = f"{total:.1f} GiB 가운데 {free:.1f} GiB가 비었고, 학습에 약 {need:.1f} GiB가 필요합니다."
    if total < need:
        yield Line("VRAM", "error", told, " ".join(fit_settings(profile, total)[1]))
    elif free < need:
        yield Line(
            "VRAM", "error", told, "다른 프로그램이 GPU를 쓰고 있습니다. nvidia-smi로 찾아 닫아 주세요."
        )
    else:
        yield Line("VRAM", "ok", told)


def _driver() -> str:
    if not shutil.which("nvidia-smi"):
        return ""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else ""


def check_four_bit(profile: Profile) -> Iterator[Line]:
    facts = _probe()
    remedy = f"{INSTALL} 을 실행해 주세요."
    if "error" in facts:
        yield Line("4비트 계산", "error", "torch를 쓸 수 없어 해 보지 못했습니다.", remedy)
    elif "four_bit_error" in facts:
        yield Line(
            "4비트 계산",
            "error",
            f"bitsandbytes가 4비트 층을 계산하지 못합니다({facts['four_bit_error'][:200]}).",
            remedy,
        )
    elif facts["gradient_error"] > 0.02:
        yield Line(
            "4비트 계산",
            "error",
            f"기울기가 {facts['gradient_error']:.1%} 틀립니다. 이대로 학습하지 마세요.",
            remedy,
        )
    else:
        yield Line(
            "4비트 계산", "ok", f"순전파와 역전파가 맞습니다(기울기 오차 {facts['gradient_error']:.2%})."
        )


# --- Hub -------------------------------------------------------------------------------------------------------


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it downloads, by its own environment variables."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")


def model_folder(profile: Profile) -> Path | None:
    """The profile's hub model in the cache, present or not; None for a model of this checkout."""
    spec = _spec(profile)
    return None if spec.local else hub_cache() / f"models--{spec.source.replace('/', '--')}"


def _cached_bytes(profile: Profile) -> int:
    """Bytes of the model's weights in the hub cache; 0 unless a snapshot holds nearly all of them."""
    folder = model_folder(profile)
    sizes = [
        sum(f.stat().st_size for f in snapshot.glob("*.safetensors"))
        for snapshot in (folder / "snapshots").glob("*")
        if snapshot.is_dir()
    ]
    best = max(sizes, default=0)
    return best if best >= 0.9 * _download_gib(profile) * GIB else 0


def _reachable(url: str) -> bool:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        urlopen(Request(url, method="HEAD"), timeout=4).close()
    except HTTPError:
        return True  # it answered
    except OSError:
        return False
    return True


def check_hub(profile: Profile) -> Iterator[Line]:
    spec = _spec(profile)
    if spec.local:
        yield Line("허브", "skipped", f"{profile.name}은(는) 네트워크를 쓰지 않아 점검하지 않았습니다.")
        return
    cached = _cached_bytes(profile)
    if cached:
        yield Line("모델 파일", "ok", f"{spec.source}가 캐시에 있습니다({cached / GIB:.1f} GiB).")
    else:
        yield Line(
            "모델 파일",
            "warning",
            f"{spec.source}를 처음 쓸 때 약 {_download_gib(profile):.0f} GiB를 내려받습니다.",
            "수업 전에 한 번 실행해 두거나, 강사가 준비한 캐시 폴더를 HF_HOME으로 가리켜 주세요.",
        )
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if not _reachable(endpoint):
        status = "warning" if cached else "error"
        yield Line(
            "허브",
            status,
            f"{endpoint}에 닿지 않습니다.",
            "인터넷과 방화벽을 확인하거나, tiny 프로파일로 실행해 주세요.",
        )
        return
    yield Line("허브", "ok", f"{endpoint}에 닿습니다.")
    yield _access(spec.source)


def _access(repo: str) -> Line:
    """May this machine read ``repo``? Exceptions are told by their kind only: a text could hold a token."""
    from huggingface_hub import auth_check, get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

    token = get_token()
    known = "토큰 있음" if token else "토큰 없음"
    try:
        auth_check(repo, token=token)
    except GatedRepoError:
        remedy = f"브라우저에서 {repo} 페이지의 약관에 동의하고, 터미널에서 hf auth login 을 실행해 주세요."
        return Line("모델 접근", "error", f"{repo}을(를) 읽을 권한이 없습니다({known}).", remedy)
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else "?"
        remedy = "토큰이 만료되지 않았는지 hf auth whoami 로 확인해 주세요."
        return Line("모델 접근", "error", f"{repo}을(를) 읽지 못했습니다(HTTP {code}, {known}).", remedy)
    return Line("모델 접근", "ok", f"{repo}을(를) 읽을 수 있습니다({known}).")


# --- The report ------------------------------------------------------------------------------------------------

CHECKS: dict[str, Callable[[Profile], Iterator[Line]]] = {
    "파이썬": check_python,
    "패키지": check_packages,
    "글자와 글꼴": check_text,
    "저장소": check_checkout,
    "RAM": check_memory,
    "디스크": check_disk,
    "GPU": check_gpu,
    "4비트 계산": check_four_bit,
    "허브": check_hub,
}


def run_checks(profile: Profile) -> list[Line]:
    """Every check's lines; a check that breaks is a line that says so."""
    lines: list[Line] = []
    for name, function in CHECKS.items():
        try:
            lines.extend(function(profile))
        except Exception as error:
            told = f"점검을 마치지 못했습니다({type(error).__name__}: {str(error)[:200]})."
            lines.append(Line(name, "error", told, f"{INSTALL} 을 실행한 뒤 다시 점검해 주세요."))
    return lines


def verdict(profile: Profile, lines: Sequence[Line]) -> str:
    """One Korean sentence."""
    errors = sum(line.status == "error" for line in lines)
    warnings = sum(line.status == "warning" for line in lines)
    if errors:
        return f"{profile.name} 프로파일로 시작하기 전에 ❌ {errors}가지를 먼저 풀어 주세요."
    if warnings:
        return f"{profile.name} 프로파일을 실행할 수 있습니다. 다만 ⚠️ {warnings}가지를 읽어 주세요."
    return f"{profile.name} 프로파일을 실행할 수 있습니다."


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; 1 when something is ❌, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m src.classroom.preflight", description="이 컴퓨터의 준비 점검"
    )
    parser.add_argument("--profile", choices=PROFILES, help="점검할 프로파일(기본: 지금 고른 것)")
    parser.add_argument("--json", action="store_true", help="기계가 읽을 JSON으로 출력")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot show Hangul must not end the report
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        profile = PROFILES[options.profile] if options.profile else active_profile()
    except ValueError as error:
        print(f"{SIGNS['error']} 프로파일: {error}")
        return 1
    lines = run_checks(profile)
    failed = any(line.status == "error" for line in lines)
    if options.json:
        report = {"profile": profile.name, "ready": not failed, "lines": [asdict(line) for line in lines]}
        print(json.dumps(report, ensure_ascii=False, indent=1))
    else:
        print(*lines, "", verdict(profile, lines), sep="\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
