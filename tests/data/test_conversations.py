"""Dialogues and instructions in the forms that people have; no row is lost, and every refusal says why."""

from __future__ import annotations

import csv
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.data.conversations import load_conversations
from src.data.files import read_jsonl, write_jsonl
from src.data.schemas import Conversation

SAID = [("user", "몇 시에 여나요?"), ("assistant", "아홉 시입니다."), ("user", "닫는 때는요?"), ("assistant", "여섯 시입니다.")]  # fmt: skip
MESSAGES = [{"role": role, "content": text} for role, text in SAID]
SHAREGPT = [{"from": {"user": "human", "assistant": "gpt"}[role], "value": text} for role, text in SAID]


def write(path, rows):
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(
        lines if path.suffix == ".jsonl" else f"[{lines.replace(chr(10), ',')}]", encoding="utf-8"
    )
    return path


def said(conversation):
    return [(turn["role"], turn["content"]) for turn in conversation.messages]


@pytest.mark.parametrize("suffix", ["jsonl", "json"])
def test_every_form_becomes_the_same_messages(tmp_path, suffix):
    alpaca = {"instruction": "분류하세요.", "input": "대출은 며칠인가요?", "output": "대출"}
    rows = [
        {"messages": MESSAGES},
        {"id": 7, "conversations": [{"from": "system", "value": "짧게 답하세요."}, *SHAREGPT]},
        alpaca,
        {**alpaca, "input": ""},
        {"system": "한 낱말로.", "prompt": "분류하세요.", "response": "대출", "group_id": "분류"},
    ]
    path = write(tmp_path / f"talk.{suffix}", rows)
    found, rejects = load_conversations(path, learn="last")
    assert not rejects
    assert [said(one) for one in found] == [
        SAID,
        [("system", "짧게 답하세요."), *SAID],
        [("user", "분류하세요.\n대출은 며칠인가요?"), ("assistant", "대출")],
        [("user", "분류하세요."), ("assistant", "대출")],
        [("system", "한 낱말로."), ("user", "분류하세요."), ("assistant", "대출")],
    ]
    assert [one.id for one in found] == ["talk-1", "7", "talk-3", "talk-4", "talk-5"]
    assert [one.group_id for one in found] == ["talk-1", "7", "talk-3", "talk-4", "분류"]
    assert {(one.learn, one.source) for one in found} == {("last", path.name)}
    assert read_jsonl(write_jsonl(tmp_path / "again.jsonl", found), Conversation) == found


def test_a_csv_of_instructions_in_cp949(tmp_path):
    path = tmp_path / "지시.csv"
    with path.open("w", encoding="cp949", newline="") as file:
        csv.writer(file).writerows([("지시", "회신"), ("인사말을 쓰세요.", "안녕하세요."), ("빈 줄", "")])
    found, rejects = load_conversations(path, fields={"output": "회신"})
    assert [said(one) for one in found] == [[("user", "인사말을 쓰세요."), ("assistant", "안녕하세요.")]]
    assert [(r.line, r.row["지시"]) for r in rejects] == [(3, "빈 줄")]
    assert "fields" in load_conversations(path)[1][0].reason  # the column has no name known here
    with pytest.raises(ValueError, match="모르는 이름 answer"):
        load_conversations(path, fields={"answer": "회신"})


def test_text_is_normalized_line_by_line(tmp_path):
    text = "목록：\r\n\u200b- 하나\r\n-  둘\u3000\n"
    path = write(tmp_path / "a.jsonl", [{"instruction": text, "output": "알겠습니다. "}])
    assert said(load_conversations(path)[0][0]) == [
        ("user", "목록:\n- 하나\n- 둘"),
        ("assistant", "알겠습니다."),
    ]


USER, ANSWER = MESSAGES[:2]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": [USER, USER, ANSWER]}, "2번째는 assistant의 차례인데 user의 말입니다"),
        ({"messages": [USER, ANSWER, ANSWER]}, "3번째는 user의 차례인데 assistant의 말입니다"),
        ({"messages": [ANSWER, USER, ANSWER]}, "1번째는 user의 차례인데"),
        ({"messages": [USER, {"role": "system", "content": "짧게."}, ANSWER]}, "2번째는 assistant의 차례인데 system"),
        ({"messages": [USER]}, "assistant의 말이 없어"),
        ({"messages": []}, "assistant의 말이 없어"),
        ({"messages": [USER, ANSWER, USER]}, "user의 말로 끝나"),
        ({"messages": [USER, {"role": "assistant", "content": " \u200b"}]}, "2번째 말의 내용이 비어"),
        ({"messages": [USER, {"role": "assistant", "content": None}]}, "2번째 말의 내용이 비어"),
        ({"messages": [USER, {"role": "tool", "content": "3"}, ANSWER]}, r"2번째 말의 역할\(tool\)"),
        ({"messages": [USER, {"content": "네."}]}, r"2번째 말의 역할\(None\)"),
        ({"messages": [USER, {"role": "assistant", "content": "깨\ufffd짐"}]}, "2번째 말에 깨진 글자"),
        ({"messages": [USER, "아홉 시입니다."]}, "말 하나는"),
        ({"messages": "대화"}, "목록"),
        ({"instruction": "쓰세요."}, "비어 있습니다"),
        ({"instruction": ["쓰세요."], "output": "네."}, "1번째 말의 내용이 비어 있거나 글이 아닙니다"),
        ({"question": "몇 시?", "context": "아홉 시에 엽니다.", "answer": "아홉 시"}, "prepare로 읽어"),
        (["행"], "이름 있는 칸"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_and_kept(tmp_path, row, told):
    path = write(tmp_path / "bad.jsonl", [{"messages": MESSAGES}, row])
    found, rejects = load_conversations(path)
    assert len(found) == 1 and len(rejects) == 1
    assert re.search(told, rejects[0].reason), rejects[0].reason
    assert (rejects[0].source, rejects[0].line, rejects[0].row) == ("bad.jsonl", 2, row)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
TURN = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "user", "assistant"]) | ANYTHING,
        "from": st.sampled_from(["human", "gpt"]) | ANYTHING,
        "content": ANYTHING,
        "value": ANYTHING,
    },
)
ROW = ANYTHING | st.dictionaries(
    st.sampled_from(
        ["id", "messages", "conversations", "instruction", "input", "output", "system", "context"]
    ),
    st.lists(TURN | ANYTHING, max_size=4) | ANYTHING,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=4))
def test_no_row_is_lost_and_what_is_accepted_takes_turns(tmp_path, rows):
    path = tmp_path / "any.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found, rejects = load_conversations(path)
    assert sorted(one.line for one in [*found, *rejects]) == list(range(1, len(rows) + 1))
    assert all(reject.reason for reject in rejects)
    for one in found:
        roles = [turn["role"] for turn in one.messages]
        spoken = roles[roles[0] == "system" :]
        assert spoken == ["user", "assistant"] * (len(spoken) // 2) and spoken
        assert all(turn["content"].strip() for turn in one.messages)
