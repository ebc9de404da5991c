"""Is this machine ready? One verdict in seconds: ``python -m src.classroom.preflight [--profile NAME] [--json]``.

In: a profile. Out: lines, each with a sign, a message and a remedy. Imports nothing but the standard library, so that
it can tell of a missing package instead of stumbling over it. What touches a GPU runs in a process of its own, because
a broken driver can take the process down.
"""

from collections.abc import Callable, Iterator, Sequence

from src.classroom.preflight import machine
from src.classroom.preflight.gpu import check_choice, check_four_bit, check_gpu, suggest_profile
from src.classroom.preflight.hub import check_hub, missing_gb
from src.classroom.preflight.lines import INSTALL, SIGNS, Line, problem
from src.profiles import Profile

CHECKS: dict[str, Callable[[Profile], Iterator[Line]]] = {
    "파이썬": machine.check_python,
    "패키지": machine.check_packages,
    "글자와 글꼴": machine.check_text,
    "저장소": machine.check_checkout,
    "RAM": machine.check_memory,
    "디스크": machine.check_disk,
    "GPU": check_gpu,
    "4비트 계산": check_four_bit,
    "프로파일": check_choice,
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
            lines.append(problem(name, told, f"{INSTALL} 을 실행한 뒤 다시 점검해 주세요."))
    return lines


def verdict(profile: Profile, lines: Sequence[Line]) -> str:
    """One Korean sentence."""
    statuses = [line.status for line in lines]
    if errors := statuses.count("error"):
        return f"{profile.name} 프로파일로 시작하기 전에 ❌ {errors}가지를 먼저 풀어 주세요."
    if warnings := statuses.count("warning"):
        return f"{profile.name} 프로파일을 실행할 수 있습니다. 다만 ⚠️ {warnings}가지를 읽어 주세요."
    return f"{profile.name} 프로파일을 실행할 수 있습니다."
