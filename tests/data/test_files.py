"""What is read from files in the shapes and encodings people hand over, and what is told about the rest."""

from __future__ import annotations

import csv
import json
import re
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.data import csv_rows
from src.data.files import append_jsonl, read_jsonl, read_rows, write_jsonl
from src.data.json_rows import Unreadable, iter_json
from src.data.reading import load_samples
from src.data.schemas import Reject
from src.data.validation import validate_samples


def rows_of(path, data: bytes | str):
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return list(read_rows(path))


# --- Encodings -------------------------------------------------------------------------------------------------

TEXT = "번호,질문\n1,필터는 어떻게 씻나요?\n2,똠얌꿍 맛인가요?\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_encodings(tmp_path, encoding):
    rows = rows_of(tmp_path / "qa.csv", TEXT.encode(encoding))
    assert [row["질문"] for _, row in rows] == ["필터는 어떻게 씻나요?", "똠얌꿍 맛인가요?"]


def test_every_pair_of_bytes_survives_cp949_with_escapes():
    for lead in range(256):
        for trail in range(256):
            raw = bytes((lead, trail)) + b'",\n'
            text = raw.decode("cp949", "surrogateescape")
            assert text.endswith('",\n') and text.encode("cp949", "surrogateescape") == raw


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_one_damaged_line_costs_one_row(tmp_path, encoding):
    lines = [json.dumps({"q": f"{i}번 질문입니다"}, ensure_ascii=False).encode(encoding) for i in range(20)]
    lines[7] = lines[7].replace(b"7", b"\xff\xfe")
    path = tmp_path / "qa.jsonl"
    rows = rows_of(path, b"\n".join(lines))
    bad = [(line, row) for line, row in rows if isinstance(row, Unreadable)]
    assert len(rows) == 20 and [line for line, _ in bad] == [8]
    assert "0xff" in bad[0][1].reason and "바이트" in bad[0][1].reason
    name = "utf-8" if encoding == "utf-8" else encoding
    assert bad[0][1].row["q"].encode(name, "surrogateescape") == "\x00번 질문입니다".encode(encoding).replace(
        b"\x00", b"\xff\xfe"
    )
    _, (reject,) = validate_samples(row for row in load_samples(path) if "error" in row)
    (back,) = read_jsonl(write_jsonl(tmp_path / "rejects.jsonl", [reject]), Reject)
    assert back == reject


def test_one_damaged_article_of_a_long_line_costs_its_rows_only(tmp_path):
    article = {
        "title": "가",
        "paragraphs": [{"context": "나", "qas": [{"question": "X1"}, {"question": "2"}]}],
    }
    text = json.dumps({"data": [article, article]}, ensure_ascii=False)
    rows = rows_of(tmp_path / "squad.json", text.encode().replace(b"X", b"\xb0", 1))
    assert [isinstance(row, Unreadable) for _, row in rows] == [True, False, False, False]


def test_the_encoding_that_fails_on_fewer_lines_is_taken(tmp_path):
    korean, foreign = "질문입니다".encode(), "똠방각하".encode("cp949")
    rows = rows_of(tmp_path / "a.csv", b"q\n" + (korean + b"\n") * 5 + foreign + b"\xff\n")
    assert [isinstance(row, Unreadable) for _, row in rows] == [False] * 5 + [True]
    rows = rows_of(tmp_path / "b.csv", b"q\n" + (foreign + b"\n") * 5 + b"\xff\xfe\n")
    assert [isinstance(row, Unreadable) for _, row in rows] == [False] * 5 + [True]
    assert rows[0][1] == {"q": "똠방각하"}


def test_a_character_cut_by_a_chunk_is_no_damage(tmp_path):
    for encoding in ("utf-8", "cp949"):
        text = "q\n" + "a" * (2**20 - 3) + "한글" * 10 + "\n"
        ((_, row),) = rows_of(tmp_path / "qa.csv", text.encode(encoding))
        assert row["q"].endswith("한글" * 10)


# --- JSON ------------------------------------------------------------------------------------------------------


def test_a_row_of_a_megabyte(tmp_path):
    rows = [{"q": "짧음"}, {"q": "글" * 10**6, "n": 12345}, {"q": "끝"}]
    for name, text in (
        ("qa.json", json.dumps(rows, ensure_ascii=False)),
        ("qa.jsonl", "\n".join(map(json.dumps, rows))),
    ):
        assert [row for _, row in rows_of(tmp_path / name, text)] == rows


