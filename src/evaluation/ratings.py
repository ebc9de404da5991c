"""Which answer people like better without knowing whose it is: the sheet, a page to fill it in, and the way back.

A sheet holds two answers a question, A and B, in shuffled order and on shuffled sides; which model wrote which stands
in the key, a file of its own that raters do not get. The reference is not shown: it has the form that one of the two
models was trained on. Ratings that are missing or cannot be understood are named, never guessed or left out unsaid.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import random
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from src.data.csv_rows import iter_csv
from src.data.json_rows import Unreadable
from src.data.schemas import RaftRecord
from src.scoring.correctness import normalize_answer

COLUMNS = ("시트", "번호", "질문", "문서", "답 A", "답 B", "선택", "평가자", "메모")
NEEDED = ("시트", "번호", "선택")  # of a sheet that comes back
TIE = "같음"
_CHOICES = {"a": "A", "b": "B", "같음": TIE, "동점": TIE, "비슷함": TIE, "tie": TIE}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


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


# --- Out -------------------------------------------------------------------------------------------------------


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
    if not len(records) == len(base_answers) == len(tuned_answers):
        raise ValueError("레코드와 두 모델의 답의 수가 다릅니다. 같은 질문의 답을 넣어 주세요.")
    pairs = list(zip(records, base_answers, tuned_answers, strict=True))
    different = [row for row in pairs if normalize_answer(row[1]) != normalize_answer(row[2])]
    if not different:
        raise ValueError("두 모델의 답이 모두 같아서 사람에게 물을 것이 없습니다.")
    rng = random.Random(seed)
    drawn = rng.sample(different, min(n, len(different)))  # in random order
    tuned_first = [place < (len(drawn) + rng.randrange(2)) // 2 for place in range(len(drawn))]
    rng.shuffle(tuned_first)
    items, key = [], {}
    for number, ((record, base, tuned), first) in enumerate(zip(drawn, tuned_first, strict=True), start=1):
        sides = (tuned, base) if first else (base, tuned)
        documents = "\n".join(f"[문서 {i}] {text}" for i, text in enumerate(record.context, start=1))
        items.append([str(number), record.question, documents, *sides])
        key[str(number)] = {
            "id": record.id,
            "A": "tuned" if first else "base",
            "B": "base" if first else "tuned",
        }
    # A letter first: a spreadsheet would rewrite an id that looks like a number (12345e6).
    name = "s" + hashlib.sha256(json.dumps(items).encode()).hexdigest()[:11]
    folder = Path(folder)
    sheet = RatingSheet(
        folder / f"sheet-{name}.csv", folder / f"page-{name}.html", folder / "key" / f"{name}.json"
    )
    sheet.key.parent.mkdir(parents=True, exist_ok=True)
    (folder / "returned").mkdir(exist_ok=True)
    if not sheet.csv.exists():  # it may hold somebody's ratings
        text = io.StringIO()
        rows = [[name, *map(safe_cell, item), "", "", ""] for item in items]
        csv.writer(text).writerows([COLUMNS, *rows])
        sheet.csv.write_bytes(text.getvalue().encode("utf-8-sig", "replace"))
    sheet.page.write_bytes(_page(name, items).encode("utf-8", "replace"))
    content = {"sheet": name, "questions": key, "equal_answers": len(pairs) - len(different)}
    sheet.key.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return sheet


def safe_cell(text: str) -> str:
    """``text`` with an apostrophe before it where a spreadsheet would read a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


_STYLE = """body{font:16px/1.6 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em 6em;color:#1f2933}
fieldset{border:1px solid #cbd2d9;margin:1.5em 0;padding:1em}legend{font-weight:bold}.pair{display:grid;
grid-template-columns:1fr 1fr;gap:1em}.pair p,details p{white-space:pre-wrap;overflow-wrap:anywhere;background:#f5f7fa;
padding:.6em;margin:.2em 0}label{margin-right:1.5em}footer{position:fixed;bottom:0;left:0;right:0;background:#fff;
border-top:1px solid #cbd2d9;padding:.8em;text-align:center}button{font:inherit;padding:.3em 1.2em}"""
_SCRIPT = """const form=document.querySelector('form'),sheet=form.dataset.sheet,total=+form.dataset.total;
const cell=t=>'"'+(/^ *[=+\\-@\\t\\r\\n＝＋－＠]/.test(t)?"'"+t:t).replaceAll('"','""')+'"';
const choice=i=>(form.querySelector(`input[name=q${i}]:checked`)||{value:''}).value;
const store=window.localStorage;let kept={};try{kept=JSON.parse(store.getItem(sheet))||{}}catch{}
for(const [name,value] of Object.entries(kept)){const e=form.elements[name];if(e)e.value=value}
function show(){let done=0;for(let i=1;i<=total;i++)if(choice(i))done++;
document.getElementById('done').textContent=`${total}문항 중 ${done}문항`;return done}
form.addEventListener('input',()=>{show();try{store.setItem(sheet,JSON.stringify(Object.fromEntries(new FormData(form))))}catch{}});
form.addEventListener('submit',event=>{event.preventDefault();const rater=form.elements.rater.value.trim();
const left=total-show();if(left&&!confirm(`${left}문항이 비어 있습니다. 이대로 저장할까요?`))return;
const rows=[['시트','번호','선택','평가자','메모']];
for(let i=1;i<=total;i++)rows.push([sheet,String(i),choice(i),rater,form.elements['m'+i].value]);
const text='\\ufeff'+rows.map(r=>r.map(cell).join(',')).join('\\r\\n')+'\\r\\n',link=document.createElement('a');
link.href=URL.createObjectURL(new Blob([text],{type:'text/csv;charset=utf-8'}));
link.download=`ratings-${sheet}-${rater.replace(/[^\\p{L}\\p{N}]+/gu,'_')}.csv`;link.click()});show();"""


