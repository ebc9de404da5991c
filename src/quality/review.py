"""What people read: the sheet of records that is judged by hand, and the one-page report.

A check finds what it was made for; only a reader finds the rest. Cells that nobody filled in are never counted as
read, and whatever cannot be understood is named instead of guessed.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.data.schemas import RaftRecord
from src.data.sheets import read_sheet, write_sheet
from src.quality.personal_data import mask_personal_data
from src.templates import write_page

QUESTIONS = ("질문에 맞는 답인가요", "문서에 근거가 있나요")
READER = "읽은 사람"
COLUMNS = ("id", "질문", "답", "근거 문장", *QUESTIONS, READER, "메모")
_MEANING = {"예": "예", "네": "예", "아니오": "아니오", "아니요": "아니오"}


def write_review_sheet(path: Path, records: Sequence[RaftRecord], evidence: Mapping[str, str]) -> bool:
    """Write ``records`` with the sentence that supports each answer (record id -> sentence) as a CSV file for Excel
    (UTF-8 with BOM), personal data masked. A sheet that is already there is left alone: it may hold hours of
    reading. Returns whether it was written."""
    if path.exists():
        return False
    rows = [[r.id, *map(mask_personal_data, (r.question, r.answer, evidence.get(r.id, "")))] for r in records]
    write_sheet(path, COLUMNS, [[*row, "", "", "", ""] for row in rows])
    return True


def read_review_sheet(path: Path) -> Any:
    """The sheet as it came back, a pandas table: every cell as text, empty ones as ""; ``attrs["problems"]`` names the lines that
    could not be read, for ``summarize_review``.

    Raises:
        ValueError: as ``read_sheet``.
    """
    import pandas as pd

    rows, problems = read_sheet(path, COLUMNS)
    sheet = pd.DataFrame(list(rows.values()), columns=list(COLUMNS))
    sheet.attrs["problems"] = problems
    return sheet


def summarize_review(sheet: Any) -> tuple[Any, list[str]]:
    """(pandas table, problems) of a filled-in sheet.

    The table has a row for each of ``QUESTIONS``: how many cells say yes, say no, are empty or not understood, the
    share of yes among the answers (NaN without any) and its 95 % interval (Wilson 1927), all in 0-1. The problems
    are Korean sentences: which lines could not be read, who left which cells empty, which entries are neither yes
    nor no, which ids occur twice.
    """
    import pandas as pd
    from scipy.stats import binomtest

    problems: list[str] = list(sheet.attrs.get("problems", ()))
    empty: dict[str, list[str]] = defaultdict(list)
    counts: dict[str, Counter[str]] = {question: Counter() for question in QUESTIONS}
    for row in sheet.to_dict("records"):
        reader = row[READER].strip()
        for question in QUESTIONS:
            written = row[question].strip()
            meaning = _MEANING.get(written.rstrip("."), "잘못 적음") if written else "비어 있음"
            counts[question][meaning] += 1
            if meaning == "잘못 적음":
                problems.append(
                    f"{row['id']}의 '{question}' 칸에 '{written}'이(가) 적혀 있습니다. 예나 아니오로 적어 주세요."
                )
            elif meaning == "비어 있음" and reader:
                empty[reader].append(f"{row['id']}의 '{question}'")
        if not reader and any(row[question].strip() for question in QUESTIONS):
            problems.append(f"{row['id']}은(는) 누가 읽었는지 적혀 있지 않습니다.")
    for reader, cells in sorted(empty.items()):
        problems.append(f"{reader} 님이 비워 둔 칸 {len(cells)}개: {', '.join(cells)}")
    if twice := [name for name, count in Counter(sheet["id"]).items() if count > 1]:
        problems.append(f"두 번 나오는 행이 있습니다: {', '.join(twice)}")

    rows = []
    for question, count in counts.items():
        yes, answered = count["예"], count["예"] + count["아니오"]
        share, interval = math.nan, "–"
        if answered:
            share = yes / answered
            low, high = binomtest(yes, answered).proportion_ci(method="wilson")
            interval = f"{low:.2f}–{high:.2f}"
        rows.append((question, yes, count["아니오"], count["비어 있음"], count["잘못 적음"], share, interval))
    columns = ["물음", "예", "아니오", "비어 있음", "잘못 적음", "예의 비율", "95% 구간"]
    return pd.DataFrame(rows, columns=columns), problems


def write_report(path: Path, title: str, sections: Mapping[str, Sequence[Any]]) -> Path:
    """One HTML file that needs nothing else: under each heading its parts, which are sentences, pandas tables or
    matplotlib figures (embedded as PNG). Everything is escaped."""
    return write_page(path, "quality_report.html.j2", title=title, sections=sections)
