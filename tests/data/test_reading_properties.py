"""Whatever is in a file: no crash, no lost row, each refusal with its reason, on the whole way to RAFT records."""

from __future__ import annotations

import csv
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.files import SUFFIXES, read_jsonl, read_rows, write_jsonl
from src.data.json_rows import Unreadable, iter_json
from src.data.reading import load_samples
from src.data.schemas import Reject
from src.data.splitting import check_leakage, split_by_group, split_shares
from src.data.validation import validate_samples
from src.raft.conversion import convert_to_raft

any_text = st.text(st.characters(codec=None), max_size=12)  # lone surrogates too
utf8_text = st.text(st.characters(codec="utf-8"), max_size=12)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "id", "guid", "번호", "product", "title", "q", "question", "doc", "context", "a", "answer", "answers",
    "answer_start", "is_impossible", "topic", "source", "line", "error", "row", "warnings",
]  # fmt: skip
good = st.fixed_dictionaries(
    {
        "id": st.integers(0, 30) | st.text(min_size=1, max_size=4),
        "product": st.integers(0, 12).map("제품 {}".format),
        "question": st.integers(0, 10**6).map("{}번 제품의 소비 전력은 얼마인가요?".format),
        "context": st.integers(0, 40).map(
            "제품 {0}의 안내문입니다. 소비 전력은 {0}W입니다. 색상은 하늘색입니다.".format
        ),
        "answer": st.integers(0, 40).map("{}W입니다.".format) | st.just("하늘색"),
    }
)
wild = st.dictionaries(st.sampled_from(FIELDS) | any_text, anything, max_size=6)
rows_of_any_kind = st.lists(good | wild | st.builds(lambda a, b: a | b, good, wild) | anything, max_size=8)


def walk(rows, tmp_path):
    """Loaded rows through every later step; nothing may get lost."""
    accepted, rejects = validate_samples(rows)
    assert len(accepted) + len(rejects) == len(rows)
    assert all(reject.reason and "Input should" not in reject.reason for reject in rejects)
    back = read_jsonl(write_jsonl(tmp_path / "rejects.jsonl", rejects), Reject)
    assert [(r.source, r.line, r.field, r.reason) for r in back] == [
        (r.source, r.line, r.field, r.reason) for r in rejects
    ]
    try:
        sides = split_by_group(accepted, validation_ratio=0.2, test_ratio=0.2, seed=1)
    except ValueError as error:
        assert "독립인 묶음" in str(error)
        return
    check_leakage(sides)
    assert sum(side["rows"] for side in split_shares(sides)) == len(accepted)
    for samples in sides.values():
        records, refused = convert_to_raft(
            samples, tokenizer=Characters(), num_distractors=1, golden_probability=0.5, max_context_tokens=150
        )
        assert sorted([r.id for r in records] + [r.row["id"] for r in refused]) == sorted(
            s.id for s in samples
        )
        assert all(reject.reason for reject in refused)


