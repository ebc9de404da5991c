"""Suspicious labels are read by people who do not know what they are: the sheet, and what comes back."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from src.data.sheets import line_names, plain, read_sheet, write_sheet

ANSWER, READER = "바른 라벨", "읽은 사람"
COLUMNS = ("번호", "물음", "문서", ANSWER, READER, "메모")


def write_label_sheet(path: Path, rows: Mapping[int, tuple[str, str]]) -> bool:
    """A sheet of (question, document) by number for Excel; the label that is doubted is not on it, so that nobody agrees
    out of courtesy. A sheet that is already there is left alone. Returns whether it was written."""
    if path.exists():
        return False
    write_sheet(path, COLUMNS, [[str(number), *texts, "", "", ""] for number, texts in rows.items()])
    return True


def read_label_sheets(
    paths: Sequence[Path], names: Sequence[str], numbers: Sequence[int]
) -> tuple[dict[str, dict[int, int]], list[str]]:
    """(reader -> number -> label, problems): what readers wrote, a file or more each. ``names`` are the labels, ``numbers``
    the rows that were sent out. Problems are Korean sentences; what cannot be understood counts nowhere, and a reader who
    gives one row two labels has given none."""
    known, sent = {plain(name): label for label, name in enumerate(names)}, set(numbers)
    votes: dict[str, dict[int, int]] = {}
    twice: set[tuple[str, int]] = set()
    problems: list[str] = []
    for path in paths:
        try:
            rows, lost = read_sheet(path, ("번호", ANSWER))
        except ValueError as told:
            problems.append(str(told))
            continue
        problems += [f"{path.name}: {problem}" for problem in lost]
        empty = []
        for line, row in rows.items():
            written, number = row[ANSWER].strip(), row["번호"].strip()
            reader = row.get(READER, "").strip() or path.stem
            label = known.get(plain(written))
            if not number.isdecimal() or int(number) not in sent:
                problems.append(f"{path.name}: '{number}'번은 내보낸 시트에 없습니다. 번호를 되돌려 주세요.")
            elif not written:
                empty.append(line)
            elif label is None:
                problems.append(
                    f"{path.name}: {number}번의 '{written}': 라벨이 아닙니다. {', '.join(names)} 가운데 하나로 적어 주세요."
                )
            elif votes.setdefault(reader, {}).setdefault(int(number), label) != label:
                twice.add((reader, int(number)))
        if empty:
            problems.append(f"{path.name}: {line_names(empty)}이 비어 있습니다.")
    for reader, number in sorted(twice):
        del votes[reader][number]
        problems.append(f"{reader} 님이 {number}번에 라벨을 둘 적어 세지 않았습니다. 하나만 남겨 주세요.")
    return votes, problems
