"""Which answer people like better without knowing whose it is: the sheet, a page to fill it in, and the way back.

A sheet holds two answers a question, A and B, in shuffled order and on shuffled sides; which model wrote which stands
in the key, a file of its own that raters do not get. The reference is not shown: it has the form that one of the two
models was trained on. Ratings that are missing or cannot be understood are named, never guessed or left out unsaid.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from src.data.schemas import RaftRecord
from src.data.sheets import line_names, plain, read_sheet, write_sheet
from src.scoring.correctness import normalize_answer
from src.scoring.tokenizers import check_lengths
from src.templates import write_page

COLUMNS = ("시트", "번호", "질문", "문서", "답 A", "답 B", "선택", "평가자", "메모")
NEEDED = ("시트", "번호", "선택")  # of a sheet that comes back
TIE = "같음"
_CHOICES = {"a": "A", "b": "B", "같음": TIE, "동점": TIE, "비슷함": TIE, "tie": TIE}


class RatingSheet(NamedTuple):
    """Where a sheet's files are; ``key`` stays with whoever evaluates."""

    csv: Path
    page: Path
    key: Path


class Rating(NamedTuple):
    """One rater's choice ("A", "B" or ``TIE``) in one question of a sheet."""

    rater: str
    number: int
    choice: str


def write_rating_sheet(
    folder: str | Path,
    records: Sequence[RaftRecord],
    base_answers: Sequence[str],
    tuned_answers: Sequence[str],
    *,
    n: int,
    seed: int,
) -> RatingSheet:
    """A sheet of at most ``n`` questions drawn with ``seed`` from those that the two models answer differently.

    Equal answers ask nobody for a choice; the key counts them. The tuned model stands on side A in half of the
    questions. Files are named after their content, so that new answers never overwrite a sheet that is being filled
    in: ``sheet-<id>.csv`` (UTF-8 with BOM, no cell that a spreadsheet would run as a formula), ``page-<id>.html`` and
    ``key/<id>.json``. The empty folder ``returned`` is made for the sheets that come back.

    Raises:
        ValueError: lists of different lengths, or no two answers differ.
    """
    check_lengths({"질문": records, "베이스 모델": base_answers, "튜닝한 모델": tuned_answers})
    pairs = list(zip(records, base_answers, tuned_answers, strict=True))
    different = [row for row in pairs if normalize_answer(row[1]) != normalize_answer(row[2])]
    if not different:
        raise ValueError("두 모델의 답이 모두 같아서 사람에게 물을 것이 없습니다.")
    rng = random.Random(seed)
    drawn = rng.sample(different, min(n, len(different)))  # in random order
    tuned_first = [place < (len(drawn) + rng.randrange(2)) // 2 for place in range(len(drawn))]
    rng.shuffle(tuned_first)
    items, key = [], {}
    for number, ((record, *answers), first) in enumerate(zip(drawn, tuned_first, strict=True), start=1):
        sides = list(zip(("base", "tuned"), answers, strict=True))[:: -1 if first else 1]
        documents = "\n".join(f"[문서 {i}] {text}" for i, text in enumerate(record.context, start=1))
        items.append([str(number), record.question, documents, *(answer for _, answer in sides)])
        key[str(number)] = {"id": record.id, "A": sides[0][0], "B": sides[1][0]}
    # A letter first: a spreadsheet would rewrite an id that looks like a number (12345e6).
    name = "s" + hashlib.sha256(json.dumps(items).encode()).hexdigest()[:11]
    folder = Path(folder)
    sheet = RatingSheet(
        folder / f"sheet-{name}.csv", folder / f"page-{name}.html", folder / "key" / f"{name}.json"
    )
    (folder / "returned").mkdir(parents=True, exist_ok=True)
    if not sheet.csv.exists():  # it may hold somebody's ratings
        write_sheet(sheet.csv, COLUMNS, [[name, *item, "", "", ""] for item in items])
    choices = {"A": "A가 낫다", "B": "B가 낫다", TIE: TIE}
    write_page(sheet.page, "rating.html.j2", title="답 고르기", sheet=name, items=items, choices=choices)
    content = {"sheet": name, "questions": key, "equal_answers": len(pairs) - len(different)}
    sheet.key.parent.mkdir(exist_ok=True)
    sheet.key.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return sheet


def read_ratings(paths: Sequence[str | Path], key: str | Path) -> tuple[list[Rating], list[str]]:
    """(ratings, problems) of the filled-in sheets, one file a rater, from the CSV or from the page.

    A problem is a Korean sentence: a file that cannot be read or belongs to another sheet, a line that cannot be read,
    a question left empty, a choice that is none, one question rated twice. Two choices of one rater in one question
    that differ count as none. Rows without anything in them are not there. Where no name is written the file's name
    is the rater's.
    """
    content = json.loads(Path(key).read_text(encoding="utf-8"))
    numbers = [int(number) for number in content["questions"]]
    found: dict[str, dict[int, list[str]]] = {}
    problems: list[str] = []
    cut: set[str] = set()  # raters of a file of which not every line was read
    for path in map(Path, paths):
        rows, lost = _rows(path, content["sheet"])
        problems += [f"{path.name}: {problem}" for problem in lost]
        names = [row.get("평가자", "").strip().removeprefix("'").strip() for row in rows]
        named = next(filter(None, names), path.stem)
        for row, name in zip(rows, names, strict=True):
            written, choice = row["번호"].strip(), plain(row["선택"])
            seen = found.setdefault(name or named, {})
            if lost:
                cut.add(name or named)
            if not written.isdecimal() or int(written) not in numbers:
                problems.append(
                    f"{path.name}: '{written}'번 문항은 이 시트에 없습니다. 번호를 나누어 준 시트와 같게 고쳐 주세요."
                )
            elif choice in _CHOICES:
                seen.setdefault(int(written), []).append(_CHOICES[choice])
            elif row["선택"].strip():
                problems.append(
                    f"{path.name}: {written}번의 선택 '{row['선택'].strip()}'을(를) 알 수 없습니다. "
                    f"A, B, {TIE} 가운데 하나로 적어 주세요."
                )
                seen.setdefault(int(written), [])
    ratings = []
    for rater, answers in found.items():
        if twice := [number for number, choices in answers.items() if len(choices) > 1]:
            problems.append(
                f"{rater} 님이 두 번 고른 문항: {', '.join(map(str, sorted(twice)))}. 하나만 남겨 주세요."
            )
        for number in numbers:
            if len(choices := set(answers.get(number, []))) == 1:
                ratings.append(Rating(rater, number, choices.pop()))
        if empty := [number for number in numbers if number not in answers]:
            state = "비워 두었거나 읽지 못한" if rater in cut else "비워 둔"
            problems.append(f"{rater} 님이 {state} 문항 {len(empty)}개: {', '.join(map(str, empty))}")
    return ratings, problems


def _rows(path: Path, sheet: str) -> tuple[list[dict[str, str]], list[str]]:
    """A file's rows of this sheet, and why others do not count."""

    def clear(row: dict[str, str]) -> bool:  # whoever types a note may put commas in it
        return row["시트"].strip() == sheet and plain(row["선택"]) in _CHOICES

    try:
        rows, problems = read_sheet(path, NEEDED, clear=clear)
    except ValueError as error:
        return [], [str(error).removeprefix(f"{path.name}: ")]
    if not rows:
        return [], problems or ["채운 행이 없습니다. 나누어 준 시트를 채워서 돌려주세요."]
    strange = [line for line, row in rows.items() if row["시트"].strip() != sheet]
    if len(strange) == len(rows):
        return [], [
            f"다른 시트를 채운 것이라 세지 않았습니다(이 시트는 {sheet}). 이 시트를 채운 파일을 넣어 주세요.",
            *problems,
        ]
    if strange:
        problems.append(
            f"{line_names(strange)}: 시트 칸이 {sheet}이(가) 아니라서 세지 않았습니다. 이 시트의 행이면 시트 칸을 고쳐 주세요."
        )
    return [row for line, row in rows.items() if line not in strange], problems