class Characters:
    """A tokenizer whose tokens are characters."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(char) for char in text]


@settings(max_examples=60)
@given(rows_of_any_kind)
def test_json_and_json_lines(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    (folder / "qa.json").write_text(json.dumps({"data": rows}), encoding="utf-8")
    (folder / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    articles = sum(isinstance(row, dict) and "paragraphs" in row for row in rows)
    for name in ("qa.json", "qa.jsonl"):
        loaded = load_samples(folder / name)
        assert len(loaded) == len(rows) or (name == "qa.json" and articles)
        walk(loaded, folder)


@given(st.lists(anything, max_size=6), st.sampled_from([None, 1, "\t"]))
def test_an_array_read_row_by_row_is_the_array(rows, indent):
    text = json.dumps(rows, indent=indent)
    assert repr(list(iter_json(text, "qa.json"))) == repr(
        json.loads(text)
    )  # repr: NaN is not equal to itself


@given(rows_of_any_kind, st.floats(0, 1), st.sampled_from(["cut", "hole", "twice"]))
def test_broken_json_gives_the_rows_before_the_break(tmp_path_factory, rows, where, how):
    text = json.dumps(rows)
    place = int(where * len(text))
    text = {"cut": text[:place], "hole": text[:place] + text[place + 1 :], "twice": text + text}[how]
    path = tmp_path_factory.mktemp("rows") / "qa.json"
    path.write_text(text, encoding="utf-8")
    try:
        read = [row for _, row in read_rows(path)]
    except ValueError as error:
        assert "qa.json" in str(error)
        assert not text.lstrip().startswith(("[", "{")) or "형식" in str(error)
        return
    try:
        whole = json.loads(text)
    except ValueError:
        assert isinstance(read[-1], Unreadable) and text.endswith(read[-1].row)
    else:
        assert isinstance(whole, (list, dict))


@given(
    st.lists(st.lists(utf8_text, min_size=3, max_size=3), max_size=6),
    st.sampled_from([",", "\t"]),
    st.booleans(),
)
def test_csv_gives_back_what_was_written(tmp_path_factory, values, delimiter, bom):
    path = tmp_path_factory.mktemp("rows") / ("qa.csv" if delimiter == "," else "qa.tsv")
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([["질문", "b", "c"], *values])
    read = [row for _, row in read_rows(path)]
    assert [list(row.values()) for row in read] == values
    walk(load_samples(path), path.parent)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            good, st.sampled_from(["utf-8", "utf-8", "cp949", "latin-1", "utf-16-le"]), st.binary(max_size=3)
        ),
        max_size=8,
    )
)
def test_lines_in_wrong_encodings(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("rows") / "qa.jsonl"
    raw = []
    for row, encoding, noise in lines:
        text = json.dumps({key: str(value) for key, value in row.items()}, ensure_ascii=False)
        data = text.encode(encoding, "replace") + noise
        raw.append(data.replace(b"\n", b"").replace(b"\r", b""))
    path.write_bytes(b"\n".join(raw))
    walk(load_samples(path), path.parent)


@settings(max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_any_bytes_in_any_kind_of_file(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("rows") / f"qa{suffix}"
    path.write_bytes(data)
    try:
        rows = load_samples(path)
    except ValueError as error:
        assert "qa" in str(error)
        return
    walk(rows, path.parent)


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_every_line_of_json_lines_is_one_row(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("rows") / "qa.jsonl"
    lines = [
        b'{"q": "' + line.replace(b"\n", b"").replace(b"\r", b"").replace(b"\x00", b"") + b'"}'
        for line in lines
    ]
    path.write_bytes(b"\n".join(lines))
    assert [line for line, _ in read_rows(path)] == list(range(1, len(lines) + 1))
    for raw, (_, row) in zip(lines, read_rows(path), strict=True):
        if isinstance(row, Unreadable) and "바이트" in row.reason and b"\\" not in raw:
            encoding = "cp949" if "CP949" in row.reason else "utf-8"
            assert row.row["q"].encode(encoding, "surrogateescape") == raw[7:-2]  # no byte is lost


@settings(max_examples=30)
@given(st.lists(good, max_size=8))
def test_parquet(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "qa.parquet"
    rows = [{key: str(value) for key, value in row.items()} for row in rows]
    schema = pa.schema([(name, pa.string()) for name in ("id", "product", "question", "context", "answer")])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    assert [row for _, row in read_rows(path)] == rows
    walk(load_samples(path), path.parent)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_one_row_and_rows_of_a_megabyte(tmp_path, suffix):
    row = {"id": "1", "question": "무엇이 들어 있나요?", "context": "글" * 10**6, "answer": "글"}
    path = tmp_path / f"qa{suffix}"
    if suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([row.keys(), row.values()])
    else:
        path.write_text(json.dumps([row] if suffix == ".json" else row), encoding="utf-8")
    loaded = load_samples(path)
    accepted, (reject,) = validate_samples(loaded)
    assert not accepted and reject.field == "context" and "1,000,000자" in reject.reason
    (accepted,), _ = validate_samples(loaded, max_context_length=10**7)
    assert accepted.context == row["context"]


def test_the_same_files_give_the_same_rows(tmp_path):
    rng = random.Random(0)
    rows = [{"id": rng.randint(0, 9), "q": "물음 " * 3, "doc": f"문서는 {i}", "a": "문서"} for i in range(50)]
    path = tmp_path / "qa.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert load_samples(path) == load_samples(path)
    assert validate_samples(load_samples(path)) == validate_samples(load_samples(path))
