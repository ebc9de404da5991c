from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.formats import read_jsonl, write_jsonl
from src.preprocessing import load_samples, split_by_group, validate_samples
from src.schemas import RawSample, Reject
from src.text import normalize_text, repair_mojibake

ROW = {
    "id": "a-1",
    "group_id": "제습기",
    "question": "소비 전력은 얼마인가요?",
    "context": "제습기 안내입니다. 소비 전력은 310W입니다.",
    "answer": "310W입니다.",
}


def sample(number: int, group: str, context: str) -> RawSample:
    return RawSample(id=number, group_id=group, question="무엇인가요?", context=context, answer="답")


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
    broken = tmp_path / "broken.json"
    broken.write_text('[\n{"q": 1,,}]', encoding="utf-8")
    with pytest.raises(ValueError, match="2번째 줄"):
        load_samples(broken)
    with pytest.raises(ValueError, match="csv"):
        load_samples(broken.rename(tmp_path / "qa.xlsx"))


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
