"""The GPU, its memory, and whether 4-bit layers compute: what torch says in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from src.classroom.preflight.lines import GIB, Line, judge, problem
from src.profiles import PROFILES, ROOT, Profile
from src.qlora.fitting import fit_settings
from src.qlora.memory import needed_vram
from src.qlora.registry import model_spec

PROBE_SECONDS = 90


@cache
def _probe() -> dict[str, Any]:
    """What ``probe.py`` printed, or ``{"error": its last line}``."""
    command = [sys.executable, "-m", "src.classroom.preflight.probe"]
    text = {"text": True, "encoding": "utf-8", "errors": "replace"}
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PROBE_SECONDS, **text)
    except subprocess.TimeoutExpired:
        return {"error": f"{PROBE_SECONDS}초 안에 끝나지 않았습니다."}
    facts = [line for line in done.stdout.splitlines() if line.startswith("FACTS")]
    if facts:
        return json.loads(facts[-1].removeprefix("FACTS"))
    said = done.stderr.strip().splitlines()
    return {"error": said[-1][:300] if said else f"프로세스가 끝났습니다(코드 {done.returncode})."}


def check_gpu(profile: Profile) -> Iterator[Line]:
    facts, needed = _probe(), not model_spec(profile).local
    if "error" in facts:
        yield problem("torch", f"torch를 쓸 수 없습니다({facts['error']}).")
        return
    build = f"CUDA {facts['cuda_build']}" if facts["cuda_build"] else "CPU"
    yield Line("torch", "ok", f"{facts['torch']} ({build} 빌드)")
    driver = _driver()
    if not facts["cuda"]:
        yield _no_gpu(profile, driver, facts["cuda_build"], needed)
        return
    major, minor = facts["capability"]
    yield Line(
        "GPU", "ok", f"{facts['device']}, 드라이버 {driver or '알 수 없음'}, 연산 능력 {major}.{minor}"
    )
    if not _has_bf16(facts):
        told = f"이 GPU(연산 능력 {major}.{minor})는 bf16을 하드웨어로 계산하지 못합니다."
        yield problem("bf16", told, status="error" if profile.compute_dtype == "bfloat16" else "warning")
    free, total, (phase, need) = facts["free"] / GIB, facts["total"] / GIB, needed_vram(profile)
    told = f"{total:.1f} GiB 가운데 {free:.1f} GiB가 비었고, 가장 많이 쓰는 일({phase})에 약 {need:.1f} GiB가 필요합니다."
    yield judge("VRAM", free < need, told, told, _smaller(profile, total) if total < need else None)


def suggest_profile() -> tuple[str, list[str]]:
    """The name of the largest profile that this machine carries, and in Korean what is in the way of larger ones."""
    facts, reasons = _probe(), []
    if not facts.get("cuda"):
        return "tiny", ["쓸 수 있는 GPU가 없습니다."]
    total = facts["total"] / GIB
    for profile in PROFILES.values():
        if model_spec(profile).local:
            continue
        _, need = needed_vram(profile)
        if profile.compute_dtype == "bfloat16" and not _has_bf16(facts):
            reasons.append(f"{profile.name}: 이 GPU는 bf16을 하드웨어로 계산하지 못합니다.")
        elif total < need:
            reasons.append(f"{profile.name}: 약 {need:.1f} GiB가 필요한데 이 GPU는 {total:.1f} GiB입니다.")
        else:
            return profile.name, reasons
    return "tiny", reasons


def check_choice(profile: Profile) -> Iterator[Line]:
    """The profile that is checked beside the one that this machine suggests."""
    name, reasons = suggest_profile()
    told = f"이 컴퓨터에 권하는 것은 {name}, 점검한 것은 {profile.name}입니다."
    yield Line("프로파일", "ok", " ".join([told, *reasons]))


def _has_bf16(facts: dict[str, Any]) -> bool:
    major, _ = facts["capability"]
    return facts["bf16"] and not major < 8  # before that torch emulates it, slowly


def _smaller(profile: Profile, total: float) -> str:
    """What to do where the card is too small for ``profile``."""
    name, _ = suggest_profile()
    if name not in (profile.name, "tiny"):
        return f"이 카드에 맞춘 프로파일로 실행해 주세요: make workshop PROFILE={name}"
    try:
        return " ".join(fit_settings(profile, total)[1])
    except ValueError as error:
        return str(error)


def _no_gpu(profile: Profile, driver: str, cuda_build: str | None, needed: bool) -> Line:
    if not driver and not needed:
        return Line("GPU", "skipped", f"없어서 점검하지 않았습니다. {profile.name}에는 필요 없습니다.")
    remedy = "GPU가 있는 컴퓨터를 쓰거나, tiny 프로파일로 실행해 주세요: make workshop"
    if driver and not cuda_build:
        remedy = "CUDA 빌드를 설치해 주세요: rm -rf .venv 뒤, PIP_EXTRA_INDEX_URL 없이 make workshop"
    elif driver:
        remedy = f"드라이버 {driver}가 CUDA {cuda_build}보다 오래되었을 수 있습니다. 드라이버를 올려 주세요."
    if needed:
        told = f"쓸 수 있는 GPU가 없습니다. {profile.name} 프로파일에는 필요합니다."
        return problem("GPU", told, remedy)
    return problem("GPU", "드라이버는 있지만 torch가 GPU를 쓰지 못합니다.", remedy, status="warning")


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def check_four_bit(profile: Profile) -> Iterator[Line]:
    facts, check = _probe(), "4비트 계산"
    if "error" in facts:
        yield problem(check, "torch를 쓸 수 없어 해 보지 못했습니다.")
    elif error := facts.get("four_bit_error"):
        yield problem(check, f"bitsandbytes가 4비트 층을 계산하지 못합니다({error[:200]}).")
    elif (error := facts["gradient_error"]) > 0.02:
        yield problem(check, f"기울기가 {error:.1%} 틀립니다. 이대로 학습하지 마세요.")
    else:
        yield Line(check, "ok", f"순전파와 역전파가 맞습니다(기울기 오차 {error:.2%}).")
