"""The rating sheet: blind, shuffled, safe to open, and every rating that comes back counted or named."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.schemas import RaftRecord
from src.data.sheets import safe_cell
from src.evaluation.agreement import preference_verdict, summarize_ratings
from src.evaluation.ratings import COLUMNS, TIE, Rating, read_ratings, write_rating_sheet

N = 12


def records(n=N, question="질문 {}번은 무엇인가요?"):
    return [
        RaftRecord(
            id=f"r{i}",
            instruction="답하세요.",
            context=[f"문서 {i}입니다."],
            question=question.format(i),
            answer="문맥에 따르면 예입니다.",
            group_id=f"g{i}",
            golden_index=0,
            answerable=True,
            n_tokens=0,
            seed=0,
        )
        for i in range(n)
    ]


@pytest.fixture
def sheet(tmp_path):
    base, tuned = [f"베이스 답 {i}" for i in range(N)], [f"튜닝 답 {i}" for i in range(N)]
    return write_rating_sheet(tmp_path, records(), base, tuned, n=10, seed=3)


def rows_of(path):
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def key_of(sheet):
    return json.loads(sheet.key.read_text(encoding="utf-8"))


def fill(sheet, path, choices, rater="김", encoding="utf-8-sig"):
    """A sheet that came back: ``choices`` by number."""
    rows = rows_of(sheet.csv)
    for row in rows:
        row |= {"선택": choices.get(int(row["번호"]), ""), "평가자": rater}
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


# --- Out -------------------------------------------------------------------------------------------------------


def test_the_sheet_is_shuffled_balanced_and_says_nowhere_whose_answer_it_is(sheet):
    rows, key = rows_of(sheet.csv), key_of(sheet)
    assert [row["번호"] for row in rows] == [str(i) for i in range(1, 11)]
    assert [key["questions"][row["번호"]]["id"] for row in rows] != sorted(
        (entry["id"] for entry in key["questions"].values()), key=lambda name: int(name[1:])
    )
    assert Counter(entry["A"] for entry in key["questions"].values()) == {"tuned": 5, "base": 5}
    for row in rows:
        entry = key["questions"][row["번호"]]
        number = entry["id"][1:]
        answers = {"base": f"베이스 답 {number}", "tuned": f"튜닝 답 {number}"}
        assert (row["답 A"], row["답 B"]) == (answers[entry["A"]], answers[entry["B"]])
        assert row["질문"] == f"질문 {number}번은 무엇인가요?" and row["선택"] == ""
    for path in (sheet.csv, sheet.page):
        text = path.read_text(encoding="utf-8-sig")
        assert "tuned" not in text and "base" not in text.replace("베이스", "")
    assert sheet.key.parent != sheet.csv.parent


def test_equal_input_gives_the_same_files_and_another_seed_another_sheet(tmp_path):
    answers = [f"가 {i}" for i in range(N)], [f"나 {i}" for i in range(N)]
    first, again, other = (
        write_rating_sheet(tmp_path / folder, records(), *answers, n=8, seed=seed)
        for folder, seed in (("1", 1), ("2", 1), ("3", 2))
    )
    for one, two in zip(first, again, strict=True):
        assert one.name == two.name and one.read_bytes() == two.read_bytes()
    assert other.csv.name != first.csv.name


def test_a_sheet_that_is_being_filled_in_is_never_overwritten(sheet, tmp_path):
    fill(sheet, sheet.csv, {1: "A"})
    base, tuned = [f"베이스 답 {i}" for i in range(N)], [f"튜닝 답 {i}" for i in range(N)]
    again = write_rating_sheet(tmp_path, records(), base, tuned, n=10, seed=3)
    assert again == sheet and rows_of(sheet.csv)[0]["선택"] == "A"
    other = write_rating_sheet(tmp_path, records(), base, tuned[::-1], n=10, seed=3)
    assert other.csv != sheet.csv


def test_equal_answers_are_counted_and_not_asked(tmp_path):
    base, tuned = ["같은 답"] * N, ["같은 답."] * (N - 2) + ["다른 답"] * 2
    sheet = write_rating_sheet(tmp_path, records(), base, tuned, n=10, seed=0)
    assert len(rows_of(sheet.csv)) == 2 and key_of(sheet)["equal_answers"] == N - 2
    with pytest.raises(ValueError, match="모두 같아서"):
        write_rating_sheet(tmp_path, records(), base, base, n=10, seed=0)
    with pytest.raises(ValueError, match="수가 다릅니다"):
        write_rating_sheet(tmp_path, records(), base[1:], base, n=10, seed=0)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "  ="])
def test_no_cell_runs_as_a_formula(tmp_path, start):
    evil = f"{start}HYPERLINK(1)"
    assert safe_cell(evil) == f"'{evil}" and safe_cell("310W - 2개") == "310W - 2개"
    sheet = write_rating_sheet(tmp_path, records(1, evil), [evil], ["답"], n=1, seed=0)
    row = rows_of(sheet.csv)[0]
    assert not any(cell.lstrip(" ").startswith(start.strip(" ")) for cell in row.values() if cell)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = Counter(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_escapes_what_models_wrote_and_talks_to_nobody(tmp_path):
    evil = "</p></form><script>alert('x')</script><img src=x onerror=\"alert(1)\"> \ud83d"
    sheet = write_rating_sheet(tmp_path, records(3, evil + "{}"), [evil] * 3, ["답"] * 3, n=3, seed=0)
    text = sheet.page.read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags["script"] == 1 and page.tags["img"] == 0 and page.tags["fieldset"] == 3
    assert page.tags["input"] == 1 + 3 * (3 + 1)  # name; three radio buttons and a note
    assert not [
        name for name, _ in page.attributes if name in ("src", "href", "action") or name.startswith("on")
    ]
    assert "default-src 'none'" in text and "alert('x')" in "".join(page.text)
    assert "fetch(" not in text and "http" not in text.replace("http-equiv", "")


@given(st.text(max_size=40))
def test_any_answer_makes_a_page_with_every_question(tmp_path_factory, text):
    sheet = write_rating_sheet(
        tmp_path_factory.mktemp("s"), records(2), [text + "가"] * 2, ["나나"] * 2, n=2, seed=0
    )
    page = Page(sheet.page.read_text(encoding="utf-8"))
    assert page.tags["fieldset"] == 2 and page.tags["script"] == 1
    assert len(rows_of(sheet.csv)) == 2


# --- Back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8", "cp949"])
def test_a_filled_sheet_comes_back_whole(sheet, tmp_path, encoding):
    choices = {i: ("A", "b", " 같음 ")[i % 3] for i in range(1, 11)}
    ratings, problems = read_ratings(
        [fill(sheet, tmp_path / "김.csv", choices, encoding=encoding)], sheet.key
    )
    assert problems == []
    assert ratings == [Rating("김", i, ("A", "B", TIE)[i % 3]) for i in range(1, 11)]


def test_a_csv_of_the_page_comes_back_too(sheet, tmp_path):
    name = key_of(sheet)["sheet"]
    path = tmp_path / "ratings.csv"
    lines = [
        '"시트","번호","선택","평가자","메모"',
        *(f'"{name}","{i}","A","이","좋음, ""정말"""' for i in range(1, 11)),
    ]
    path.write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    ratings, problems = read_ratings([path], sheet.key)
    assert problems == [] and len(ratings) == 10 and {r.rater for r in ratings} == {"이"}


