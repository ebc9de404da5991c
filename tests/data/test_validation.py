from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.files import read_jsonl, write_jsonl
from src.data.reading import iter_samples, load_samples
from src.data.schemas import RawSample, Reject
from src.data.splitting import LeakageError, check_leakage, draw_groups, split_by_group, split_shares
from src.data.text import normalize_text, repair_mojibake, what_is_odd
from src.data.validation import validate_samples
from src.hub.cache import HubItem

ROW = {
    "id": "a-1",
    "group_id": "제습기",
    "question": "소비 전력은 얼마인가요?",
    "context": "제습기 안내입니다. 소비 전력은 310W입니다.",
    "answer": "310W입니다.",
}


def sample(number: int, group: str, context: str, question: str | None = None) -> RawSample:
    # A long number in words: questions that differ in one digit only are nearly the same.
    question = question or " ".join(f"{number * 7919 % prime}번" for prime in (101, 103, 107, 109, 113)) + "?"
    return RawSample(id=number, group_id=group, question=question, context=context, answer="답")


# --- normalize_text --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("３１０Ｗ입니다．", "310W입니다."),
        ("소비\u200b 전\ufeff력\u3164은", "소비 전력은"),
        (unicodedata.normalize("NFD", "한글"), "한글"),
        ("  두\u3000칸\t\n띄움  ", "두 칸 띄움"),
        ("종\x07소리\x00", "종소리"),
        ("ㅋㅋㅋ x² ① ㈜새온 “인용”", "ㅋㅋㅋ x² ① ㈜새온 “인용”"),  # what NFKC and ftfy would change
        ("ᄒ\u200bᅡ\u200bᆫ", "한"),  # parts of a syllable that meet only after the removal
    ],
)
def test_normalize_text_known_values(raw, clean):
    assert normalize_text(raw) == clean


@given(st.text())
def test_normalize_text_is_idempotent(text):
    once = normalize_text(text)
    assert normalize_text(once) == once


@pytest.mark.parametrize("text", ["전력은 얼마인가요?", "Café Müller, 12°C", "ㅋㅋㅋ x² ① 漢字 ½", "plain"])
def test_genuine_text_is_not_called_mojibake(text):
    assert repair_mojibake(text) == text


def test_mojibake_is_mended_or_refused():
    text = "소비 전력은 310W입니다."
    assert repair_mojibake(text.encode().decode("latin-1")) == text
    assert repair_mojibake(text.encode("cp949").decode("latin-1")) is None


# --- load_samples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("용량은 4.5L입니다.".encode().decode("latin-1"), "모지바케"),
        ("용량은 4.5L입니다.".encode("cp949").decode("latin-1"), "모지바케"),  # seen, not mended
        ("용량은 \ufffd입니다.", "모지바케"),
        ("용량은 ４．５Ｌ입니다.", "전각"),
        ("용량은 4.5\u200bL입니다.", "보이지 않는"),
        ("무게는 3kg입니다. 색은 흰색입니다. 무게는 3kg입니다.", "되풀이됨"),
        ("쌍극", "없음"),  # rare, and so of many tokens
        ("무게는 3kg입니다.  색은 흰색입니다. " + "그 밖의 값은 아직 정하지 않았습니다. ", "없음"),
    ],
)
def test_what_is_odd_is_read_in_the_text_not_in_its_length(text, word):
    assert word in what_is_odd(text)


def test_json_array_with_short_names(tmp_path):
    path = tmp_path / "qa.json"
    rows = [
        {"id": 7, "product": "P", "topic": "T", "q": "Q?", "doc": "D", "a": " A "},
        {"q": "Q2?", "doc": None},
    ]
    path.write_text(json.dumps(rows), encoding="utf-8-sig")
    first, second = load_samples(path)
    assert first == {
        "id": 7, "group_id": "P", "topic": "T", "question": "Q?", "context": "D", "answer": " A ",
        "source": "qa.json", "line": 1,
    }  # fmt: skip
    assert second["context"] is None and "answer" not in second and second["line"] == 2


def test_json_lines_keep_unreadable_rows(tmp_path):
    path = tmp_path / "qa.jsonl"
    path.write_text(json.dumps(ROW) + '\n\n{"question": \n[1]\n', encoding="utf-8")
    rows = load_samples(path)
    assert [row["line"] for row in rows] == [1, 3, 4]
    accepted, rejects = validate_samples(rows)
    assert len(accepted) == 1 and len(rejects) == 2
    assert rejects[0].row["row"] == '{"question": '


