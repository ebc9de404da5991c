"""Run the workshop's notebooks in order, each in a fresh kernel: ``python -m src.classroom.run``, the day's, or with
``--electives`` those for after the day.

Leaves below ``profile.output_dir``: ``html/<notebook>.html`` (pictures embedded), ``run.json`` and, on the terminal, a
summary. Exit status: 0 all ran, 1 a cell failed, 2 wrong arguments or a missing notebook, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.classroom.lanes import key_of, usual_jobs
from src.classroom.runner import Runner
from src.profiles import PROFILES, ROOT, active_profile

NOTEBOOKS = (
    ROOT / "prerequisites" / "00.01-prerequisites.ipynb",
    ROOT / "main-practice" / "00-concepts.ipynb",
    ROOT / "main-practice" / "01_data_preprocessing_and_validation.ipynb",
    ROOT / "main-practice" / "02_data_quality_check.ipynb",
    ROOT / "main-practice" / "03_fine_tuning_with_lora.ipynb",
    ROOT / "main-practice" / "04_evaluation_and_comparison.ipynb",
    ROOT / "main-practice" / "05_custom_qlora.ipynb",
)
# After the day, each for itself, numbered from 10: whatever lies there.
ELECTIVES = tuple(sorted((ROOT / "main-practice" / "electives").glob("*.ipynb")))


def main(
    argv: Sequence[str] | None = None,
    notebooks: Sequence[Path] = NOTEBOOKS,
    electives: Sequence[Path] = ELECTIVES,
) -> int:
    """Parse ``argv`` and run; ``notebooks`` is what there is to run, in order, and ``electives`` what there is beside."""
    parser = argparse.ArgumentParser(
        prog="python -m src.classroom.run", description="워크숍 노트북을 차례로 실행합니다."
    )
    after = [key_of(p) for p in electives]
    keys = [key_of(p) for p in notebooks] + after
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--from", dest="start", choices=keys, help="이 노트북부터 끝까지")
    one.add_argument("--only", choices=keys, help="이 노트북만")
    parser.add_argument("--electives", action="store_true", help="하루의 노트북 대신 선택 노트북을 모두")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="WORKSHOP_PROFILE 대신")
    parser.add_argument(
        "--timeout", type=int, help="셀 하나에 줄 시간(초). 정하지 않으면 일하는 동안은 기다립니다"
    )
    parser.add_argument(
        "--jobs", type=int, choices=(1, 2), help="1이면 차례로, 2면 서로 쓰지 않는 노트북을 나란히 실행합니다"
    )
    parser.add_argument("--list", action="store_true", help="노트북 목록만 보여 줍니다")
    args = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console without Hangul must not stop the run
    if args.list:
        print("\n".join(f"{key_of(p):<6} {p.name}" for p in [*notebooks, *electives]))
        return 0
    elective = args.electives or (args.start or args.only) in after
    notebooks = electives if elective else notebooks
    keys = [key_of(p) for p in notebooks]
    try:
        profile = PROFILES[args.profile] if args.profile else active_profile()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if named := {args.start, args.only} - {None, *keys}:
        print(
            f"{named.pop()}은(는) 선택 노트북이 아닙니다. make workshop으로 실행해 주세요.", file=sys.stderr
        )
        return 2
    first = keys.index(args.start) if args.start else 0
    selected = [notebooks[keys.index(args.only)]] if args.only else list(notebooks[first:])
    missing = [str(p) for p in selected if not p.is_file()]
    if missing:
        print("노트북 파일이 없습니다. 저장소를 다시 받아 주세요:", *missing, sep="\n  ", file=sys.stderr)
        return 2
    runner = Runner(profile, notebooks, args.timeout, electives=elective)
    return runner.run(selected, args.jobs or usual_jobs(profile))


if __name__ == "__main__":
    sys.exit(main())
