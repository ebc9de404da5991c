"""Several prompts on the same questions: every call kept, a second run without any, an interrupted one goes on."""

from __future__ import annotations

import pytest

from src.generation.call_sheet import read_call_sheet
from src.generation.prompt_table import ask_prompts, count_calls
from src.qlora.adapters import attach_adapter
from src.qlora.loading import load_base_model
from src.raft.prompt import render_chat, to_messages

OPTIONS = {"max_new_tokens": 4, "batch_tokens": 800}


@pytest.fixture(scope="module")
def model(tiny_profile):
    return attach_adapter(load_base_model(tiny_profile).float(), tiny_profile).eval()


@pytest.fixture
def prompts(records):
    ways = {"그대로": "{}", "역할": "당신은 상담원입니다. {}"}
    return {
        name: [
            to_messages({**record, "instruction": way.format(record["instruction"])}, with_answer=False)
            for record in records[:6]
        ]
        for name, way in ways.items()
    }


def test_a_second_run_calls_nothing_and_gives_the_same_table(model, tokenizer, prompts, tmp_path, capsys):
    sheet = tmp_path / "calls.csv"
    with count_calls(model) as calls:
        first = ask_prompts(model, tokenizer, prompts, sheet, **OPTIONS)
    assert sum(calls) > 12 and capsys.readouterr().out == "새로 물은 것 12개, 저장해 둔 답을 쓴 것 0개\n"
    before = sheet.read_bytes()
    with count_calls(model) as calls:
        again = ask_prompts(model, tokenizer, prompts, sheet, **OPTIONS)
    assert calls == [] and again.equals(first) and sheet.read_bytes() == before
    assert capsys.readouterr().out == "새로 물은 것 0개, 저장해 둔 답을 쓴 것 12개\n"


def test_tokens_are_those_of_prompt_and_answer(model, tokenizer, prompts, tmp_path):
    table = ask_prompts(model, tokenizer, prompts, tmp_path / "calls.csv", **OPTIONS)
    assert list(table["프롬프트"].unique()) == list(prompts) and list(table["질문"]) == [*range(6)] * 2
    for row in table.itertuples(index=False):
        text = render_chat(tokenizer, prompts[row[0]][row[1]], add_generation_prompt=True)
        assert row[2] == len(tokenizer(text, add_special_tokens=False)["input_ids"])
        assert row[3] == len(tokenizer(row[4], add_special_tokens=False)["input_ids"]) + 1
    kept = read_call_sheet(tmp_path / "calls.csv").rows
    assert {row["이름"] for row in kept} == set(prompts)
    assert sum(int(row["입력 토큰"]) for row in kept) == table["입력 토큰"].sum()


def test_an_interrupted_run_goes_on_where_it_stopped(model, tokenizer, prompts, tmp_path, monkeypatch):
    whole = ask_prompts(model, tokenizer, prompts, tmp_path / "whole.csv", **OPTIONS)
    inner, batches = model.get_base_model(), []
    generate = inner.generate

    def interrupted(*args, **inputs):
        if len(batches) == 2:
            raise KeyboardInterrupt
        batches.append(len(inputs["input_ids"]))
        return generate(*args, **inputs)

    with monkeypatch.context() as patch:
        patch.setattr(inner, "generate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ask_prompts(model, tokenizer, prompts, tmp_path / "cut.csv", **OPTIONS)
    kept = len(read_call_sheet(tmp_path / "cut.csv").rows)
    assert 0 < kept == sum(batches) < 12
    assert ask_prompts(model, tokenizer, prompts, tmp_path / "cut.csv", **OPTIONS).equals(whole)
    assert len(read_call_sheet(tmp_path / "cut.csv").rows) == 12


def test_what_was_found_in_the_file_is_said_in_korean_and_nothing_lost(
    model, tokenizer, prompts, tmp_path, capsys
):
    sheet = tmp_path / "calls.csv"
    sheet.touch()
    one = {"그대로": prompts["그대로"]}
    ask_prompts(model, tokenizer, one, sheet, **OPTIONS)
    assert "calls.csv은(는) 비어 있는 파일이었습니다" in capsys.readouterr().out
    sheet.write_bytes(sheet.read_bytes()[:-30])
    ask_prompts(model, tokenizer, one, sheet, **OPTIONS)
    told = capsys.readouterr().out
    assert (
        "7번째 줄은 쓰다가 끊겼거나" in told
        and "나머지 답 5개는 그대로" in told
        and "새로 물은 것 1개" in told
    )
    ask_prompts(model, tokenizer, {"역할": prompts["역할"]}, sheet, **OPTIONS)
    told = capsys.readouterr().out
    assert "답 6개는 다른 프롬프트나 모델, 설정의 것" in told and "새로 물은 것 6개" in told
    ask_prompts(model, tokenizer, prompts, sheet, **OPTIONS)
    assert "새로 물은 것 0개, 저장해 둔 답을 쓴 것 12개" in capsys.readouterr().out


def test_a_file_of_something_else_stops_before_anything_is_asked(model, tokenizer, prompts, tmp_path):
    sheet = tmp_path / "calls.csv"
    sheet.write_text("번호,답\n1,310W\n", encoding="utf-8")
    with count_calls(model) as calls, pytest.raises(ValueError, match="파일은 그대로 있습니다"):
        ask_prompts(model, tokenizer, prompts, sheet, **OPTIONS)
    assert calls == [] and sheet.read_text(encoding="utf-8") == "번호,답\n1,310W\n"


def test_calls_are_counted_only_within(model, tokenizer, prompts, tmp_path):
    with count_calls(model) as calls:
        pass
    ask_prompts(model, tokenizer, {"그대로": prompts["그대로"][:1]}, tmp_path / "calls.csv", **OPTIONS)
    assert calls == []
