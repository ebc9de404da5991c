"""Answers in a CSV file: found again, and nothing lost where the file was cut, emptied, or is another's."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.generation.call_sheet import COLUMNS, CsvAnswerCache, open_cache, read_call_sheet

IDENTITY = {"model": "어딘가/tiny", "adapter": "a1", "max_new_tokens": 8}
PROMPTS = [f"{number:064x}" for number in range(4)]
ANSWERS = dict(zip(PROMPTS, ["310W", '두 줄\n"따옴표", 쉼표', "=SUM(A1)", "'네\\n\r\ufffd"], strict=True))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "calls.csv"


def cache(path, label="그대로", **changed):
    return CsvAnswerCache(path, IDENTITY | changed, label)


def test_answers_are_found_again_and_a_spreadsheet_can_read_them(path):
    cache(path).add(ANSWERS, dict.fromkeys(PROMPTS, (200, 5)))
    assert cache(path, label="다른 이름").answers == ANSWERS
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == len(path.read_bytes().splitlines()) - 1 == 4
    first = rows[0]
    assert (first["이름"], first["모델"], first["입력 토큰"], first["출력 토큰"]) == (
        "그대로",
        "tiny + 어댑터",
        "200",
        "5",
    )
    assert rows[2]["답"] == "'=SUM(A1)"  # no formula


def test_a_kept_answer_is_not_written_twice(path):
    cache(path).add(ANSWERS)
    size = path.stat().st_size
    again = cache(path)
    again.add({PROMPTS[0]: "다른 답"})
    assert path.stat().st_size == size and again.answers[PROMPTS[0]] == "310W"


def test_other_models_settings_and_prompts_share_the_file_and_keep_their_own(path):
    cache(path).add(ANSWERS)
    other = cache(path, adapter=None)
    assert other.answers == {}
    other.add({PROMPTS[0]: "베이스의 답"})
    assert cache(path).answers == ANSWERS and cache(path, adapter=None).answers == {PROMPTS[0]: "베이스의 답"}
    assert len(read_call_sheet(path).rows) == 5


@pytest.mark.parametrize("cut", [1, 20, 64, 66, 100, 140, 160])
def test_a_last_line_that_was_cut_costs_that_answer_only(path, cut):
    cache(path).add(ANSWERS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    found = read_call_sheet(path)
    torn = cut > 1  # the line's own end may be missing without harm
    assert len(found.rows) == (3 if torn else 4) and found.damaged == ([5] if torn else [])
    again = cache(path)
    assert again.answers == {prompt: ANSWERS[prompt] for prompt in PROMPTS[: len(found.rows)]}
    again.add(ANSWERS)
    assert cache(path).answers == ANSWERS
    assert path.read_bytes().startswith(whole[:-cut])  # whatever stood there still does


def test_a_line_cut_within_an_open_quote_or_a_letter_does_not_swallow_the_next(path):
    cache(path).add(ANSWERS)
    line = path.read_bytes().splitlines(keepends=True)[2]
    start = line.index('"두'.encode())
    for end in (start + 2, start + 4, start + 5, len(line) - 30):
        path.write_bytes(path.read_bytes() + line[:end])
        cache(path).add({f"{end:064x}": "새 답"})
        assert cache(path).answers[f"{end:064x}"] == "새 답"
    found = read_call_sheet(path)
    assert len(found.damaged) == 4 and len(found.rows) == 8


@pytest.mark.parametrize("content", ["", "\n \n", ",".join(COLUMNS)[:9], "\ufeff"])
def test_an_empty_file_or_a_cut_first_line_is_begun_anew(path, content):
    path.write_text(content, encoding="utf-8-sig" if content.startswith("이름") else "utf-8")
    assert read_call_sheet(path).empty and cache(path).answers == {}
    cache(path).add(ANSWERS)
    assert cache(path).answers == ANSWERS and not read_call_sheet(path).damaged


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_a_file_of_something_else_is_left_alone(path, encoding):
    path.write_text("번호,질문,답\n1,얼마인가요?,310W\n", encoding=encoding)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="파일은 그대로 있습니다"):
        cache(path)
    assert path.read_bytes() == before


def test_what_a_spreadsheet_saved_again_is_still_read(path):
    cache(path).add(ANSWERS)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert cache(path).answers == ANSWERS
    cache(path).add({"f" * 64: "하나 더"})
    assert cache(path).answers == ANSWERS | {"f" * 64: "하나 더"}


def test_no_file_yet_and_the_form_follows_the_name(path, tmp_path):
    assert cache(path).answers == {} and not read_call_sheet(path).empty
    assert isinstance(open_cache(path, IDENTITY, "이름"), CsvAnswerCache)
    assert not isinstance(open_cache(tmp_path, IDENTITY, "이름"), CsvAnswerCache)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), min_size=1, max_size=4))
def test_any_answer_comes_back_as_it_was(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("any") / "calls.csv"
    answers = {f"{number:064x}": text for number, text in enumerate(texts)}
    cache(path, label="=이름").add(answers)
    assert cache(path).answers == answers
