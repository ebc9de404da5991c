"""Labels on the answer only, and an audit that can fail."""

from __future__ import annotations

from copy import deepcopy

import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from src.data.schemas import Conversation
from src.raft.prompt import to_messages
from src.training.labels import IGNORE, LabelAuditError, audit_labels, label_pieces, tokenize_records


def test_labels_are_the_answer_and_its_eos(records, tokenizer):
    dataset = tokenize_records(records, tokenizer, 256)
    assert len(dataset) == len(records)
    assert set(dataset.column_names) == {"input_ids", "attention_mask", "labels"}
    for record, row in zip(records, dataset, strict=True):
        targets = [label for label in row["labels"] if label != IGNORE]
        assert tokenizer.decode(targets) == record["answer"] + "<eos>"
        start = row["labels"].index(targets[0])
        assert row["labels"] == [IGNORE] * start + row["input_ids"][start:]
        prompt = tokenizer.decode(row["input_ids"][:start])
        assert prompt == tokenizer.apply_chat_template(
            to_messages(record, with_answer=False), tokenize=False, add_generation_prompt=True
        )


def test_reasoning_is_supervised_too(records, tokenizer):
    record = {**records[0], "cot": "문서 1에 소비 전력이 있습니다."}
    row = tokenize_records([record], tokenizer, 256)[0]
    text = tokenizer.decode([label for label in row["labels"] if label != IGNORE])
    assert text.startswith("문서 1에 소비 전력이 있습니다.") and record["answer"] in text


def test_what_a_template_writes_after_eos_is_not_learned(records, tokenizer, monkeypatch):
    template = tokenizer.chat_template.replace("{{ eos_token }}", "{{ eos_token }}\n")
    monkeypatch.setattr(tokenizer, "chat_template", template)
    row = tokenize_records(records[:1], tokenizer, 256)[0]
    assert row["labels"][-2:] == [tokenizer.eos_token_id, IGNORE]
    assert tokenizer.decode(row["input_ids"][-1]) == "\n"


def test_too_long_records_are_counted_and_never_cut(records, tokenizer, capsys):
    lengths = [len(row["input_ids"]) for row in tokenize_records(records, tokenizer, 256)]
    limit = sorted(lengths)[5]
    kept = tokenize_records(records, tokenizer, limit)
    refused = sum(length > limit for length in lengths)
    assert 0 < refused and len(kept) == len(records) - refused
    assert f"{refused}건은 {limit}토큰보다 길어" in capsys.readouterr().out
    assert all(row["labels"][-1] == tokenizer.eos_token_id for row in kept)
    with pytest.raises(ValueError, match="학습할 레코드가 없습니다"):
        tokenize_records(records, tokenizer, 3)


def test_a_template_whose_prompt_is_no_prefix_is_refused(records, tokenizer, monkeypatch):
    template = tokenizer.chat_template.replace(
        "{% if add_generation_prompt %}", "{% if add_generation_prompt %}생각: "
    )
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(ValueError, match="답변의 시작을 찾을 수 없습니다"):
        tokenize_records(records, tokenizer, 256)


def test_audit_reports_what_is_learned(records, tokenizer):
    report = audit_labels(tokenize_records(records, tokenizer, 256), tokenizer)
    assert report["records"] == 16
    assert report["supervised"] == records[0]["answer"] + "<eos>"
    assert records[0]["question"] in report["masked"] and records[0]["answer"] not in report["masked"]
    assert report["supervised_share"] == report["supervised_tokens"] / report["tokens"]
    assert 0.05 < report["supervised_share"] < 0.5


def _nothing(row, tokenizer):
    return {"labels": [IGNORE] * len(row["labels"])}


def _everything(row, tokenizer):
    return {"labels": row["input_ids"]}


def _no_eos(row, tokenizer):
    return {"labels": [*row["labels"][:-1], IGNORE]}