def _page(name: str, items: Sequence[Sequence[str]]) -> str:
    """One HTML file without anything to fetch or send; whatever a model or a file wrote is escaped."""
    blocks = [
        '<!doctype html><html lang="ko"><head><meta charset="utf-8"><title>답 고르기</title>',
        # Neither a script that got in nor this one may talk to anybody.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'\">",
        f"<style>{_STYLE}</style></head><body><h1>어느 답이 더 낫습니까?</h1>",
        "<p>문서에 근거한 <b>맞는 답</b>을 먼저 보고, 그다음에 읽기 좋은 답을 골라 주세요. 두 답이 모두 맞거나 모두 "
        "틀려서 가릴 수 없으면 '같음'을 고릅니다. 다른 사람과 의논하지 말고, 다 고르면 저장한 파일을 돌려주세요.</p>",
        f'<form data-sheet="{name}" data-total="{len(items)}"><p><label>이름 '
        '<input name="rater" required maxlength="40"></label></p>',
    ]
    for number, question, documents, *answers in items:
        shown = "".join(
            f"<div>답 {side}<p>{html.escape(text) or '(빈 답)'}</p></div>"
            for side, text in zip("AB", answers, strict=True)
        )
        radios = "".join(
            f'<label><input type="radio" name="q{number}" value="{value}"> {label}</label>'
            for value, label in (("A", "A가 낫다"), ("B", "B가 낫다"), (TIE, TIE))
        )
        blocks.append(
            f"<fieldset><legend>{number}. {html.escape(question)}</legend><details open><summary>문서</summary>"
            f'<p>{html.escape(documents)}</p></details><div class="pair">{shown}</div><p>{radios}</p>'
            f'<label>메모 <input name="m{number}" size="50"></label></fieldset>'
        )
    blocks.append(
        '<footer><span id="done"></span> <button>CSV로 저장</button></footer></form>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )
    return "\n".join(blocks)


# --- And back --------------------------------------------------------------------------------------------------


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
            written, choice = row["번호"].strip(), _plain(row["선택"])
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
        ratings += [
            Rating(rater, number, answers[number][0])
            for number in numbers
            if len(set(answers.get(number, []))) == 1
        ]
        if empty := [number for number in numbers if number not in answers]:
            state = "비워 두었거나 읽지 못한" if rater in cut else "비워 둔"
            problems.append(f"{rater} 님이 {state} 문항 {len(empty)}개: {', '.join(map(str, empty))}")
    return ratings, problems


def _plain(choice: str) -> str:
    """As in ``_CHOICES``: "Ａ", "B." and "(a)" leave no doubt."""
    return unicodedata.normalize("NFKC", choice).strip(" \t\r\n.,:()[]'\"").casefold()


def _rows(path: Path, sheet: str) -> tuple[list[dict[str, str]], list[str]]:
    """A file's rows of this sheet, and why others do not count."""
    data = path.read_bytes()
    for encoding in ("utf-8-sig", "cp949"):  # Korean Excel saves CSV as CP949
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        return [], ["읽을 수 없습니다. 'CSV UTF-8'로 다시 저장해 주세요."]
    head = next(filter(str.strip, text.splitlines()), "")
    columns = next(csv.reader([head], delimiter="," if "," in head else "\t"), [])
    if columns and (missing := [name for name in NEEDED if name not in columns]):
        return [], [f"{', '.join(missing)} 칸이 없습니다. 나누어 준 시트를 채워서 돌려주세요."]
    rows: dict[int, dict[str, str]] = {}
    lost: dict[str, list[int]] = {}  # reason -> lines
    try:
        for line, row in iter_csv(io.StringIO(text, newline=""), path.name):
            reason = ""
            if isinstance(row, Unreadable):
                row, reason = _mended(row, columns, sheet)
            if reason:
                lost.setdefault(reason, []).append(line)
            elif any(map(str.strip, row.values())):  # spreadsheets save empty rows as commas
                rows[line] = row
    except ValueError as error:  # no line of names
        return [], [str(error).removeprefix(f"{path.name}: ")]
    problems = [f"{_lines(lines)}: {reason}" for reason, lines in lost.items()]
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
            f"{_lines(strange)}: 시트 칸이 {sheet}이(가) 아니라서 세지 않았습니다. 이 시트의 행이면 시트 칸을 고쳐 주세요."
        )
    return [row for line, row in rows.items() if line not in strange], problems


def _mended(row: Unreadable, columns: Sequence[str], sheet: str) -> tuple[dict[str, str], str]:
    """A row of too few or too many cells where it leaves no doubt, or why it does not count.

    Excel leaves out the commas at the end of some rows, and whoever types a note may put commas in it.
    """
    values = row.row
    if not isinstance(values, list) or len(values) == len(columns):
        return {}, row.reason
    mended = dict(zip_longest(columns, values[: len(columns)], fillvalue=""))
    beyond = any(map(str.strip, values[len(columns) :]))
    if not any(map(str.strip, values)):
        return mended, ""
    if mended["시트"].strip() == sheet and (not beyond or _plain(mended["선택"]) in _CHOICES):
        return mended, ""
    return {}, "칸의 수가 나누어 준 시트와 다릅니다. 쉼표와 따옴표를 확인해 주세요."


def _lines(lines: Sequence[int]) -> str:
    return f"{', '.join(map(str, lines))}번째 줄"