def test_every_kind_of_value():
    text = '{"version": 1.25e-3, "data" : [ 12345678, 1.5E+10 ,-0.25, 1e5,true, null, "\\ud83d\\ude00\\n가", [], {}, {"a": [1, {}]}]\n, "x": {"data": []} } '
    assert list(iter_json(text, "qa.json")) == json.loads(text)["data"]


def test_truncated_at_every_place():
    rows = [{"a": '글"\\b', "n": [1, 2.5]}, {"b": None}, {"c": "다\n"}]
    for whole in (
        json.dumps(rows, indent=1),
        json.dumps({"v": 1, "data": rows, "w": {}}, ensure_ascii=False),
    ):
        starts = [whole.rindex("{", 0, whole.index(f'"{key}"')) for key in "abc"]
        for cut in range(1, len(whole)):
            *good, last = iter_json(whole[:cut], "qa.json")
            assert good == rows[: len(good)]
            assert isinstance(last, Unreadable) and "번째 줄" in last.reason
            assert whole[:cut].endswith(last.row)
            # A row that had begun and was not given is in the rest, from its first character.
            assert all(len(last.row) >= cut - start for start in starts[len(good) :] if start < cut)


def test_a_break_is_told_with_its_place(tmp_path):
    text = '[\n {"q": 1},\n {"q": 2,,},\n {"q": 3}\n]'
    (_, first), (line, second) = rows_of(tmp_path / "qa.json", text)
    assert first == {"q": 1} and line == 2
    assert second.reason.startswith("3번째 줄 10번째 글자") and second.row == '{"q": 2,,},\n {"q": 3}\n]'
    (row,) = [row for row in load_samples(tmp_path / "qa.json") if "error" in row]
    assert row["line"] == 2 and row["source"] == "qa.json"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("qa.json", "[]", []),
        ("qa.json", ' {"data": []}\n', []),
        ("qa.jsonl", "", []),
        ("qa.jsonl", "\n \n", []),
        ("qa.csv", "질문,답\n", []),
        ("qa.csv", "\n질문,답\n\n1,2\n", [(4, {"질문": "1", "답": "2"})]),
        ("qa.tsv", "q\ta\n1,5\t2\n", [(2, {"q": "1,5", "a": "2"})]),
        ("qa.csv", "q\ta\n1,5\t2\n", [(2, {"q": "1,5", "a": "2"})]),
    ],
)
def test_small_files(tmp_path, name, text, expected):
    assert rows_of(tmp_path / name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("qa.json", "", "비어"),
        ("qa.json", " \n", "비어"),
        ("qa.json", "{}", "data"),
        ("qa.json", '{"data": {"q": 1}}', "data"),
        ("qa.json", '"글"', "형식"),
        ("qa.json", '{"q": 1}', "jsonl"),
        ("qa.csv", "", "비어"),
        ("qa.csv", "\n\n", "비어"),
        ("qa.csv", '질문,"답\n1,2\n3,4\n', "첫 줄"),
        ("qa.parquet", "", "Parquet"),
        ("qa.txt", "q", "json"),
    ],
)
def test_files_without_rows(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        rows_of(tmp_path / name, text)


def test_numbers_beyond_python_and_json(tmp_path):
    text = '[{"a": ' + "9" * 5000 + '}, {"a": NaN}, {"a": -Infinity}, {"a": 1e999}]'
    rows = [row["a"] for _, row in rows_of(tmp_path / "qa.json", text)]
    assert rows[0] == Decimal("9" * 5000) and rows[1] != rows[1] and rows[2:] == [-float("inf"), float("inf")]
    _, rejects = validate_samples(load_samples(tmp_path / "qa.json"))
    assert len(rejects) == 4
    write_jsonl(tmp_path / "rejects.jsonl", rejects)


@pytest.mark.parametrize("depth", [70, 900, 100_000])
def test_deep_nesting_is_refused(tmp_path, depth):
    deep = '{"q": ' + "[" * depth + "]" * depth + "}"
    for name, text in (("qa.jsonl", f'{{"q": 1}}\n{deep}\n'), ("qa.json", f'[{{"q": 1}}, {deep}]')):
        rows = rows_of(tmp_path / name, text)
        assert rows[0][1] == {"q": 1} and len(rows) == 2
        assert "겹" in rows[1][1].reason and rows[1][1].row.startswith(deep)
        _, rejects = validate_samples(load_samples(tmp_path / name))
        assert len(read_jsonl(write_jsonl(tmp_path / "rejects.jsonl", rejects), Reject)) == 2


def test_deep_rows_of_other_sources_can_be_written(tmp_path):
    row: list = []
    for _ in range(300):  # pydantic refuses to dump so deep a row
        row = [row]
    _, rejects = validate_samples([{"question": row}])
    assert len(read_jsonl(write_jsonl(tmp_path / "rejects.jsonl", rejects))) == 1


def test_a_name_with_two_values_is_refused(tmp_path):
    text = '{"q": 1, "q": 2}\n{"q": 1, "q": 1}\n{"x": {"y": 1, "y": 2}}\n'
    first, second, third = [row for _, row in rows_of(tmp_path / "qa.jsonl", text)]
    assert "'q'" in first.reason and first.row == '{"q": 1, "q": 2}'
    assert second == {"q": 1} and "'y'" in third.reason
    first, second, third = [
        row for _, row in rows_of(tmp_path / "qa.csv", "질문,질문,,\n1,2,,\n1,1,a,b\n3,3,,\n")
    ]
    assert "'질문'" in first.reason and first.row == [["질문", "1"], ["질문", "2"], ["", ""], ["", ""]]
    assert second["질문"] == "1" and third["질문"] == "3"


def test_json_lines_break_at_newlines_only(tmp_path):
    rows = [{"q": "가\u2028나\x85다\x0b라"}, {"q": "마"}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert rows_of(tmp_path / "qa.jsonl", text) == [(1, rows[0]), (2, rows[1])]
    (_, row), _ = rows_of(tmp_path / "qa.jsonl", '{"q": 1} {"q": 2}\n{}')
    assert "10번째 글자" in row.reason and row.row == '{"q": 1} {"q": 2}'


# --- SQuAD -----------------------------------------------------------------------------------------------------


def test_broken_parts_of_squad_cost_themselves_only(tmp_path):
    good = {"context": "글", "qas": [{"id": "1", "question": "?"}, 7]}
    articles = [
        {"title": "가", "paragraphs": [good, {"context": "글"}, 3]},
        {"title": "나", "paragraphs": "글"},
        {"title": "다", "paragraphs": []},
        {"q": "그냥 행"},
    ]
    rows = [row for _, row in rows_of(tmp_path / "squad.json", json.dumps({"data": articles}))]
    assert rows[0] == {"title": "가", "context": "글", "id": "1", "question": "?"}
    assert [row.row for row in rows[1:5]] == [7, {"context": "글"}, 3, articles[1]]
    assert all("SQuAD" in row.reason for row in rows[1:5])
    assert rows[5:] == [{"q": "그냥 행"}]


def test_impossible_questions_are_refused_with_their_row(tmp_path):
    qa = {"guid": "k-1", "question": "어디인가요?", "is_impossible": True, "answers": [],
          "plausible_answers": [{"text": "서울", "answer_start": 0}]}  # fmt: skip
    article = {
        "title": "도시",
        "paragraphs": [{"context": "서울은 크다.", "qas": [qa, qa | {"is_impossible": False}]}],
    }
    path = tmp_path / "klue.json"
    path.write_text(json.dumps({"data": [article]}), encoding="utf-8")
    accepted, (impossible, empty) = validate_samples(load_samples(path))
    assert not accepted and impossible.row["id"] == "k-1"
    assert "is_impossible" in impossible.reason and impossible.row["row"]["plausible_answers"]
    assert empty.field == "answer"


# --- CSV -------------------------------------------------------------------------------------------------------


def test_newlines_quotes_and_nul_in_fields(tmp_path):
    text = '\ufeff질문,답\n"첫\n줄 ""인용""","a,b"\n5" 화면,x\x00y\n"",""\n'
    rows = rows_of(tmp_path / "qa.csv", text)
    assert rows == [
        (2, {"질문": '첫\n줄 "인용"', "답": "a,b"}),
        (4, {"질문": '5" 화면', "답": "x\x00y"}),
        (5, {"질문": "", "답": ""}),
    ]


def test_a_field_of_a_million_characters(tmp_path):
    ((_, row),) = rows_of(tmp_path / "qa.csv", f'질문,답\n"{"글" * 10**6}",짧음\n')
    assert len(row["질문"]) == 10**6 and row["답"] == "짧음"


@pytest.mark.parametrize(
    "bad", ['3,"열린 따옴표', '3,"닫힌" 뒤에 글', '"3,"열린', '3,"', '3,"""', '"3"x"y",z', '3,"a"b"']
)
def test_a_bad_quote_costs_one_row(tmp_path, bad):
    text = f'번호,질문\n1,하나\n2,"둘"\n{bad}\n4,넷\n5,다섯\n'
    rows = rows_of(tmp_path / "qa.csv", text)
    assert [line for line, _ in rows] == [2, 3, 4, 5, 6]
    assert [row["번호"] for _, row in rows if isinstance(row, dict)] == ["1", "2", "4", "5"]
    assert rows[2][1].row == bad and "따옴표" in rows[2][1].reason


def test_a_quote_that_never_closes_takes_in_only_so_much(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_rows, "MAX_RECORD", 200)
    lines = "".join(f"{i},글\n" for i in range(1000))
    path = tmp_path / "qa.csv"
    path.write_text(f'번호,질문\n0,"열림\n{lines}', encoding="utf-8")
    rows = list(read_rows(path))
    assert len(rows) == 1001 and sum(isinstance(row, Unreadable) for _, row in rows) == 1


def test_rows_of_a_csv_come_one_at_a_time():
    def lines():
        yield "a,b\n"
        yield "1,2\n"
        raise AssertionError("read too far")

    assert next(csv_rows.iter_csv(lines(), "qa.csv")) == (2, {"a": "1", "b": "2"})


def test_csv_module_is_not_left_with_its_small_limit():
    assert csv.field_size_limit() > 10**6


# --- Parquet ---------------------------------------------------------------------------------------------------


def test_parquet(tmp_path):
    rows = [
        {"id": f"p-{i}", "question": f"{i}번 질문인가요?", "context": f"문서 {i}", "answers": {"text": ["문서"], "answer_start": [0]}}
        for i in range(700)
    ]  # fmt: skip
    path = tmp_path / "qa.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)
    assert list(read_rows(path)) == list(enumerate(rows, start=1))
    assert load_samples(path)[699]["answer"] == "문서"


def test_text_of_a_parquet_file_that_is_no_utf8(tmp_path):
    offsets, data = pa.py_buffer(b"\0\0\0\0\x02\0\0\0\x04\0\0\0"), pa.py_buffer(b"\xff\xfeab")
    bad = pa.StringArray.from_buffers(2, offsets, data)
    path = tmp_path / "qa.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "q": bad}), path)
    (_, first), (_, second) = read_rows(path)
    assert first.row == [["id", "a"], ["q", "\udcff\udcfe"]] and second == {"id": "b", "q": "ab"}


def test_a_parquet_file_that_breaks_off(tmp_path):
    path = tmp_path / "qa.parquet"
    texts = [f"{i}번 질문 {i * 7919 % 1009}" * 9 for i in range(3000)]
    table = pa.table({"q": texts})
    pq.write_table(table, path, row_group_size=500, compression=None, use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9000] = b"\x9c" * 9000
    rows = rows_of(path, bytes(data))
    broken = [row for _, row in rows if isinstance(row, Unreadable)]
    lost = sum(int(re.search(r"까지 (\d+)행", row.reason)[1]) for row in broken)
    assert broken and len(rows) - len(broken) + lost == 3000
    assert rows[-1] == (3000, {"q": texts[-1]})
    with pytest.raises(ValueError, match="Parquet"):
        rows_of(path, bytes(data[:middle]))


# --- Our own files ---------------------------------------------------------------------------------------------


def test_damaged_lines_are_passed_over_or_told(tmp_path):
    path = tmp_path / "log.jsonl"
    good = [{"a": "가\u2028나"}, {"a": "\ud800"}, {"a": 3}]
    write_jsonl(path, good[:2])
    lines = [b"\n", b'{"a": "\xff"}\n', b"[1]\n", b"[" * 10**5 + b"\n", b'{"b": 1}\r\n', b'{"a": "torn']
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"".join(lines))  # a BOM, as an editor writes it
    append_jsonl(path, good[2:])
    damaged = []
    assert read_jsonl(path, damaged=damaged) == [*good[:2], {"b": 1}, good[2]]
    assert damaged == [(4, lines[1]), (5, lines[2]), (6, lines[3]), (8, lines[5] + b"\n")]
    with pytest.raises(ValueError, match=r"log.jsonl 4번째 줄"):
        read_jsonl(path)


def test_a_row_of_another_model_is_damaged(tmp_path):
    path = append_jsonl(tmp_path / "new" / "rejects.jsonl", [Reject(reason="하나"), {"line": 2}])
    damaged = []
    assert read_jsonl(path, Reject, damaged=damaged) == [Reject(reason="하나")]
    assert damaged == [(2, b'{"line": 2}\n')]