def _padding(row, tokenizer):
    return {
        "input_ids": row["input_ids"] + [tokenizer.pad_token_id],
        "attention_mask": row["attention_mask"] + [0],
        "labels": row["labels"] + [tokenizer.pad_token_id],
    }


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (_nothing, "학습할 토큰이 하나도 없습니다"),
        (_everything, "모두 학습합니다"),
        (_no_eos, "EOS가 라벨에 없어"),
        (_padding, "패딩이 손실에"),
    ],
)
def test_audit_finds_a_single_broken_record(records, tokenizer, break_it, message):
    rows = tokenize_records(records, tokenizer, 256).to_list()
    rows[7] |= break_it(rows[7], tokenizer)
    with pytest.raises(LabelAuditError, match=f"1건은.*{message}"):
        audit_labels(Dataset.from_list(rows), tokenizer)


def test_eos_before_what_a_template_writes_behind_it_is_not_called_missing(records, tokenizer, monkeypatch):
    template = tokenizer.chat_template.replace("{{ eos_token }}", "{{ eos_token }}\n")
    monkeypatch.setattr(tokenizer, "chat_template", template)
    rows = list(tokenize_records(records[:4], tokenizer, 256))
    with pytest.raises(LabelAuditError) as everything:
        audit_labels([{**row, "labels": row["input_ids"]} for row in rows], tokenizer, records)
    assert "모두 학습합니다" in str(everything.value) and "EOS" not in str(everything.value)
    with pytest.raises(LabelAuditError, match="EOS가 라벨에 없어"):
        audit_labels([{**row, "labels": [*row["labels"][:-2], IGNORE, IGNORE]} for row in rows], tokenizer)


def test_audit_finds_a_doubled_bos(records, tokenizer):
    tokenizer = deepcopy(tokenizer)
    tokenizer.bos_token = "<|system|>"
    bos = tokenizer.convert_tokens_to_ids("<|system|>")
    rows = tokenize_records(records, tokenizer, 256).to_list()
    assert rows[0]["input_ids"][0] == bos
    rows[0] = {
        "input_ids": [bos, *rows[0]["input_ids"]],
        "attention_mask": [1, *rows[0]["attention_mask"]],
        "labels": [IGNORE, *rows[0]["labels"]],
    }
    with pytest.raises(LabelAuditError, match="1건은 BOS가 두 번"):
        audit_labels(Dataset.from_list(rows), tokenizer)


def cut_answer(row, tokenizer, tokens=2):
    """What a pipeline does that cuts to a length and puts EOS back: nothing in the row itself gives it away."""
    ids = [*row["input_ids"][: -1 - tokens], tokenizer.eos_token_id]
    labels = [*row["labels"][: -1 - tokens], tokenizer.eos_token_id]
    return {"input_ids": ids, "labels": labels, "attention_mask": [1] * len(ids)}


def cut_context(row, tokenizer):
    return {name: [*values[:5], *values[9:]] for name, values in row.items()}


@pytest.mark.parametrize(
    ("break_it", "message"), [(cut_answer, "답변 전체와 다릅니다"), (cut_context, "프롬프트가 레코드의 것과")]
)
def test_audit_finds_what_was_cut_when_it_has_the_records(records, tokenizer, break_it, message):
    rows = tokenize_records(records, tokenizer, 256).to_list()
    audit_labels(Dataset.from_list(rows), tokenizer, records)
    rows[7] |= break_it(rows[7], tokenizer)
    broken = Dataset.from_list(rows)
    assert audit_labels(broken, tokenizer)["records"] == 16  # looks right by itself
    with pytest.raises(LabelAuditError, match=f"1건은.*{message}"):
        audit_labels(broken, tokenizer, records)


def test_audit_accepts_two_answers_to_one_prompt_and_left_out_records(records, tokenizer):
    twice = [*records, {**records[0], "answer": "문맥에 따르면 모릅니다."}]
    rows = tokenize_records(twice, tokenizer, 256)
    assert audit_labels(rows.select([16, 0, 3]), tokenizer, twice)["records"] == 3


def test_rows_cut_at_a_length_have_no_eos(records, tokenizer):
    rows = [
        {k: v[:40] for k, v in row.items()} for row in tokenize_records(records, tokenizer, 256).to_list()
    ]
    rows = [row for row in rows if any(label != IGNORE for label in row["labels"])] or [
        {"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [IGNORE, 6, 7]}
    ]
    with pytest.raises(LabelAuditError, match=f"{len(rows)}건은 답변 끝의 EOS가 라벨에 없어"):
        audit_labels(Dataset.from_list(rows), tokenizer)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=TEXT, answer=TEXT, documents=st.lists(TEXT, max_size=3))
