"""Answers: in order, greedy, stopping at EOS, the same in a batch as alone."""

from __future__ import annotations

import warnings

import pytest
import torch

from src.generation.few_shot import with_examples
from src.generation.generate import generate_answers, generate_base_and_tuned
from src.qlora.adapters import attach_adapter
from src.qlora.loading import load_base_model
from src.raft.prompt import to_messages


@pytest.fixture
def model(tiny_profile):
    return load_base_model(tiny_profile).float()  # fp32: padding changes the last bits of bf16 logits


@pytest.fixture
def prompts(records):
    return [to_messages(record, with_answer=False) for record in records]


def test_batched_equals_one_by_one(model, tokenizer, prompts):
    alone = generate_answers(model, tokenizer, prompts, max_new_tokens=12, batch_tokens=1)
    assert len(set(alone)) > 4  # the order could not be checked on equal answers
    assert generate_answers(model, tokenizer, prompts, max_new_tokens=12, batch_tokens=700) == alone
    assert generate_answers(model, tokenizer, prompts[::-1], max_new_tokens=12) == alone[::-1]


def test_matches_greedy_argmax_by_hand(model, tokenizer, prompts):
    text = tokenizer.apply_chat_template(prompts[3], tokenize=False, add_generation_prompt=True)
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    start = ids.shape[1]
    with torch.no_grad():
        while ids.shape[1] < start + 6 and ids[0, -1] != tokenizer.eos_token_id:
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], dim=1)
    expected = tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()
    assert generate_answers(model, tokenizer, [prompts[3]], max_new_tokens=6) == [expected]


def test_stops_at_eos_and_drops_the_rest(model, tokenizer, prompts, monkeypatch):
    """A stand-in for the forward pass writes 답, EOS, then 답 for ever: only the first is the answer."""
    token = tokenizer("310", add_special_tokens=False)["input_ids"][0]
    forward, calls = model.forward, []

    def scripted(*args, **kwargs):
        output = forward(*args, **kwargs)
        calls.append(1)
        wanted = tokenizer.eos_token_id if len(calls) == 2 else token
        output.logits[:, -1] = -1e9
        output.logits[:, -1, wanted] = 1e9
        return output

    monkeypatch.setattr(model, "forward", scripted)
    answers = generate_answers(model, tokenizer, prompts[:3], max_new_tokens=30)
    assert answers == [tokenizer.decode([token]).strip()] * 3
    assert len(calls) == 2


@pytest.mark.parametrize("stateful", [False, True])
def test_ended_rows_leave_the_batch(model, tokenizer, prompts, monkeypatch, stateful):
    """A stand-in for the forward pass: row i writes i tokens and EOS. It sees the token before and no more."""
    limit = 10
    asked = sorted(prompts, key=lambda turns: -len(tokenizer.apply_chat_template(turns)["input_ids"]))[:12]
    # Each token is followed by the one that stands before it here.
    chain = torch.tensor([tokenizer.eos_token_id, *range(300, 300 + len(asked))])
    forward, sizes = model.forward, []

    def scripted(*args, input_ids, **kwargs):
        output = forward(*args, input_ids=input_ids, **kwargs)
        sizes.append(len(input_ids))
        first, last = input_ids.shape[1] > 1, input_ids[:, -1]
        wanted = chain[: len(last)] if first else chain[(last - 300).clamp(min=0)]
        output.logits[:, -1] = -1e9
        output.logits[range(len(last)), -1, wanted] = 1e9
        return output

    monkeypatch.setattr(model, "forward", scripted)
    monkeypatch.setattr(model, "_is_stateful", stateful)
    monkeypatch.setattr("src.generation.generate.SPLIT_ABOVE", 3)
    answers = generate_answers(model, tokenizer, asked, max_new_tokens=limit)
    assert answers == [tokenizer.decode(chain[1 : i + 1].flip(0)[:limit]).strip() for i in range(len(asked))]
    assert sizes == ([12] * 10 if stateful else [12] * 6 + [6] * 3 + [3])


def test_checkpoint_sampling_settings_neither_sample_nor_warn(model, tokenizer, prompts, caplog):
    expected = generate_answers(model, tokenizer, prompts[:4], max_new_tokens=8)
    model.generation_config.update(
        do_sample=True, temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.5
    )
    model.config.use_cache = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert generate_answers(model, tokenizer, prompts[:4], max_new_tokens=8) == expected
    assert caplog.text == ""


def test_training_mode_is_restored(model, tokenizer, prompts):
    model.train()
    generate_answers(model, tokenizer, prompts[:2], max_new_tokens=2)
    assert model.training
    model.eval()
    generate_answers(model, tokenizer, prompts[:2], max_new_tokens=2)
    assert not model.training