def test_cp949_csv_with_korean_header(tmp_path):
    path = tmp_path / "qa.csv"
    text = '번호,제품,분류,질문,본문,답변\n1,제습기,안내,전력은?,"첫 줄\n둘째 줄",310W\n2,제습기,안내,칸이 모자람\n'
    path.write_bytes(text.encode("cp949"))
    first, second = load_samples(path)
    assert (first["group_id"], first["context"], first["line"]) == ("제습기", "첫 줄\n둘째 줄", 2)
    assert second["line"] == 4 and "6개" in second["error"]


def test_own_column_names(tmp_path):
    path = tmp_path / "qa.csv"
    path.write_text("문의 내용,안내문,처리\n전력은 얼마인가요,전력은 310W입니다,310W\n", encoding="utf-8")
    fields = {"question": "문의 내용", "context": "안내문", "answer": "처리"}
    accepted, rejects = validate_samples(load_samples(path, fields=fields))
    assert accepted[0].question == "전력은 얼마인가요" and not rejects


def test_squad_form(tmp_path):
    context = "서울은 수도이다. 서울의 인구는 약 천만 명이다."
    start = context.index("서울", 5)
    qas = [
        {"id": "1", "question": "인구가 천만인 곳은?", "answers": [{"text": "서울", "answer_start": start}]},
        {"id": "2", "question": "답이 없는 질문은?", "answers": []},
    ]
    article = {"title": "도시", "paragraphs": [{"context": context, "qas": qas}]}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [article, {"paragraphs": 3}]}), encoding="utf-8")
    accepted, rejects = validate_samples(load_samples(path))
    assert [(s.id, s.group_id, s.answer_start) for s in accepted] == [("1", "도시", start)]
    assert [reject.field for reject in rejects] == ["answer", ""]


def test_unusable_files_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="경로"):
        load_samples(tmp_path / "none.json")
    broken = tmp_path / "qa.xlsx"
    broken.write_text("[]", encoding="utf-8")
    with pytest.raises(ValueError, match="csv"):
        load_samples(broken)
    with pytest.raises(ValueError, match="qestion"):
        load_samples(tmp_path / "none.json", fields={"qestion": "q"})


def test_two_columns_for_one_field(tmp_path):
    rows = [
        {**ROW, "q": "다른 질문인가요?"},
        {**ROW, "q": ROW["question"]},
        {**ROW, "q": ""},
        {**ROW, "question": None, "q": "이것만 있나요?"},
    ]
    path = tmp_path / "qa.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    first, second, third, fourth = load_samples(path)
    assert "'question'" in first["error"] and "'q'" in first["error"] and first["row"] == rows[0]
    assert (
        second["question"] == third["question"] == ROW["question"] and fourth["question"] == "이것만 있나요?"
    )
    chosen = load_samples(path, fields={"question": "q"})
    assert [row["question"] for row in chosen] == [row["q"] for row in rows]
    assert not any("error" in row for row in chosen)


@pytest.mark.parametrize(
    ("answers", "answer", "start"),
    [
        ({"text": ["310W", "310"], "answer_start": [4, 5]}, "310W", 4),
        ([{"text": "310W", "answer_start": 4}], "310W", 4),
        (["310W"], "310W", None),
        ("310W", "310W", None),
        ({"text": "310W", "answer_start": 4}, "310W", 4),
        ({"text": [], "answer_start": []}, None, None),
        ([], None, None),
        (None, None, None),
        (7, 7, None),
    ],
)
def test_nested_answers(tmp_path, answers, answer, start):
    row = {"guid": "g-1", "title": "제목", "question": "?", "context": "문서", "answers": answers}
    path = tmp_path / "qa.jsonl"
    path.write_text(json.dumps(row), encoding="utf-8")
    (loaded,) = load_samples(path)
    assert (loaded.get("answer"), loaded.get("answer_start")) == (answer, start)
    assert (loaded["id"], loaded["group_id"]) == ("g-1", "제목")


def test_a_title_beside_a_product_is_no_second_group(tmp_path):
    path = tmp_path / "qa.json"
    path.write_text(json.dumps([{**ROW, "title": "설치 안내"}]), encoding="utf-8")
    assert load_samples(path)[0]["group_id"] == ROW["group_id"]