def test_any_text_is_labelled_from_its_answer_to_eos(tokenizer, question, answer, documents):
    record = {
        "instruction": "답하세요.",
        "context": documents,
        "question": question,
        "answer": answer,
        "cot": None,
    }
    row = tokenize_records([record], tokenizer, 10_000)[0]
    targets = [label for label in row["labels"] if label != IGNORE]
    assert tokenizer.decode(targets) == answer + "<eos>"
    assert audit_labels([row], tokenizer, [record])["supervised_tokens"] == len(targets)
    pieces = label_pieces(row, tokenizer)
    assert "".join(text for text, _ in pieces) == tokenizer.decode(row["input_ids"])
    assert "".join(text for text, on in pieces if on) == answer + "<eos>"


# --- Dialogues -------------------------------------------------------------------------------------------------


def dialogue(*said: str, learn: str = "all", system: str | None = None) -> Conversation:
    """User and assistant in turn, beginning with the user."""
    opening = [{"role": "system", "content": system}] if system else []
    turns = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
    return Conversation(id="d", group_id="d", messages=[*opening, *turns], learn=learn)


THREE = (
    "몇 시에 여나요?",
    "아홉 시입니다.",
    "닫는 때는요?",
    "여섯 시입니다.",
    "쉬는 날은요?",
    "월요일입니다.",
)


def learned(row, tokenizer):
    return "".join(text for text, on in label_pieces(row, tokenizer) if on)


@pytest.mark.parametrize(
    ("learn", "told"),
    [
        ("all", "아홉 시입니다.<eos>여섯 시입니다.<eos>월요일입니다.<eos>"),
        ("last", "월요일입니다.<eos>"),
    ],
)
@pytest.mark.parametrize("system", [None, "짧게 답하세요."])
def test_a_dialogue_is_labelled_on_the_chosen_answers(tokenizer, learn, told, system):
    record = dialogue(*THREE, learn=learn, system=system)
    row = tokenize_records([record], tokenizer, 256)[0]
    assert learned(row, tokenizer) == told
    assert tokenizer.decode(row["input_ids"]) == tokenizer.apply_chat_template(
        record.messages, tokenize=False
    )
    report = audit_labels([row], tokenizer, [record])
    assert report["supervised"] == told and THREE[2] in report["masked"]


def test_kinds_are_trained_together(records, tokenizer):
    mixed = [
        *records[:3],
        dialogue(*THREE),
        dialogue("인사하세요.", "안녕하세요."),
        dialogue(*THREE, learn="last"),
    ]
    rows = tokenize_records(mixed, tokenizer, 256)
    assert audit_labels(rows, tokenizer, mixed)["records"] == 6
    assert [learned(row, tokenizer).count("<eos>") for row in rows] == [1, 1, 1, 3, 1, 1]


def _spans(row):
    """Where each labelled stretch begins and ends."""
    on = [label != IGNORE for label in row["labels"]]
    begins = [i for i, now in enumerate(on) if now and not (i and on[i - 1])]
    ends = [i + 1 for i, now in enumerate(on) if now and not (i + 1 < len(on) and on[i + 1])]
    return list(zip(begins, ends, strict=True))


def middle_left_out(row, spans, tokenizer):
    (begin, end) = spans[1]
    return row["labels"][:begin] + [IGNORE] * (end - begin) + row["labels"][end:]


def first_left_out(row, spans, tokenizer):
    return [IGNORE] * spans[0][1] + row["labels"][spans[0][1] :]


def question_too(row, spans, tokenizer):
    return (
        row["labels"][: spans[0][0]]
        + row["input_ids"][spans[0][0] : spans[1][1]]
        + row["labels"][spans[1][1] :]
    )


def only_questions(row, spans, tokenizer):
    on = {i for begin, end in spans for i in range(begin, end)}
    return [IGNORE if i in on else token for i, token in enumerate(row["input_ids"])]