def test_no_prompts_no_answers(model, tokenizer):
    assert generate_answers(model, tokenizer, [], max_new_tokens=4) == []


def test_base_and_tuned_from_one_model(tiny_profile, tokenizer, prompts):
    options = {"max_new_tokens": 8, "batch_tokens": 1000}
    base = load_base_model(tiny_profile).float()
    expected = generate_answers(base, tokenizer, prompts, **options)
    model = attach_adapter(base, tiny_profile)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    first, second = generate_base_and_tuned(model, tokenizer, prompts, **options)
    assert first == expected
    assert second != expected


def test_sampling_is_seeded_varied_and_leaves_other_random_numbers_alone(model, tokenizer, prompts):
    options = {"max_new_tokens": 8, "batch_tokens": 500, "temperature": 1.5}
    torch.manual_seed(5)
    expected_next = torch.rand(3)
    torch.manual_seed(5)
    first = generate_answers(model, tokenizer, prompts, **options)
    assert torch.equal(torch.rand(3), expected_next)
    assert generate_answers(model, tokenizer, prompts, **options) == first
    assert generate_answers(model, tokenizer, prompts, seed=1, **options) != first
    draws = generate_answers(model, tokenizer, [prompts[0]] * 6, **options)
    assert len(set(draws)) > 1
    greedy = generate_answers(model, tokenizer, prompts, max_new_tokens=8)
    assert first != greedy
    # So little probability that one token has it all.
    assert generate_answers(model, tokenizer, prompts, top_p=1e-6, **options) == greedy
    for wrong in ({"temperature": -1}, {"top_p": 0.0}, {"top_p": 1.1}):
        with pytest.raises(ValueError, match="temperature는 0 이상"):
            generate_answers(model, tokenizer, prompts, max_new_tokens=8, **wrong)


def test_prompt_longer_than_the_model_is_refused(model, tokenizer, prompts):
    room = model.config.max_position_embeddings
    with pytest.raises(ValueError, match=f"모델의 자리는 {room:,}토큰"):
        generate_answers(model, tokenizer, prompts, max_new_tokens=room)


def test_examples_are_earlier_turns_of_the_same_form(records, prompts):
    examples = [to_messages(record) for record in records[:2]]
    shown = with_examples(prompts[5], examples)
    assert [turn["role"] for turn in shown] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert (shown[0], shown[-1]) == tuple(prompts[5])
    assert [shown[1:3], shown[3:5]] == [example[1:] for example in examples]
    assert with_examples(prompts[5], []) == prompts[5]
    with pytest.raises(ValueError, match="예시에 답이 없습니다"):
        with_examples(prompts[5], prompts[:1])


def test_progress_shows_answers_and_counts_kept_ones(model, tokenizer, prompts, tmp_path, capsys):
    options = {"max_new_tokens": 2, "batch_tokens": 600, "cache": tmp_path}
    generate_answers(model, tokenizer, prompts[:6], **options)
    assert capsys.readouterr().err == ""
    generate_answers(model, tokenizer, prompts, progress=True, label="채점용 답", **options)
    bar = capsys.readouterr().err
    assert "채점용 답" in bar and "16/16" in bar


def test_examples_for_the_third_system_are_short_seeded_and_hold_an_abstention(tiny_profile, records):
    from dataclasses import replace

    from src.data.schemas import RaftRecord
    from src.generation.few_shot import few_shot_examples

    train = [
        RaftRecord(**record | {"n_tokens": 100 + i, "answerable": i % 4 != 0})
        for i, record in enumerate(records)
    ]
    questions = {record.question: record for record in train}

    def chosen(**changed):
        shown = few_shot_examples(replace(tiny_profile, **changed), train)
        return [questions[turns[1]["content"].rsplit("[질문] ", 1)[1]] for turns in shown]

    three = chosen(few_shot_examples=3)
    assert [record.answerable for record in three] == [True, True, False]
    assert max(record.n_tokens for record in three) <= 108 and chosen(few_shot_examples=3) == three
    assert [record.answerable for record in chosen(few_shot_examples=1)] == [True]
    assert chosen(few_shot_examples=0) == []


@pytest.fixture
def half(tiny_profile):
    """The profile as a card computes it, and a tuned NF4 model of it."""
    from dataclasses import replace

    from src.qlora.configs import build_bnb_config

    profile = replace(tiny_profile, compute_dtype="bfloat16")
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    model = attach_adapter(base, profile).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return model