# --- Datasets --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset_folder(tmp_path_factory):
    """A local dataset with the columns of KLUE's mrc; hub datasets take the same way."""
    folder = tmp_path_factory.mktemp("dataset")
    rows = [
        {
            "guid": f"mrc-{i}", "title": f"기사 {i // 2}", "context": f"기사 {i // 2}의 값은 {i}입니다.",
            "source": "신문", "question": f"기사의 {i}번째 값은 무엇인가요?", "is_impossible": i == 3,
            "answers": {"text": [str(i)], "answer_start": [10]},
        }
        for i in range(8)
    ]  # fmt: skip
    for split, part in (("train", rows), ("validation", rows[:2])):
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in part)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def test_dataset_rows(dataset_folder):
    rows = load_samples(dataset_folder)
    accepted, (impossible,) = validate_samples(rows)
    assert [s.id for s in accepted] == [f"mrc-{i}" for i in range(8) if i != 3]
    assert (accepted[0].group_id, accepted[0].answer, accepted[0].line) == ("기사 0", "0", 1)
    assert accepted[0].source == f"{dataset_folder.name}:train"
    assert "is_impossible" in impossible.reason and impossible.row["id"] == "mrc-3" and impossible.line == 4
    assert len(load_samples(str(dataset_folder), split="validation")) == 2


def test_dataset_problems_say_what_to_do(dataset_folder, tmp_path):
    with pytest.raises(ValueError, match="split='nothing'"):
        load_samples(dataset_folder, split="nothing")
    with pytest.raises(ValueError, match="폴더"):
        load_samples(tmp_path)


def test_a_dataset_is_asked_for_as_it_was_named(monkeypatch, tmp_path):
    asked, wanted = [], []

    def fetch(item):
        wanted.append(item)
        return tmp_path

    def remember(*args, **kwargs):
        asked.append((args, kwargs))
        return [{**ROW, "source": "신문"}]

    monkeypatch.setattr("src.data.reading.fetch", fetch)
    monkeypatch.setattr("datasets.load_dataset", remember)
    (row,) = load_samples("klue/klue", config="mrc", split="validation", revision="abc")
    assert wanted == [HubItem("dataset", "klue/klue", "abc")]
    # Read from the cache's folder, and no trust_remote_code.
    assert asked == [((str(tmp_path), "mrc"), {"split": "validation", "streaming": True})]
    assert row["source"] == "klue/klue:mrc:validation"


def test_rows_of_a_dataset_come_one_at_a_time(monkeypatch, tmp_path):
    given = []

    def endless(*args, **kwargs):
        while True:
            given.append(1)
            yield ROW

    monkeypatch.setattr("datasets.load_dataset", endless)
    rows = iter_samples(tmp_path)
    assert [next(rows)["line"] for _ in range(3)] == [1, 2, 3] and len(given) == 3


# --- validate_samples ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"answer": 310}, "answer"),
        ({"answer": "\u200b "}, "answer"),
        ({"question": "왜?"}, "question"),
        ({"question": None}, "question"),
        ({"context": "긴 문서 " * 600}, "context"),
        ({"context": "깨진 \ufffd 글자입니다."}, "context"),
        ({"answer": "\ud800"}, "answer"),
        ({"topic": ["목록"]}, "topic"),
    ],
)
def test_refusals_name_the_field(change, field):
    accepted, (reject,) = validate_samples([ROW | change])
    assert not accepted
    assert reject.field == field
    assert reject.row == ROW | change


def test_limits_are_inclusive_and_adjustable():
    row = ROW | {"question": "다섯 자임", "context": "가" * 2048}
    assert len(validate_samples([row])[0]) == 1
    longer = row | {"context": "가" * 2049}
    assert len(validate_samples([longer])[1]) == 1
    assert len(validate_samples([longer], max_context_length=3000)[0]) == 1


def test_answer_start_follows_the_normalized_text():
    context = "３１０W와\u200b 200W.  다음은 310W입니다."
    start = context.index("310W")
    (accepted,), _ = validate_samples([ROW | {"context": context, "answer": "310W", "answer_start": start}])
    assert accepted.answer_start == accepted.context.rindex("310W") > 0


def test_a_wrong_answer_start_is_mended_with_a_warning():
    right = ROW["context"].index("310W")
    starts = (0, str(right), -5, 10**6)
    rows = [ROW | {"id": i, "answer": "310W", "answer_start": start} for i, start in enumerate(starts)]
    accepted, _ = validate_samples(rows)
    assert {s.answer_start for s in accepted} == {right}
    assert [bool(s.warnings) for s in accepted] == [True, False, True, True]
    (absent,), _ = validate_samples([ROW | {"answer": "500W", "answer_start": 3}])
    assert absent.answer_start is None and "나오지 않습니다" in absent.warnings[0]


