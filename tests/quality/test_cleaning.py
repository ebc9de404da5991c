from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raft_records import DOCUMENT, OTHER, left_out, record

from src.data.files import read_jsonl, write_jsonl
from src.data.schemas import RawSample
from src.quality.cleaning import (
    balance_table,
    clean_records,
    detection_table,
    find_flaws,
    rebalance,
    token_length_stats,
)
from src.raft.prompt import count_tokens

# --- Lengths and balance ---------------------------------------------------------------------------------------


def test_token_length_stats_known_values():
    stats = token_length_stats([record(i, n_tokens=n) for i, n in enumerate([10, 20, 30, 129])], limit=30)
    assert stats == {
        "count": 4, "mean": 47.25, "median": 25.0, "p95": pytest.approx(114.15), "max": 129,
        "suggested_max_seq_length": 192, "over_limit": 1,
    }  # fmt: skip
    with pytest.raises(ValueError, match="01번"):
        token_length_stats([])


def test_balance_and_rebalance():
    records = [record(i, topic="안내" if i < 6 else "보증") for i in range(8)]
    table = balance_table(records)
    assert table.to_dict("list") == {"topic": ["안내", "보증"], "count": [6, 2], "share": [0.75, 0.25]}
    over, under = (rebalance(records, strategy=s, seed=1) for s in ("over", "under"))
    assert balance_table(over)["count"].tolist() == [6, 6]
    assert balance_table(under)["count"].tolist() == [2, 2]
    assert {r.id for r in over} == {r.id for r in records}  # oversampling loses no record
    assert over == rebalance(records, strategy="over", seed=1)
    with pytest.raises(ValueError, match="over"):
        rebalance(records, strategy="both")


# --- All together ----------------------------------------------------------------------------------------------


class Characters:
    """A tokenizer that counts characters."""

    def encode(self, text, add_special_tokens):
        return list(text)


def test_clean_records_explains_what_it_takes_away():
    records = [
        record(1),
        record(2),
        record(3, question="안녕하세요, 다온 DH-1의 소비 전력은 얼마인가요?"),
        record(4, question="다온 DH-1의 무게는 얼마인가요?", answer="99kg"),
        record(5, question="다온 DH-1의 소비 전력은?", answer="4.5L"),
        record(
            6, question="물통에 얼마나 담나요?", answer="4.5L", context=[OTHER + " 010-0000-1234", DOCUMENT]
        ),
        left_out(7, question="다온 DH-1의 색상은 무엇인가요?"),
        record(8, question="며칠 말려야 하나요?", answer="그늘에서 하루 말립니다."),
    ]
    kept, findings = clean_records(records, tokenizer=Characters())
    assert [r.id for r in kept] == ["r1", "r6", "r7", "r8"]
    assert [(f.id, f.check, f.action) for f in findings] == [
        ("r2", "exact_duplicate", "removed"),
        ("r3", "near_duplicate", "removed"),
        ("r4", "groundedness", "removed"),
        ("r5", "relevance", "removed"),
        ("r6", "personal_data", "masked"),
    ]
    masked = kept[1]
    assert masked.context == [OTHER + " 01*-****-****", DOCUMENT]
    assert masked.n_tokens == count_tokens(masked, Characters())
    assert records[5].context[0].endswith("1234")  # the input is left as it was
    assert clean_records(kept) == (kept, [])


def test_rows_of_another_origin_are_shown_to_people_where_the_check_was_not_tuned_on_them():
    odd = {
        "question": "다온 DH-1의 소비 전력은?",
        "answer": "4.5L",
    }  # stands in the sentence beside the asked one
    ours, theirs = record(1, **odd, source="support_qa.csv"), record(2, **odd, source="my.csv")
    none, (gone,) = clean_records([ours])
    kept, (shown,) = clean_records([theirs])
    assert (none, kept) == ([], [theirs])
    assert (gone.check, gone.action, shown.check, shown.action) == (
        "relevance",
        "removed",
        "relevance",
        "flagged",
    )
    assert shown.detail == gone.detail and "사람이 볼 것" in str(shown)
    # What was not tuned is as strict there, and the hub's rows are no exception.
    wrong = record(3, answer="99kg", source="KorQuAD/squad_kor_v1:train")
    phone = OTHER + " 010-0000-1234"
    seen = record(4, **odd, source="KorQuAD/squad_kor_v1:train", context=[phone, DOCUMENT])
    kept, findings = clean_records([wrong, seen])
    assert [r.id for r in kept] == ["r4"] and "1234" not in kept[0].context[0]
    assert [(f.id, f.action) for f in findings] == [("r3", "removed"), ("r4", "flagged"), ("r4", "masked")]