def test_16_bit_from_first_to_last(half, tokenizer, prompts, monkeypatch):
    """What lies in memory and what is made while answering: weights, activations, cache, logits of one position."""
    stored = {parameter.dtype for name, parameter in half.named_parameters() if "lora_" not in name}
    assert stored == {torch.uint8, torch.bfloat16}  # packed linear layers; norms, embeddings, head
    seen, caches, shapes = set(), [], []
    handles = [
        module.register_forward_hook(lambda module, args, output: seen.add(output.dtype))
        for name, module in half.named_modules()
        if name.endswith(("norm", "_proj", "embed_tokens", "mlp", "lora_A.default", "lora_B.default"))
    ]
    handles.append(
        half.get_base_model().lm_head.register_forward_hook(
            lambda m, args, out: shapes.append((out.dtype, out.shape[1]))
        )
    )
    generate = half.generate

    def kept(**inputs):
        output = generate(**inputs)
        caches.append(output.past_key_values)
        return output

    monkeypatch.setattr(half, "generate", kept)
    generate_answers(half, tokenizer, prompts, max_new_tokens=4, batch_tokens=1000)
    for handle in handles:
        handle.remove()
    assert seen == {torch.bfloat16} and set(shapes) == {(torch.bfloat16, 1)}
    config = half.config
    for cache in caches:
        rows, _, length, _ = cache.layers[0].keys.shape
        held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        a_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
        assert held == rows * length * a_token * 2


def test_answers_come_from_the_logits_of_training(half, tokenizer, prompts):
    """Trainer computes under accelerate's bf16 autocast: the same numbers, to the last bit."""
    from src.qlora.adapters import logits_of

    text = tokenizer.apply_chat_template(prompts[0], tokenize=False, add_generation_prompt=True)
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        trained = half(input_ids=ids).logits
    assert torch.equal(logits_of(half, ids), trained)
    first = tokenizer.decode(trained[0, -1].argmax()).strip()
    assert generate_answers(half, tokenizer, prompts[:1], max_new_tokens=1) == [first]
    for module in half.modules():  # the same weights, computed in fp32: what bf16 rounds
        if hasattr(module, "compute_dtype"):
            module.compute_dtype = torch.float32
        for parameter in module.parameters(recurse=False):
            if parameter.dtype == torch.bfloat16:
                parameter.data = parameter.data.float()
    in_fp32 = logits_of(half, ids)
    assert in_fp32.dtype == torch.float32
    # Every layer rounds a handful of times.
    assert (trained - in_fp32).norm() / in_fp32.norm() < 4 * torch.finfo(torch.bfloat16).eps


def test_batches_hold_as_many_tokens_as_they_may(model, tokenizer, prompts, monkeypatch):
    shapes, generate = [], model.generate

    def watched(**inputs):
        if inputs["past_key_values"] is None:
            shapes.append(tuple(inputs["input_ids"].shape))
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", watched)
    generate_answers(model, tokenizer, prompts, max_new_tokens=6, batch_tokens=640)
    assert sum(rows for rows, _ in shapes) == len(prompts) and len({rows for rows, _ in shapes}) > 1
    assert [width for _, width in shapes] == sorted((width for _, width in shapes), reverse=True)
    for i, (rows, width) in enumerate(shapes):
        assert rows * (width + 6) <= 640
        assert (rows + 1) * (width + 6) > 640 or i == len(shapes) - 1
    shapes.clear()
    generate_answers(model, tokenizer, prompts[:3], max_new_tokens=6, batch_tokens=1)  # too few for any
    assert [rows for rows, _ in shapes] == [1, 1, 1]


def test_out_of_memory_names_answering_and_the_batch(model, tokenizer, prompts, monkeypatch):
    from src.qlora.fitting import OutOfMemory

    def refused(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.12 GiB.")

    monkeypatch.setattr(model, "generate", refused)
    with pytest.raises(OutOfMemory, match="답하기를 멈췄습니다") as caught:
        generate_answers(model, tokenizer, prompts, max_new_tokens=6, batch_tokens=640)
    text = str(caught.value)
    assert "질문 4개 × 가장 긴 159토큰" in text and "batch_tokens를 320" in text
    assert "Tried to allocate 3.12 GiB" in text and "학습을 멈췄습니다" not in text
    with pytest.raises(OutOfMemory, match="질문 하나도 들어가지 않습니다"):
        generate_answers(model, tokenizer, prompts, max_new_tokens=6, batch_tokens=1)
    monkeypatch.setattr(model, "generate", lambda **inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate_answers(model, tokenizer, prompts, max_new_tokens=6)