@pytest.mark.parametrize("start", ["셋", 1.5, True, [3], float("nan")])
def test_an_answer_start_of_a_wrong_type(start):
    accepted, rejects = validate_samples([ROW | {"answer_start": start}])
    assert len(accepted) + len(rejects) == 1
    assert all(reject.field == "answer_start" and "형" in reject.reason for reject in rejects)


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"question": "왜 그런가?"}, "질문이 6자로 짧습니다"),
        ({"question": "아주 긴 질문 " * 30}, "질문이 239자로 깁니다"),
        ({"context": "310W입니다."}, "문서가 8자로 짧습니다"),
        ({"answer": "가" * 301, "context": "가나다라 " * 100}, "답이 301자로 깁니다"),
        ({"answer": ROW["context"] * 2}, "답이 문서보다 깁니다"),
    ],
)
def test_suspicious_rows_are_kept_with_a_warning(change, warning):
    (accepted,), rejects = validate_samples([ROW | change])
    assert not rejects
    assert any(text.startswith(warning) for text in accepted.warnings)


def test_a_usual_row_has_no_warning():
    (accepted,), _ = validate_samples([ROW])
    assert accepted.warnings == []


def test_a_repeated_id_names_the_row_that_had_it_first():
    rows = [ROW | {"source": f"{name}.csv", "line": line} for name, line in (("가", 2), ("나", 5), ("다", 9))]
    accepted, _ = validate_samples(rows)
    assert [s.warnings for s in accepted] == [
        [],
        ["id가 가.csv 2번째 행과 같습니다."],
        ["id가 가.csv 2번째 행과 같습니다."],
    ]


def test_what_is_no_row_is_refused():
    accepted, rejects = validate_samples([ROW, 7, None, "글", [1]])
    assert len(accepted) == 1 and [r.row for r in rejects] == [7, None, "글", [1]]
    assert all(reject.reason for reject in rejects)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
keys = st.sampled_from([*ROW, "topic", "source", "line", "answer_start", "error"])
changes = st.dictionaries(keys, anything | st.sampled_from(list(ROW.values())), max_size=6)


@given(st.lists(changes.map(lambda change: ROW | change) | changes, max_size=5))
def test_rows_in_are_accepted_plus_refused(rows):
    accepted, rejects = validate_samples(rows)
    assert len(accepted) + len(rejects) == len(rows)
    assert all(reject.reason for reject in rejects)


@given(rows=st.lists(changes | st.text(max_size=5) | st.integers(), max_size=5))
def test_no_row_of_a_file_is_lost(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "qa.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    loaded = load_samples(path)
    assert [row["line"] for row in loaded] == list(range(1, len(rows) + 1))
    accepted, rejects = validate_samples(loaded)
    assert len(accepted) + len(rejects) == len(rows)
    back = read_jsonl(write_jsonl(path.with_name("rejects.jsonl"), rejects), Reject)
    assert [(r.line, r.reason) for r in back] == [(r.line, r.reason) for r in rejects]


@given(st.lists(st.text(max_size=40), min_size=3, max_size=3))
def test_validating_twice_changes_nothing(texts):
    row = ROW | dict(zip(("question", "context", "answer"), texts, strict=True))
    accepted, _ = validate_samples([row])
    again, refused = validate_samples([s.model_dump() for s in accepted])
    assert again == accepted and not refused


# --- split_by_group --------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=80), st.integers(0, 5)
)
def test_neither_group_nor_document_on_two_sides(links, seed):
    samples = [sample(i, f"그룹{g}", f"문서 번호는 {d}") for i, (g, d) in enumerate(links)]
    try:
        sides = split_by_group(samples, validation_ratio=0.2, test_ratio=0.2, seed=seed)
    except ValueError as error:
        assert "묶음" in str(error)
        return
    assert sorted(s.id for side in sides.values() for s in side) == sorted(s.id for s in samples)
    for name in ("group_id", "context"):
        owners = [{getattr(s, name) for s in side} for side in sides.values()]
        assert sum(map(len, owners)) == len(set.union(*owners))


def test_split_shares_and_repeatability():
    samples = [sample(i, f"그룹{i // 5}", f"문서 번호는 {i}") for i in range(500)]
    sides = split_by_group(samples, validation_ratio=0.1, test_ratio=0.1, seed=1)
    assert {name: len(side) for name, side in sides.items()} == {"train": 400, "validation": 50, "test": 50}
    assert split_by_group(samples, validation_ratio=0.1, test_ratio=0.1, seed=1) == sides
    assert split_by_group(samples, validation_ratio=0.1, test_ratio=0.1, seed=2) != sides


def test_split_needs_independent_groups():
    samples = [sample(i, "한 그룹", f"문서 번호는 {i}") for i in range(9)]
    with pytest.raises(ValueError, match="1개뿐"):
        split_by_group(samples, validation_ratio=0.1, test_ratio=0.1, seed=0)


