"""Sheets that people filled in: read however a spreadsheet saved them, every line counted or named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.sheets import plain, read_sheet, safe_cell, write_sheet

COLUMNS = ("번호", "선택", "메모")


def saved(folder, text, encoding="utf-8-sig"):
    path = folder / "시트.csv"
    path.write_bytes(text.encode(encoding))
    return path


@given(st.lists(st.tuples(*[st.text(max_size=20)] * 3), max_size=4))
def test_what_is_written_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("s") / "deep" / "시트.csv"
    write_sheet(path, COLUMNS, rows)
    back, problems = read_sheet(path, COLUMNS)
    # csv reads every end of a line within a cell as it stands, but no lone surrogate can be written.
    shown = [tuple(safe_cell(cell).encode("utf-8", "replace").decode() for cell in row) for row in rows]
    assert problems == [] and [tuple(row.values()) for row in back.values()] == [
        row for row in shown if any(map(str.strip, row))
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_and_ends_of_lines(tmp_path, encoding, end):
    path = saved(
        tmp_path, end.join(["번호,선택,메모", '1,예,"좋음, 정말"', ",,", "2,아니오,"]) + end, encoding
    )
    rows, problems = read_sheet(path, ("번호", "선택"))
    assert problems == []
    assert rows == {
        2: {"번호": "1", "선택": "예", "메모": "좋음, 정말"},
        4: {"번호": "2", "선택": "아니오", "메모": ""},
    }


def test_tabs_part_cells_too(tmp_path):
    assert read_sheet(saved(tmp_path, "번호\t선택\n1\t예\n"), ("번호",))[0] == {
        2: {"번호": "1", "선택": "예"}
    }


def test_a_quote_that_never_closes_costs_its_row_only(tmp_path):
    rows, problems = read_sheet(saved(tmp_path, '번호,선택,메모\n1,예,"좋음\n2,예,\n3,예,\n'), COLUMNS)
    assert [row["번호"] for row in rows.values()] == ["2", "3"]
    assert len(problems) == 1 and problems[0].startswith("2번째 줄: 따옴표가 닫히지 않았")


def test_rows_of_too_few_or_too_many_cells(tmp_path):
    path = saved(tmp_path, "번호,선택,메모\n1\n2,예,좋음,,\n3,예,좋음, 정말\n4,예,많음,더\n")
    rows, problems = read_sheet(path, COLUMNS, clear=lambda row: row["번호"] == "3")
    assert rows[2] == {"번호": "1", "선택": "", "메모": ""} and rows[3]["메모"] == rows[4]["메모"] == "좋음"
    assert list(rows) == [2, 3, 4] and problems == [
        "5번째 줄: 칸의 수가 처음 시트와 다릅니다. 쉼표와 따옴표를 확인해 주세요."
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("번호,메모\n1,2\n".encode(), "시트.csv: 선택 칸이 없습니다. 칸의 이름을"),
        (b"", "시트.csv: 파일이 비어 있습니다"),
        (b"PK\x03\x04\xff\xfe\x81", "시트.csv: 읽을 수 없습니다. 'CSV UTF-8'로"),
    ],
)
def test_a_file_that_is_no_such_sheet_is_refused_with_a_remedy(tmp_path, content, reason):
    path = tmp_path / "시트.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_sheet(path, ("번호", "선택"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Ａ", "a"), ("(b)", "b"), (" 예. ", "예"), ("같음", "같음"), ("A?", "a?"), (".", "")],
)
def test_what_leaves_no_doubt_reads_alike(written, meant):
    assert plain(written) == meant
