"""The sheet for reading by hand and the one-page report: nothing flattering, nothing lost, nothing unescaped."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.schemas import RaftRecord
from src.quality.review import (
    COLUMNS,
    QUESTIONS,
    READER,
    read_review_sheet,
    summarize_review,
    write_report,
    write_review_sheet,
)

RELEVANT, GROUNDED = QUESTIONS


def record(number: int, question: str = "전화번호는 몇 번인가요?") -> RaftRecord:
    return RaftRecord(
        id=f"r{number}",
        instruction="",
        context=["문서입니다."],
        question=question,
        answer="문맥에 따르면 010-1234-5678입니다.",
        group_id="g",
        golden_index=0,
        answerable=True,
        n_tokens=1,
        seed=0,
    )


def sheet(*cells: tuple[str, str, str]) -> pd.DataFrame:
    """Rows of (relevant, grounded, reader)."""
    frame = pd.DataFrame("", index=range(len(cells)), columns=list(COLUMNS))
    frame["id"] = [f"r{n}" for n in range(len(cells))]
    if cells:
        frame[[RELEVANT, GROUNDED, READER]] = cells
    return frame


def test_the_sheet_goes_out_masked_and_comes_back_whole(tmp_path):
    path = tmp_path / "out" / "sheet.csv"
    assert write_review_sheet(
        path, [record(1), record(2, '쉼표, "따옴표"')], {"r1": "근거는 010-1234-5678입니다."}
    )
    raw = path.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf") and b"1234-5678" not in raw
    back = read_review_sheet(path)
    assert list(back.columns) == list(COLUMNS) and list(back["id"]) == ["r1", "r2"]
    assert back.loc[1, "질문"] == '쉼표, "따옴표"' and back.loc[1, "근거 문장"] == ""


def test_a_sheet_that_is_there_is_never_overwritten(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("손으로 채움", encoding="utf-8")
    assert not write_review_sheet(path, [record(1)], {})
    assert path.read_text(encoding="utf-8") == "손으로 채움"


def test_excel_saves_cp949(tmp_path):
    path = tmp_path / "sheet.csv"
    sheet(("예", "아니오", "하나")).to_csv(path, index=False, encoding="cp949")
    assert summarize_review(read_review_sheet(path))[1] == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("id,질문\n1,2\n".encode(), "칸이 없습니다"),
        (b"", "파일이 비어 있습니다"),
        (b'a,b\n"1,2\n', "칸이 없습니다"),
        (b"\xff\xff\x80,b\n", "CSV UTF-8"),
    ],
)
def test_a_damaged_sheet_says_what_to_do(tmp_path, content, reason):
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_review_sheet(path)


def test_a_line_that_cannot_be_read_is_named_and_costs_only_itself(tmp_path):
    path = tmp_path / "sheet.csv"
    sheet(("예", "예", "하나"), ("예", "아니오", "하나")).to_csv(path, index=False, encoding="utf-8-sig")
    first, second, third = path.read_text("utf-8-sig").splitlines()
    path.write_text("\n".join([first, f"{second},쉼표,더", third]), encoding="utf-8-sig")
    table, problems = summarize_review(read_review_sheet(path))
    assert list(table["예"]) == [1, 0] and len(problems) == 1 and problems[0].startswith("2번째 줄")


def test_a_question_that_looks_like_a_formula_does_not_run(tmp_path):
    write_review_sheet(tmp_path / "sheet.csv", [record(1, "=1+1은 몇인가요?")], {})
    assert "'=1+1은 몇인가요?" in (tmp_path / "sheet.csv").read_text("utf-8-sig")


def test_an_untouched_sheet_counts_as_unread():
    table, problems = summarize_review(sheet(("", "", ""), ("", " ", "")))
    assert problems == []
    assert list(table["비어 있음"]) == [2, 2]
    assert all(map(math.isnan, table["예의 비율"])) and set(table["95% 구간"]) == {"–"}


def test_who_left_what_empty_and_what_is_not_an_answer_is_named():
    table, problems = summarize_review(
        sheet(
            ("예", "예", "하나"),
            ("아니요.", "", "하나"),
            ("글쎄요", "네", "두리"),
            ("예", "아니오", ""),
            ("", "", ""),
        )
    )
    table = table.set_index("물음")
    assert list(table.loc[RELEVANT])[:4] == [2, 1, 1, 1]
    assert list(table.loc[GROUNDED])[:4] == [2, 1, 2, 0]
    assert table.loc[RELEVANT, "예의 비율"] == pytest.approx(2 / 3)
    assert len(problems) == 3
    assert any("r2" in line and "글쎄요" in line for line in problems)
    assert any("r3" in line and "누가" in line for line in problems)
    assert any(line.startswith("하나 님") and f"r1의 '{GROUNDED}'" in line for line in problems)


def test_the_interval_is_wilsons():
    table, _ = summarize_review(sheet(*[("예", "예", "하나")] * 20))
    assert table.loc[0, "95% 구간"] == "0.84–1.00"  # n / (n + z²) = 20 / 23.84


def test_a_row_that_occurs_twice_is_named():
    frame = sheet(("예", "예", "하나"))
    _, problems = summarize_review(pd.concat([frame, frame]))
    assert any("두 번" in line and "r0" in line for line in problems)


@given(st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=8))
def test_every_cell_is_counted_once(cells):
    table, _ = summarize_review(sheet(*cells))
    assert (table[["예", "아니오", "비어 있음", "잘못 적음"]].sum(axis=1) == len(cells)).all()


def test_the_report_stands_alone_and_escapes(tmp_path):
    from matplotlib.figure import Figure

    frame = pd.DataFrame({"<b>": ["<script>", None]})
    path = write_report(tmp_path / "new" / "page.html", "A & B", {"<h>": ["1 < 2", frame, Figure()]})
    page = path.read_text(encoding="utf-8")
    assert "<script>" not in page and "<b>" not in page and "1 &lt; 2" in page and "A &amp; B" in page
    assert page.count("data:image/png;base64,") == 1 and "://" not in page
    assert "<td>–</td>" in page and "NaN" not in page and "None" not in page
