"""What a line of the report is, and what to do about each problem."""

from __future__ import annotations

from dataclasses import dataclass

SIGNS = {"ok": "✅", "warning": "⚠️", "error": "❌", "skipped": "➖"}
GIB = 2**30
INSTALL = "make workshop 을 다시 실행하거나 .venv/bin/pip install -r requirements.txt -c constraints.txt"
FETCH = "수업 전에 한 번 실행해 두거나, 강사가 준비한 캐시 폴더를 HF_HOME으로 가리켜 주세요."
REMEDIES = {  # check -> what to do, where its line names nothing better
    "패키지": f"{INSTALL} 을 실행해 주세요.",
    "글자 인코딩": "export PYTHONUTF8=1 LANG=C.UTF-8 을 실행한 뒤 다시 시작해 주세요(Windows: setx PYTHONUTF8 1).",
    "한글 글꼴": "pip install koreanize-matplotlib 을 실행해 주세요.",
    "저장소": "저장소를 새로 내려받아 주세요(git clone).",
    "RAM": "다른 프로그램을 닫고, 노트북을 한 번에 하나씩만 열어 주세요.",
    "결과 폴더": "폴더의 권한을 바꾸거나, WORKSHOP_OUTPUTS에 쓸 수 있는 폴더를 적어 주세요.",
    "디스크": "자리를 비우거나, 모델은 HF_HOME, 결과는 WORKSHOP_OUTPUTS로 다른 디스크를 가리켜 주세요.",
    "torch": "CUDA 라이브러리와 torch가 서로 맞지 않거나 설치가 끊겼습니다. rm -rf .venv 뒤 make workshop 을 실행해 주세요.",
    "bf16": "연산 능력 8.0 이상(RTX 30 시리즈부터)의 GPU를 쓰거나, fp16으로 계산하는 t4 프로파일로 실행해 주세요: make workshop PROFILE=t4",
    "VRAM": "다른 프로그램이 GPU를 쓰고 있습니다. nvidia-smi로 찾아 닫아 주세요.",
    "4비트 계산": f"{INSTALL} 을 실행해 주세요.",
    "모델 파일": FETCH,
    "임베더 파일": FETCH,
    "데이터 파일": FETCH,
}


@dataclass(frozen=True)
class Line:
    """One line of the report; ``status`` is a key of ``SIGNS``, "skipped" means: not checked, not passed."""

    check: str
    status: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        remedy = f"\n   → {self.remedy}" if self.remedy else ""
        return f"{SIGNS[self.status]} {self.check}: {self.message}{remedy}"


def judge(
    check: str, wrong: object, trouble: str, well: str, remedy: str | None = None, *, status: str = "error"
) -> Line:
    """``problem`` with ``trouble`` where something is ``wrong``, else ``well``."""
    return problem(check, trouble, remedy, status=status) if wrong else Line(check, "ok", well)


def problem(check: str, message: str, remedy: str | None = None, *, status: str = "error") -> Line:
    """An error or a warning with ``remedy``, else that of ``REMEDIES``."""
    return Line(check, status, message, REMEDIES[check] if remedy is None else remedy)
