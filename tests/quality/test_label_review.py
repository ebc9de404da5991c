"""The blind sheet of doubted labels: it shows no label, and nothing that readers write is lost or guessed."""

from __future__ import annotations

import pandas as pd

from src.data import ANSWERABLE
from src.evaluation import Rating, rater_agreement
from src.quality import read_label_sheets, write_label_sheet

ROWS = {
    1: ("소비 전력은?", "소비 전력은 310W입니다."),
    2: ("=무게는?", "흰색입니다."),
    3: ("색은?", "흰색입니다."),
}


def filled(path, reader, *answers):
    write_label_sheet(path, ROWS)
    sheet = pd.read_csv(path, dtype=str, keep_default_na=False)
    sheet["바른 라벨"], sheet["읽은 사람"] = list(answers), reader
    sheet.to_csv(path, index=False, encoding="cp949")  # as an older Excel saves it
    return path


def test_the_sheet_shows_no_label_and_is_not_written_twice(tmp_path):
    path = tmp_path / "out" / "sheet.csv"
    assert write_label_sheet(path, ROWS)
    text = path.read_text(encoding="utf-8-sig")
    assert "답 있음" not in text and "답 없음" not in text and "'=무게는?" in text
    path.write_text("채웠다", encoding="utf-8")
    assert not write_label_sheet(path, ROWS) and path.read_text(encoding="utf-8") == "채웠다"


def test_votes_come_back_by_reader_and_problems_by_name(tmp_path):
    one = filled(tmp_path / "a.csv", "하나", "답 있음", "답 없음.", "")
    other = filled(tmp_path / "b.csv", "", " 답 있음 ", "글쎄요", "답 없음")
    votes, problems = read_label_sheets([one, other, tmp_path / "b.csv"], ANSWERABLE, list(ROWS))
    assert votes == {"하나": {1: 1, 2: 0}, "b": {1: 1, 3: 0}}  # without a name the file's
    assert any("a.csv: 4번째 줄" in told for told in problems)
    assert any("2번의 '글쎄요'" in told for told in problems)


def test_a_row_with_two_labels_counts_as_none(tmp_path):
    paths = [
        filled(tmp_path / "a.csv", "하나", "답 있음", "답 없음", "답 없음"),
        filled(tmp_path / "b.csv", "하나", "답 없음", "답 없음", "답 없음"),
    ]
    votes, problems = read_label_sheets(paths, ANSWERABLE, list(ROWS))
    assert votes == {"하나": {2: 0, 3: 0}} and "1번에 라벨을 둘" in problems[0]


def test_what_was_not_sent_out_is_named(tmp_path):
    path = filled(tmp_path / "a.csv", "하나", "답 있음", "답 없음", "답 없음")
    votes, problems = read_label_sheets([path], ANSWERABLE, [1, 2])
    assert votes == {"하나": {1: 1, 2: 0}} and "'3'번은" in problems[0]
    path.write_text("아무 글\n", encoding="utf-8")
    votes, problems = read_label_sheets([path], ANSWERABLE, [1, 2])
    assert votes == {} and len(problems) == 1


def test_readers_agreement_takes_any_names():
    same = [Rating(who, n, ANSWERABLE[n % 2]) for who in "ab" for n in range(6)]
    assert rater_agreement(same) == {"agreement": 1.0, "kappa": 1.0}
    assert rater_agreement(same[:6]) == {"agreement": None, "kappa": None}