def no_eos_in_the_middle(row, spans, tokenizer):
    end = spans[1][1]
    return [*row["labels"][: end - 1], IGNORE, *row["labels"][end:]]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (middle_left_out, "배울 답변이 빠졌거나"),
        (first_left_out, "배울 답변이 빠졌거나"),
        (question_too, "답변이 아닌 말까지 배웁니다"),
        (only_questions, "답변이 아닌 말까지 배웁니다"),
        (no_eos_in_the_middle, "EOS가 라벨에 없어"),
    ],
)
def test_audit_finds_a_wrong_mask_in_a_middle_turn(records, tokenizer, break_it, message):
    mixed = [*records[:3], dialogue(*THREE)]
    rows = tokenize_records(mixed, tokenizer, 256).to_list()
    audit_labels(rows, tokenizer, mixed)
    rows[3]["labels"] = break_it(rows[3], _spans(rows[3]), tokenizer)
    with pytest.raises(LabelAuditError, match=f"1건은.*{message}"):
        audit_labels(rows, tokenizer, mixed)


def test_audit_knows_which_answers_were_chosen(tokenizer):
    every, last = dialogue(*THREE), dialogue(*THREE, learn="last")
    row = tokenize_records([every], tokenizer, 256)[0]
    with pytest.raises(LabelAuditError, match="learn이 고른"):
        audit_labels([row], tokenizer, [last])
    assert audit_labels([row], tokenizer, [last, every])["records"] == 1


def test_audit_finds_an_answer_cut_in_the_middle(tokenizer):
    """Cut, with its EOS kept: nothing in the row itself gives it away."""
    record = dialogue(*THREE)
    row = dict(tokenize_records([record], tokenizer, 256)[0])
    end = _spans(row)[1][1] - 1
    row = {name: [*values[: end - 2], *values[end:]] for name, values in row.items()}
    audit_labels([row], tokenizer)
    with pytest.raises(LabelAuditError, match="답변 전체와 다릅니다"):
        audit_labels([row], tokenizer, [record])


def test_templates_that_write_behind_or_rewrite_an_earlier_answer(tokenizer, monkeypatch):
    template = tokenizer.chat_template
    monkeypatch.setattr(tokenizer, "chat_template", template.replace("{{ eos_token }}", "{{ eos_token }}\n"))
    row = tokenize_records([dialogue(*THREE)], tokenizer, 256)[0]
    assert learned(row, tokenizer) == "아홉 시입니다.<eos>여섯 시입니다.<eos>월요일입니다.<eos>"
    thinking = template.replace(
        "{{ m['content'] }}",
        "{% if m['role'] == 'assistant' and loop.last %}<think></think>{% endif %}{{ m['content'] }}",
    ).replace("<|assistant|>{% endif %}", "<|assistant|><think></think>{% endif %}")
    monkeypatch.setattr(tokenizer, "chat_template", thinking)
    row = tokenize_records([dialogue(*THREE, learn="last")], tokenizer, 256)[0]
    assert learned(row, tokenizer) == "월요일입니다.<eos>"
    with pytest.raises(ValueError, match="learn='last'"):
        tokenize_records([dialogue(*THREE)], tokenizer, 256)


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4),
    learn=st.sampled_from(["all", "last"]),
    system=st.none() | WORDS,
)
def test_labels_are_the_chosen_answers_and_nothing_else(tokenizer, turns, learn, system):
    record = dialogue(*(text for pair in turns for text in pair), learn=learn, system=system)
    row = tokenize_records([record], tokenizer, 10_000)[0]
    chosen = [answer for _, answer in turns][-1 if learn == "last" else 0 :]
    spans = _spans(row)
    assert [tokenizer.decode(row["input_ids"][b:e]) for b, e in spans] == [text + "<eos>" for text in chosen]
    assert all(label in (IGNORE, token) for label, token in zip(row["labels"], row["input_ids"], strict=True))
    asked = tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert all(
        row["input_ids"][begin - 1] == asked for begin, _ in spans
    )  # right behind the assistant's sign
    assert tokenizer.decode(row["input_ids"]) == tokenizer.apply_chat_template(
        record.messages, tokenize=False
    )
    assert audit_labels([row], tokenizer, [record])["records"] == 1