def test_what_is_missing_or_unclear_is_named(sheet, tmp_path):
    path = fill(sheet, tmp_path / "박.csv", {1: "A", 2: "C", 3: "B"}, rater="")
    text = path.read_text(encoding="utf-8-sig")
    again = next(line for line in text.splitlines() if ",3," in line[:20])
    other = again.replace(",B,", ",A,")
    extra = again.replace(",3,", ",99,", 1)
    path.write_text(text + other + "\n" + extra + "\n", encoding="utf-8-sig")
    ratings, problems = read_ratings([path], sheet.key)
    assert ratings == [Rating("박", 1, "A")]  # the file's name where nobody wrote one
    told = "\n".join(problems)
    assert "2번의 선택 'C'" in told and "두 번 고른 문항: 3" in told and "'99'번 문항은" in told
    assert "비워 둔 문항 7개: 4, 5, 6, 7, 8, 9, 10" in told and len(problems) == 4


def test_files_that_do_not_count_are_named(sheet, tmp_path):
    other = write_rating_sheet(tmp_path / "o", records(), ["가"] * N, ["나"] * N, n=10, seed=9)
    wrong = fill(other, tmp_path / "다른.csv", dict.fromkeys(range(1, 11), "A"))
    short = tmp_path / "짧음.csv"
    short.write_text("시트,번호\nx,1\n", encoding="utf-8")
    empty, binary = tmp_path / "빈.csv", tmp_path / "엑셀.csv"
    empty.write_text("", encoding="utf-8")
    binary.write_bytes(b"PK\x03\x04\xff\xfe\x81")
    ratings, problems = read_ratings([wrong, short, empty, binary], sheet.key)
    assert ratings == [] and len(problems) == 4
    assert "다른 시트" in problems[0] and "선택" in problems[1] and "비어 있습니다" in problems[2]
    assert "읽을 수 없습니다" in problems[3]