def test_nearly_the_same_question_stays_on_one_side():
    same = ["필터는 어떻게 씻나요?", "필터는, 어떻게 씻나요", "필터는 어떻게 씻나요?!"]
    questions = [*same, *[None] * 30]
    samples = [sample(i, f"그룹{i}", f"문서 번호는 {i}", q) for i, q in enumerate(questions)]
    for seed in range(5):
        sides = split_by_group(samples, validation_ratio=0.3, test_ratio=0.3, seed=seed)
        assert len({side for side, rows in sides.items() for s in rows if s.question in same}) == 1
        check_leakage(sides)
    generic = [sample(i, f"그룹{i}", f"문서 번호는 {i}", "언제인가요?") for i in range(9)]
    with pytest.raises(ValueError, match="question_threshold"):
        split_by_group(generic, validation_ratio=0.2, test_ratio=0.2, seed=0)
    loose = split_by_group(generic, validation_ratio=0.2, test_ratio=0.2, seed=0, question_threshold=None)
    check_leakage(loose, question_threshold=None)
    with pytest.raises(LeakageError, match="거의 같은 질문"):
        check_leakage(loose)


def test_shares_are_told():
    sides = {
        "train": [sample(1, "가", "문서 하나"), sample(2, "가", "문서  하나"), sample(3, "나", "문서는 둘")],
        "test": [],
    }
    assert split_shares(sides) == [
        {"split": "train", "rows": 3, "share": 1.0, "groups": 2, "documents": 2},
        {"split": "test", "rows": 0, "share": 0.0, "groups": 0, "documents": 0},
    ]  # fmt: skip


# --- check_leakage ---------------------------------------------------------------------------------------------


def test_leakage_is_told_with_counts_examples_and_remedy():
    train = [sample(i, f"그룹{i}", f"문서 번호는 {i}") for i in range(6)]
    test = [
        *[sample(10 + i, f"그룹{i}", f"다른 문서 {i}") for i in range(4)],
        sample(20, "새 그룹", "문서\u200b 번호는  5"),
        sample(21, "딴 그룹", "아주 다른 문서", train[0].question + "!"),
    ]
    with pytest.raises(LeakageError) as raised:
        check_leakage({"train": train, "test": test})
    message = str(raised.value)
    assert "같은 묶음 4건" in message and "같은 문서 1건" in message and "거의 같은 질문 1건" in message
    assert message.count("- 같은 묶음") == 3 and "split_by_group" in message
    assert isinstance(raised.value, ValueError)


def test_no_leakage_where_there_is_none():
    check_leakage({})
    check_leakage({"train": [], "test": []})
    train = [sample(1, "가", "문서 하나"), sample(2, "가", "문서 하나"), sample(1, "가", "문서 하나")]
    check_leakage({"train": train, "test": [sample(3, "나", "문서는 둘")]})


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
def test_leakage_is_found_however_the_sides_were_made(links, rng):
    questions = ["필터는 어떻게 씻나요?", "소비 전력은 얼마죠?", "색상이 무엇인가요?", "언제 나왔나요?",
                 "누가 만들었나요?", "어디에 두나요?", "무게가 궁금해요."]  # fmt: skip
    samples = [sample(i, f"그룹{g}", f"문서 번호는 {d}", questions[q]) for i, (g, d, q) in enumerate(links)]
    sides = {"train": [], "test": []}
    for one in samples:
        sides[rng.choice(["train", "test"])].append(one)
    keys = [
        [{link[k] for s in side for link in [links[int(s.id)]]} for side in sides.values()] for k in range(3)
    ]
    if any(left & right for left, right in keys):
        with pytest.raises(LeakageError):
            check_leakage(sides)
    else:
        check_leakage(sides)


# --- draw_groups -----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(0, 70), st.integers(0, 3))
def test_groups_are_drawn_whole_and_in_any_order_the_same(groups, count, seed):
    rows = [{"group_id": str(group), "id": number} for number, group in enumerate(groups)]
    drawn = list(draw_groups(rows, count=count, seed=seed))
    names = {row["group_id"] for row in drawn}
    assert drawn == [row for row in rows if row["group_id"] in names]
    assert len(drawn) >= min(count, len(rows))
    assert not drawn or len(drawn) - count < max(groups.count(int(name)) for name in names)
    backwards = list(draw_groups(rows[::-1], count=count, seed=seed))
    assert sorted(row["id"] for row in backwards) == [row["id"] for row in drawn]


def test_unreadable_rows_are_passed_on():
    rows = [{"error": "깨짐", "row": "?"}, {"group_id": "가"}, {"group_id": "나"}]
    assert {"error": "깨짐", "row": "?"} in list(draw_groups(rows, count=1, seed=0))
