"""A kept answer is found again, and never where anything that it depends on has changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch

from src.data.files import read_jsonl
from src.generation.answer_cache import AnswerCache, model_identity
from src.generation.few_shot import generate_few_shot
from src.generation.generate import generate_answers, generate_base_and_tuned
from src.profiles import ROOT
from src.qlora.adapters import attach_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import load_base_model
from src.raft.prompt import to_messages

OPTIONS = {"max_new_tokens": 6, "batch_tokens": 640}  # cuts the sixteen into 4, 4, 5 and 3


@pytest.fixture
def prompts(records):
    return [to_messages(record, with_answer=False) for record in records]


@pytest.fixture
def tuned(tiny_profile):
    return perturb(attach_adapter(load_base_model(tiny_profile).float(), tiny_profile), 0.5)


def perturb(model, std: float):
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=std)
    return model


class Counted:
    """Counts calls of ``model.generate`` and the prompts in them."""

    def __init__(self, model, monkeypatch):
        self.prompts = []
        generate = model.generate
        monkeypatch.setattr(
            model,
            "generate",
            lambda **inputs: self.prompts.append(len(inputs["input_ids"])) or generate(**inputs),
        )


def test_second_look_generates_nothing(tuned, tokenizer, prompts, tmp_path, monkeypatch):
    expected = generate_base_and_tuned(tuned, tokenizer, prompts, **OPTIONS)
    counted = Counted(tuned, monkeypatch)
    assert generate_base_and_tuned(tuned, tokenizer, prompts, cache=tmp_path, **OPTIONS) == expected
    assert sum(counted.prompts) == 2 * len(prompts)
    counted.prompts.clear()
    assert generate_base_and_tuned(tuned, tokenizer, prompts, cache=tmp_path, **OPTIONS) == expected
    # Another order, a part of the questions, another batch size: the same answers.
    some = generate_answers(
        tuned, tokenizer, prompts[9:2:-1], max_new_tokens=6, batch_tokens=480, cache=tmp_path
    )
    assert some == expected[1][9:2:-1]
    assert counted.prompts == []
    assert len(list(tmp_path.glob("generations-*.jsonl"))) == 2


def test_file_says_what_it_holds(tuned, tokenizer, prompts, tmp_path):
    generate_answers(tuned, tokenizer, prompts[:3], cache=tmp_path, **OPTIONS)
    (path,) = tmp_path.iterdir()
    first, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {"key", "model", "base", "adapter", "max_new_tokens", "temperature", "stop"} <= set(first)
    assert (
        first["adapter"] and len(rows) == 3 and all(set(row) == {"key", "prompt", "answer"} for row in rows)
    )


def test_equal_prompts_are_asked_once(tuned, tokenizer, prompts, monkeypatch):
    counted = Counted(tuned, monkeypatch)
    answers = generate_answers(tuned, tokenizer, [prompts[0], prompts[1], prompts[0]], **OPTIONS)
    assert counted.prompts == [2] and answers[0] == answers[2]


def test_another_adapter_base_prompt_or_setting_is_never_answered_from_the_cache(
    tuned, tiny_profile, tokenizer, prompts, tmp_path, monkeypatch
):
    options = OPTIONS | {"cache": tmp_path}
    generate_answers(tuned, tokenizer, prompts, **options)
    counted = Counted(tuned, monkeypatch)

    def asked(messages=prompts, **changed) -> int:
        counted.prompts.clear()
        generate_answers(tuned, tokenizer, messages, **options | changed)
        return sum(counted.prompts)

    everyone = len(prompts)
    assert asked() == 0
    assert asked(max_new_tokens=5) == everyone
    assert asked(temperature=0.7) == everyone
    assert asked(temperature=0.7, seed=1) == everyone
    assert asked(temperature=0.7, top_p=0.5) == everyone
    assert asked([to_messages(record_with(prompts[0], "다른 질문"), with_answer=False)]) == 1
    changed = [[{**turns[0], "content": "다르게 답하세요."}, *turns[1:]] for turns in prompts]
    assert asked(changed) == everyone
    with tuned.disable_adapter():
        assert asked() == everyone
    for module in tuned.modules():  # the adapter counts twice as much
        if isinstance(getattr(module, "scaling", None), dict):  # attention has a number of that name
            module.scaling = {name: 2 * value for name, value in module.scaling.items()}
    assert asked() == everyone
    perturb(tuned, 0.4)
    assert asked() == everyone
    with torch.no_grad():
        next(p for name, p in tuned.named_parameters() if "embed" in name)[0, 0] += 1
    assert asked() == everyone
    assert asked() == 0


def record_with(turns, question):
    return {
        "instruction": turns[0]["content"],
        "context": ["문서"],
        "question": question,
        "answer": "",
        "cot": None,
    }


def test_base_is_the_same_with_and_without_an_adapter_and_not_in_4_bit(tiny_profile):
    plain = model_identity(load_base_model(tiny_profile))
    nf4 = load_base_model(tiny_profile, quantization_config=build_bnb_config(tiny_profile))
    quantized = model_identity(nf4)
    assert plain["adapter"] is None and plain["base"] != quantized["base"]
    assert quantized == model_identity(
        load_base_model(tiny_profile, quantization_config=build_bnb_config(tiny_profile))
    )
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(load_base_model(tiny_profile), LoraConfig(target_modules=["q_proj", "up_proj"]))
    attached = model_identity(wrapped)
    assert attached["adapter"] and attached["base"] == plain["base"]
    with wrapped.disable_adapter():
        assert model_identity(wrapped) == plain
    wrapped.add_adapter("second", LoraConfig(target_modules=["q_proj"]))
    wrapped.set_adapter("second")
    assert model_identity(wrapped)["adapter"] not in (None, attached["adapter"])
    wrapped.set_adapter("default")
    assert model_identity(wrapped) == attached


def test_a_base_is_hashed_once_and_again_when_it_was_written_to(tuned, monkeypatch):
    from src.generation import answer_cache

    hashed, count = [], answer_cache._hash_tensors
    monkeypatch.setattr(
        answer_cache,
        "_hash_tensors",
        lambda tensors, *extra: hashed.append(len(tensors)) or count(tensors, *extra),
    )
    first = model_identity(tuned)
    with tuned.disable_adapter():
        assert model_identity(tuned) == {**first, "adapter": None}
    assert model_identity(tuned) == first
    assert hashed[0] not in hashed[1:]  # the base, then the adapter twice
    with torch.no_grad():
        tuned.get_base_model().model.layers[0].mlp.up_proj.base_layer.weight[0, 0] += 1
    assert model_identity(tuned)["base"] != first["base"]


def test_torn_and_foreign_lines_are_not_trusted(tmp_path):
    cache = AnswerCache(tmp_path, {"model": "가"})
    cache.add({"p1": "하나", "p2": "두\n줄\u2028"})
    stranger = {"key": "다른 열쇠", "prompt": "p3", "answer": "남의 답"}
    lines = [json.dumps(stranger), "[1]", '{"prompt": "p4"}', "{깨진 줄"]
    with cache.path.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n" + '{"key": "' + cache.key + '", "prompt": "p5", "ans')
    again = AnswerCache(tmp_path, {"model": "가"})
    assert again.answers == {"p1": "하나", "p2": "두\n줄\u2028"}
    again.add({"p5": "다섯", "p1": "바뀐 답"})
    assert AnswerCache(tmp_path, {"model": "가"}).answers == {
        "p1": "하나",
        "p2": "두\n줄\u2028",
        "p5": "다섯",
    }
    assert AnswerCache(tmp_path, {"model": "나"}).answers == {}


CHILD = """
import json, os, signal, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from src.generation import generate_answers
folder, cache, prompts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
calls, generate = [], model.generate
def killed_at_third(**inputs):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return generate(**inputs)
model.generate = killed_at_third
generate_answers(
    model, AutoTokenizer.from_pretrained(folder), prompts, max_new_tokens=6, batch_tokens=640, cache=cache
)
"""


def test_killed_in_the_middle_and_started_again_gives_the_same_table(
    random_base_dir, tokenizer, prompts, tmp_path, monkeypatch
):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(random_base_dir, dtype=torch.float32).eval()
    whole = generate_answers(model, tokenizer, prompts, cache=tmp_path / "whole", **OPTIONS)
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, random_base_dir, tmp_path / "cut", json.dumps(prompts)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert killed.returncode == -signal.SIGKILL
    (path,) = (tmp_path / "cut").iterdir()
    with path.open("ab") as file:  # as if it had been killed while writing the third batch
        file.write(path.read_bytes().splitlines()[-1][:40])
    counted = Counted(model, monkeypatch)
    assert generate_answers(model, tokenizer, prompts, cache=tmp_path / "cut", **OPTIONS) == whole
    assert counted.prompts == [5, 3]  # of four batches the last two
    (other,) = (tmp_path / "whole").iterdir()
    torn = []
    assert other.name == path.name and read_jsonl(path, damaged=torn) == read_jsonl(other)
    assert len(torn) == 1


def test_interrupted_sampling_goes_on_with_the_same_draws(tuned, tokenizer, prompts, tmp_path, monkeypatch):
    options = OPTIONS | {"temperature": 0.8}
    whole = generate_answers(tuned, tokenizer, prompts, **options)
    counted = Counted(tuned, monkeypatch)
    generate = tuned.generate

    def interrupted(**inputs):
        if len(counted.prompts) == 2:
            raise KeyboardInterrupt
        return generate(**inputs)

    with monkeypatch.context() as patch:
        patch.setattr(tuned, "generate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            generate_answers(tuned, tokenizer, prompts, cache=tmp_path, **options)
    counted.prompts.clear()
    assert generate_answers(tuned, tokenizer, prompts, cache=tmp_path, **options) == whole
    assert counted.prompts == [5, 3]


def test_few_shot_prompts_have_answers_of_their_own(tuned, tokenizer, records, prompts, tmp_path):
    examples = [to_messages(record) for record in records[-1:]]
    plain, _ = generate_base_and_tuned(tuned, tokenizer, prompts[:8], cache=tmp_path, **OPTIONS)
    shown = generate_few_shot(tuned, tokenizer, prompts[:8], examples, cache=tmp_path, **OPTIONS)
    assert shown != plain
    assert shown == generate_few_shot(tuned, tokenizer, prompts[:8], examples, cache=tmp_path, **OPTIONS)
    assert generate_few_shot(tuned, tokenizer, prompts[:8], [], **OPTIONS) == plain