def test_there_is_a_folder_for_what_comes_back(sheet):
    assert (sheet.csv.parent / "returned").is_dir()


@pytest.mark.parametrize("blank", [",,,,", ",,,,,,,,", ",,,,,,,,,,,,", " , ,,,,,,,", ""])
def test_empty_rows_are_not_there(sheet, tmp_path, blank):
    path = fill(sheet, tmp_path / "김.csv", dict.fromkeys(range(1, 11), "A"))
    text = path.read_text(encoding="utf-8-sig")
    head, rest = text.split("\n", 1)
    path.write_text(f"{head}\n{blank}\n{rest}{blank}\n{blank}\n", encoding="utf-8-sig")
    ratings, problems = read_ratings([path], sheet.key)
    assert problems == [] and len(ratings) == 10


def page_csv(sheet, path, rows):
    """A CSV as the page saves it; ``rows`` hold what stands after the sheet's name."""
    name = key_of(sheet)["sheet"]
    lines = ["시트,번호,선택,평가자,메모", *(f"{name},{row}" for row in rows)]
    path.write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig", newline="")
    return path


def test_a_sheet_without_a_filled_row_says_so(sheet, tmp_path):
    ratings, problems = read_ratings([page_csv(sheet, tmp_path / "빈.csv", [])], sheet.key)
    assert ratings == [] and problems == ["빈.csv: 채운 행이 없습니다. 나누어 준 시트를 채워서 돌려주세요."]


@pytest.mark.parametrize("broken", [2, 10])
def test_a_quote_that_never_closes_is_named_and_costs_its_row_only(sheet, tmp_path, broken):
    rows = [f"{i},A,김,{chr(34) * (i == broken)}좋음" for i in range(1, 11)]
    ratings, problems = read_ratings([page_csv(sheet, tmp_path / "김.csv", rows)], sheet.key)
    assert [rating.number for rating in ratings] == [i for i in range(1, 11) if i != broken]
    assert len(problems) == 2 and problems[0].startswith(f"김.csv: {broken + 1}번째 줄: 따옴표가 닫히지 않았")
    assert problems[1] == f"김 님이 비워 두었거나 읽지 못한 문항 1개: {broken}"


def test_a_broken_quote_before_a_cell_of_several_lines_loses_no_other_row(tmp_path):
    many = [record.model_copy(update={"context": ["하나", "둘", "셋, 넷"]}) for record in records()]
    sheet = write_rating_sheet(tmp_path, many, ["가"] * N, ["나"] * N, n=10, seed=3)
    path = fill(sheet, tmp_path / "김.csv", dict.fromkeys(range(1, 11), "A"))
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text.replace('[문서 3] 셋, 넷"', "[문서 3] 셋, 넷", 1), encoding="utf-8-sig")
    ratings, problems = read_ratings([path], sheet.key)
    assert [rating.number for rating in ratings] == list(range(2, 11))
    assert "2번째 줄: 따옴표가" in problems[0] and "못한 문항 1개: 1" in problems[-1]


