"""Which columns of a notebook's tables read from the left; what it says about its model and data."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from raft_records import record

from src.classroom import intro
from src.classroom.intro import about_data, about_model, frame_html, numeric, show_labels, show_table
from src.profiles import PROFILES


@pytest.mark.parametrize(
    "values, expected",
    [
        ([1, 2.5, float("nan")], True),
        (["+12", "–", "<0.001", "0–100", ""], True),
        ([[0.1, 0.3], 4], True),
        ([True, False], False),
        (["12개", 3], False),
        (["나아짐"], False),
        ([], True),
    ],
)
def test_what_counts_as_numbers(values, expected):
    assert numeric(values) is expected


def left_places(page: str) -> list[str]:
    return re.findall(r"nth-last-child\((.+?)\)", page)


def test_text_columns_and_labels_read_from_the_left():
    frame = pd.DataFrame({"질문": ["<b>가</b>"], "차이": [0.5], "판정": ["나아짐"]})
    page = frame_html(frame)
    assert left_places(page) == ["3", "1"]
    assert "&lt;b&gt;가" in page and "<b>가" not in page
    assert frame._repr_html_() in page  # pandas' own table, number formats and all
    assert left_places(frame_html(frame.set_index("질문"))) == ["1", "n+3"]
    many = frame.set_index(["판정", "차이"])  # a text level and a number level
    assert left_places(frame_html(many)) == ["1", "n+2"]


def test_numbers_stay_as_pandas_shows_them():
    frame = pd.DataFrame({"가": [1], "나": [0.25]})
    assert frame_html(frame) == frame._repr_html_()


def test_the_name_of_the_index_is_in_the_one_header_row():
    page = frame_html(pd.DataFrame({"차이": [0.5]}, index=pd.Index(["BLEU"], name="지표")))
    assert page.split("<tbody>")[0].count("<tr") == 1 and ">지표<" in page.split("<tbody>")[0]


def test_odd_tables_are_shown_too():
    pair = pd.DataFrame([["가", "나"]], columns=["질문", "질문"], index=[3])
    assert left_places(frame_html(pair)) == ["2", "1"]
    wide = pd.DataFrame([["가"] * 50])
    with pd.option_context("display.max_columns", 20):  # what a kernel has
        assert frame_html(wide) == wide._repr_html_()  # pandas leaves columns out: places would not fit
    assert ">가<" in frame_html(pd.DataFrame({"가": []}))
    levels = pd.DataFrame([["가", 1]], columns=pd.MultiIndex.from_tuples([("위", "아래"), ("위", "옆")]))
    assert left_places(frame_html(levels)) == ["2"]
    long = pd.DataFrame({"글": ["가"] * 500})
    assert frame_html(long).count("<tr>") < 20


def test_a_kernel_shows_tables_so_from_then_on(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    intro.read_from_the_left()
    shown, _ = shell.display_formatter.format(pd.DataFrame({"판정": ["나아짐"]}))
    assert left_places(shown["text/html"]) == ["1"]
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    intro.read_from_the_left()  # outside a notebook there is nothing to do


def test_show_table_puts_numbers_to_the_right_and_shows_all():
    rows = [("가" * 100, 1234, "1,000"), ("<b>\n나", 5, "–")] * 50
    page = frame_html(show_table(rows, ["글", "수", "글로 쓴 수"]))
    assert left_places(page) == ["3"]
    assert "1,234" in page and "&lt;b&gt;\n나" in page and "<b>" not in page
    assert page.count("<td>") == 300 and "가" * 100 in page  # pandas leaves out rows and cuts texts
    assert page.count("<th>") == 3  # no index
    assert "글" in frame_html(show_table([], ["글"]))


def test_a_kernel_shows_show_table_so(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    intro.read_from_the_left()
    shown, _ = shell.display_formatter.format(show_table([("가", 1)], ["글", "수"]))
    assert left_places(shown["text/html"]) == ["2"]


# --- What model and data are ---------------------------------------------------------------------------------------


def test_the_model_is_called_what_the_registry_knows_of_it():
    small, large = (about_model(PROFILES[name]) for name in ("tiny", "rtx4090"))
    assert "만 개" in small and "이 워크숍이" in small
    assert "EXAONE-3.0-7.8B-Instruct" in large and "78억 개" in large and "공개된 모델" in large


def test_the_data_is_called_what_its_sources_are():
    ours = [record(n, source="support_qa.csv") for n in range(3)]
    assert about_data(ours) == "데이터: 레코드 3개 = 규칙으로 만든 가상의 가전 회사 자료 3개(100%)"
    mixed = about_data([*ours, record(4, source="KorQuAD/squad_kor_v1:train")])
    assert "가전 회사 자료 3개(75%) + KorQuAD/squad_kor_v1 1개(25%)" in mixed
    assert "가상" not in about_data([record(5, source="my.csv"), record(6)])


def test_labels_in_colour_say_what_is_learned(tokenizer):
    row = {"input_ids": tokenizer.encode("<질문> 네.", add_special_tokens=False)}
    row["labels"] = [-100, *row["input_ids"][1:]]
    page = show_labels(row, tokenizer).data
    assert "&lt;" in page and "<질문>" not in page  # what looks like a tag is text
    spans = re.findall(r"background:(#\w+)[^>]*>([^<]*)</span>", page)
    assert [colour for colour, _ in spans] == ["#eceff1"] + ["#a5d6a7"] * (len(spans) - 1) and len(spans) > 2
