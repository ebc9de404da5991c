"""The command: print the report; 1 when something is ❌, else 0."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict

from src.classroom.preflight import SIGNS, run_checks, verdict
from src.hub.fetching import HubError, fetch
from src.profiles import PROFILES, active_profile
from src.qlora.registry import hub_items


def main(arguments: Sequence[str] | None = None) -> int | str:
    prog = "python -m src.classroom.preflight"
    parser = argparse.ArgumentParser(prog=prog, description="이 컴퓨터의 준비 점검")
    parser.add_argument("--profile", choices=PROFILES, help="점검할 프로파일(기본: 지금 고른 것)")
    parser.add_argument("--fetch", action="store_true", help="허브에서 받을 것을 먼저 내려받기")
    parser.add_argument("--json", action="store_true", help="기계가 읽을 JSON으로 출력")
    options = parser.parse_args(arguments)
    # A terminal that cannot show Hangul must not end the report.
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    try:
        profile = PROFILES[options.profile] if options.profile else active_profile()
        with redirect_stdout(sys.stderr):  # the report alone goes to stdout
            for item in hub_items(profile) if options.fetch else ():
                fetch(item)
    except ValueError as error:
        return f"{SIGNS['error']} 프로파일: {error}"
    except HubError as error:
        return f"{SIGNS['error']} {error}"
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