def test_find_flaws_names_the_rows():
    raw = [
        RawSample(id=f"s{i}", group_id="다온 DH-1", question=question, context=document, answer=answer)
        for i, (question, answer, document) in enumerate(
            [
                ("다온 DH-1의 소비 전력은 얼마인가요?", "310W", DOCUMENT),
                ("다온 DH-1의 소비 전력은 얼마인가요", "310W", DOCUMENT),
                ("저기, 다온 DH-1의 소비 전력은 얼마인가요?", "310W", DOCUMENT),
                ("다온 DH-1의 무게는 얼마인가요?", "99kg", DOCUMENT),
                ("다온 DH-1의 소비 전력은?", "4.5L", DOCUMENT),
                ("물통에 얼마나 담나요?", "4.5L", DOCUMENT + " 문의: 010-0000-1234"),
            ]
        )
    ]
    assert find_flaws(raw) == {
        "exact_duplicate": [("s1", "s0")],
        "near_duplicate": [("s2", "s1")],
        "groundedness": [("s3",)],
        "relevance": [("s4",)],
        "personal_data": [("s5",)],
    }


def test_a_finding_tells_no_personal_data():
    asked = record(1, question="다온 DH-1의 연락처는 무엇인가요?", answer="010-0000-1234입니다.")
    _, (finding,) = clean_records([asked])
    assert finding.check == "groundedness" and "0000" not in str(finding)


def test_a_finding_prints_itself_and_is_written_as_before(tmp_path):
    (finding,) = clean_records([record(1), record(2)])[1]
    assert str(finding) == "r2: 지움. 질문, 답, 문서가 r1의 것과 같습니다."
    row = {
        "split": "test",
        "id": "r2",
        "check": "exact_duplicate",
        "action": "removed",
        "detail": finding.detail,
    }
    (back,) = read_jsonl(write_jsonl(tmp_path / "findings.jsonl", [replace(finding, split="test")]))
    assert list(back.items()) == list(row.items())


def test_detection_table_known_values():
    expected = {"중복": ["a", "b"], "근거": ["c", "d", "e"], "없음": [], "못 찾음": ["f"]}
    found = {"중복": [("x", "a"), ("b", "y")], "근거": ["c", ("z",), "d"], "없음": ["g"]}
    table = detection_table(expected, found).set_index("kind")
    assert table.loc["중복"].tolist() == [2, 2, 2, [], 1.0, 1.0]
    assert table.loc["근거"].tolist() == [3, 3, 2, ["e"], pytest.approx(2 / 3), pytest.approx(2 / 3)]
    assert table.loc["없음"].tolist()[:5] == [0, 1, 0, [], 0.0] and table.isna().loc["없음", "recall"]
    assert table.loc["못 찾음", "recall"] == 0.0 and table.isna().loc["못 찾음", "precision"]


@given(
    st.sets(st.sampled_from("abcdef")),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh"))),
)
def test_detection_table_counts_add_up(wanted, pairs):
    (row,) = detection_table({"k": wanted}, {"k": pairs}).to_dict("records")
    named = {name for pair in pairs for name in pair}
    assert row["missed"] == sorted(wanted - named)
    assert row["found"] == len(pairs) and 0 <= row["right"] <= row["found"]
    assert (row["right"] == 0) == (not wanted & named)


texts = st.sampled_from(
    ["310W", "4.5L", "초록", "다온 DH-1의 소비 전력은?", "010-0000-1234", "물통 용량은?", DOCUMENT]
)
any_record = st.builds(
    lambda question, answer, golden: (
        record(0, question, answer) if golden else left_out(0, question=question)
    ),
    texts,
    texts,
    st.booleans(),
)


@given(st.lists(any_record, max_size=6))
def test_no_record_is_lost(records):
    records = [r.model_copy(update={"id": f"r{i}"}) for i, r in enumerate(records)]
    kept, findings = clean_records(records)
    removed = [finding.id for finding in findings if finding.action == "removed"]
    assert sorted([r.id for r in kept] + removed) == sorted(r.id for r in records)
