"""Measurements that take too long for tests. Each module runs by itself, ``python -m benchmarks.near_duplicates``,
and writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # of others: nothing is measured yet
PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


def machine(*packages: str) -> str:
    """Where and when a table was measured: cores, memory, versions, date, what ran beside; one line of Korean."""
    memory = "메모리 알 수 없음"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f"메모리 {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f}GiB"
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        memory += "(할당은 Makefile의 설정)"
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    beside = f" 다른 프로그램도 돌고 있었습니다(시작할 때의 부하 {LOAD:.1f})." if LOAD > 0.5 else ""
    return (
        f"잰 곳: {platform.system()} {platform.machine()}, 논리 코어 {os.cpu_count()}개, {memory}, "
        f"Python {platform.python_version()}, {versions}. 잰 날: {datetime.date.today()}.{beside}"
    )


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put ``text`` between the markers ``name`` of ``page``, or at its end where there are none yet."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = page.read_text(encoding="utf-8") if page.exists() else "# 벤치마크\n"
    section = f"{begin}\n\n{text.strip()}\n\n{end}"
    new, found = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: section, old, count=1, flags=re.DOTALL
    )
    page.write_text(new if found else f"{old.rstrip()}\n\n{section}\n", encoding="utf-8")