def test_a_long_note_is_no_error(sheet, tmp_path):
    rows = [f"{i},A,김,{'좋' * 200_000 if i == 3 else ''}" for i in range(1, 11)]
    ratings, problems = read_ratings([page_csv(sheet, tmp_path / "김.csv", rows)], sheet.key)
    assert problems == [] and len(ratings) == 10


@pytest.mark.parametrize(
    ("written", "choice"),
    [("Ａ", "A"), ("ｂ", "B"), ("B.", "B"), ("A)", "A"), ("(b)", "B"), (" 같음. ", TIE), ("같음", TIE)],
)
def test_a_choice_that_leaves_no_doubt_counts(sheet, tmp_path, written, choice):
    rows = [f"{i},{written},김," for i in range(1, 11)]
    ratings, problems = read_ratings([page_csv(sheet, tmp_path / "김.csv", rows)], sheet.key)
    assert problems == [] and {rating.choice for rating in ratings} == {choice}


@pytest.mark.parametrize("written", ["A?", "AB", "A/B", ".", "C."])
def test_a_choice_in_doubt_is_named_and_not_guessed(sheet, tmp_path, written):
    path = page_csv(sheet, tmp_path / "김.csv", [f"{i},{written},김," for i in range(1, 11)])
    ratings, problems = read_ratings([path], sheet.key)
    assert ratings == [] and len(problems) == 10 and f"선택 '{written}'을(를)" in problems[0]


def test_rows_of_too_few_or_too_many_cells_count_where_they_are_clear(sheet, tmp_path):
    rows = [
        "1,A",
        "2,B,김",
        "3,A,김,좋음, 정말",
        "4,A,김,,,,",
        "5,좋음,A,김,,밀림",
        *(f"{i},A,김," for i in range(6, 11)),
    ]
    ratings, problems = read_ratings([page_csv(sheet, tmp_path / "김.csv", rows)], sheet.key)
    assert sorted(rating.number for rating in ratings) == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert "6번째 줄: 칸의 수가" in problems[0] and "못한 문항 1개: 5" in problems[1] and len(problems) == 2


def test_a_column_that_stands_twice_is_named(sheet, tmp_path):
    path = page_csv(sheet, tmp_path / "김.csv", ["1,A,김,B", "2,A,김,A"])
    path.write_text(path.read_text(encoding="utf-8").replace("메모", "선택"), encoding="utf-8")
    ratings, problems = read_ratings([path], sheet.key)
    assert [rating.number for rating in ratings] == [2] and "2번째 줄: '선택' 칸이 두 번" in problems[0]


def test_a_row_of_another_sheet_does_not_cost_the_others(sheet, tmp_path):
    path = page_csv(sheet, tmp_path / "김.csv", [f"{i},A,김," for i in range(1, 11)])
    path.write_text(path.read_text(encoding="utf-8") + "다른것,1,B,김,\n", encoding="utf-8")
    ratings, problems = read_ratings([path], sheet.key)
    assert len(ratings) == 10 and len(problems) == 1 and "12번째 줄: 시트 칸이" in problems[0]


@given(st.text(alphabet='",\r\n\tA시 1', max_size=60))
def test_whatever_stands_in_the_middle_never_stops_the_reader(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("r")
    sheet = write_rating_sheet(folder, records(2), ["가"] * 2, ["나"] * 2, n=2, seed=0)
    path = page_csv(sheet, folder / "김.csv", ["1,A,김,", f"2,{text}"])
    ratings, problems = read_ratings([path], sheet.key)
    assert Rating("김", 1, "A") in ratings or any("두 번" in problem for problem in problems)
    assert len(ratings) == 2 or problems


# --- What it adds up to ----------------------------------------------------------------------------------------


def chosen(sheet, system_by_number, rater):
    """Ratings for whoever stands there."""
    questions = key_of(sheet)["questions"]
    sides = {number: {entry["A"]: "A", entry["B"]: "B"} for number, entry in questions.items()}
    return [Rating(rater, n, TIE if s == "tie" else sides[str(n)][s]) for n, s in system_by_number.items()]


def test_preference_by_hand(sheet):
    votes = dict.fromkeys(range(1, 9), "tuned") | {9: "base", 10: "tie"}
    summary = summarize_ratings(chosen(sheet, votes, "김"), sheet.key)
    assert (summary["tuned"], summary["base"], summary["tie"], summary["rated"]) == (8, 1, 1, 10)
    assert summary["preference"] == pytest.approx(8 / 9)
    # Wilson: (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)
    p, n, z = 8 / 9, 9, 1.959963984540054
    middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    expected = [(middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)]
    assert summary["interval"] == pytest.approx(expected)
    assert summary["p_value"] == pytest.approx(2 * (9 + 1) / 2**9)  # 8 or 9 of 9 heads, both sides
    assert summary["agreement"] is None and summary["kappa"] is None
    assert preference_verdict(summary).startswith("사람들은 튜닝한 모델")


def test_several_raters_of_a_question_count_once(sheet):
    votes = {n: ("tuned" if n <= 5 else "base") for n in range(1, 11)}
    three = [rating for rater in "가나다" for rating in chosen(sheet, votes, rater)]
    one = chosen(sheet, votes, "가")
    assert summarize_ratings(three, sheet.key)["interval"] == summarize_ratings(one, sheet.key)["interval"]
    split = chosen(sheet, {1: "tuned"}, "가") + chosen(sheet, {1: "base"}, "나")
    summary = summarize_ratings(split, sheet.key)
    assert summary["tie"] == 1 and summary["preference"] is None
    assert "아직" in preference_verdict(summary)
    assert "근거가 없습니다" in preference_verdict(summarize_ratings(one, sheet.key))
    worse = summarize_ratings(chosen(sheet, dict.fromkeys(range(1, 11), "base"), "가"), sheet.key)
    assert preference_verdict(worse).startswith("사람들은 베이스 모델")


def test_nothing_but_ties_is_an_answer_and_says_so(sheet):
    def verdict(rated):
        return preference_verdict(summarize_ratings([Rating("가", n, TIE) for n in rated], sheet.key))

    assert "평가된 10문항이 모두 무승부" in verdict(range(1, 11)) and "근거가 없습니다" in verdict(
        range(1, 11)
    )
    assert "아직" not in verdict(range(1, 11)) and "다시 실행" not in verdict(range(1, 11))
    assert "평가된 6문항이 모두 무승부" in verdict(range(1, 7)) and "아직 4문항이 남았" in verdict(
        range(1, 7)
    )
    assert "돌아온 선택이 없습니다" in verdict([]) and "다시 실행" in verdict([])


def test_agreement_by_hand(sheet):
    def ratings(rater, choices):
        return [Rating(rater, number, choice) for number, choice in enumerate(choices, start=1)]

    # Six of ten equal; by chance 0.5 · 0.5 + 0.5 · 0.5 would be: κ = (0.6 - 0.5) / (1 - 0.5)
    pair = ratings("가", "AAAAABBBBB") + ratings("나", "AAABBBBBAA")
    summary = summarize_ratings(pair, sheet.key)
    assert summary["agreement"] == pytest.approx(0.6) and summary["kappa"] == pytest.approx(0.2)
    # A third who repeats the first: pairs with κ 0.2, 1 and 0.2
    summary = summarize_ratings(pair + ratings("다", "AAAAABBBBB"), sheet.key)
    assert summary["kappa"] == pytest.approx((0.2 + 1 + 0.2) / 3)
    assert summary["agreement"] == pytest.approx((0.6 + 1 + 0.6) / 3)
    same = summarize_ratings(ratings("가", "AAA") + ratings("나", "AAA"), sheet.key)
    assert same["agreement"] == 1 and same["kappa"] is None and same["chose_a"] == 1


def test_a_pair_that_shares_nothing_and_nobody_at_all(sheet):
    apart = summarize_ratings([Rating("가", 1, "A"), Rating("나", 2, "B")], sheet.key)
    assert apart["agreement"] is None and apart["rated"] == 2
    nobody = summarize_ratings([], sheet.key)
    assert (
        nobody["rated"] == nobody["raters"] == 0
        and nobody["preference"] is None
        and nobody["questions"] == 10
    )
