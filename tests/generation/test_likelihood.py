"""Scores of given answers: the same as one token after another, one prompt after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.generation.likelihood import score_continuations
from src.qlora.adapters import attach_adapter
from src.qlora.loading import load_base_model
from src.raft.prompt import render_chat, to_messages

CHOICES = ["네", "네, 나옵니다.", "아니요, 나오지 않습니다.", "310W"]


@pytest.fixture
def model(tiny_profile):
    return load_base_model(tiny_profile).float()  # fp32: padding changes the last bits of bf16 logits


@pytest.fixture
def prompts(records):
    return [to_messages(record, with_answer=False) for record in records]


@torch.no_grad()
def naive(model, tokenizer, prompts, choices) -> np.ndarray:
    """A loop that feeds prompt and answer whole, without padding, cache or batch, and reads one token at a time."""
    table = []
    for turns in prompts:
        start = tokenizer(render_chat(tokenizer, turns, add_generation_prompt=True), add_special_tokens=False)
        row = []
        for text in choices:
            ids, total = list(start["input_ids"]), 0.0
            for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
                logits = model(torch.tensor([ids])).logits[0, -1]
                total += float(logits.double().log_softmax(-1)[token])
                ids.append(token)
            row.append(total)
        table.append(row)
    return np.array(table)


def test_scores_equal_a_naive_loop(model, tokenizer, prompts):
    expected = naive(model, tokenizer, prompts[:6], CHOICES)
    assert np.ptp(expected, axis=0).min() > 0.01  # rows differ: a shuffled order would show
    for batch_tokens in (1, 1500, 100_000):
        scores = score_continuations(model, tokenizer, prompts[:6], CHOICES, batch_tokens=batch_tokens)
        assert scores.shape == (6, 4) and scores.dtype == np.float64
        np.testing.assert_allclose(scores, expected, atol=1e-3)
    back = score_continuations(model, tokenizer, prompts[5::-1], CHOICES[::-1])
    np.testing.assert_allclose(back, expected[::-1, ::-1], atol=1e-3)


def test_per_token_divides_by_the_number_of_tokens(model, tokenizer, prompts):
    sums, means = (
        score_continuations(model, tokenizer, prompts[:3], CHOICES, per_token=on) for on in (False, True)
    )
    lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in CHOICES]
    assert len(set(lengths)) > 1
    np.testing.assert_allclose(means * lengths, sums)


def test_all_single_tokens_add_up_to_one(model, tokenizer, prompts):
    vocabulary = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    single = {
        tokenizer(text, add_special_tokens=False)["input_ids"][0]: text
        for text in vocabulary
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1
    }
    scores = score_continuations(model, tokenizer, prompts[:2], list(single.values()))
    assert len(single) > 100 and (np.exp(scores).sum(axis=1) <= 1 + 1e-5).all()


def test_a_beginning_is_at_least_as_likely_as_what_goes_on(model, tokenizer, prompts):
    scores = score_continuations(model, tokenizer, prompts, ["네", "네,", "네, 나옵니다."])
    assert (np.diff(scores, axis=1) <= 0).all()


def test_adapter_off_is_the_base_and_the_mode_is_left(tiny_profile, tokenizer, prompts):
    base = load_base_model(tiny_profile).float()
    expected = score_continuations(base, tokenizer, prompts[:4], CHOICES)
    model = attach_adapter(base, tiny_profile)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    model.train()
    assert not np.allclose(score_continuations(model, tokenizer, prompts[:4], CHOICES), expected)
    with model.disable_adapter():
        np.testing.assert_allclose(
            score_continuations(model, tokenizer, prompts[:4], CHOICES), expected, atol=1e-4
        )
    assert model.training


def test_equal_prompts_are_read_once(model, tokenizer, prompts, monkeypatch):
    forward, rows = model.forward, []
    monkeypatch.setattr(
        model,
        "forward",
        lambda *args, **inputs: rows.append(len(inputs["input_ids"])) or forward(*args, **inputs),
    )
    scores = score_continuations(
        model, tokenizer, [prompts[0], prompts[1], prompts[0]], ["네, 나옵니다.", "W"]
    )
    assert rows == [2, 4] and (scores[0] == scores[2]).all()


@pytest.mark.parametrize("choices", [[], ["네", ""]])
def test_nothing_to_compare_is_said_in_korean(model, tokenizer, prompts, choices):
    with pytest.raises(ValueError, match="견줄 말이 없거나"):
        score_continuations(model, tokenizer, prompts[:1], choices)


def test_no_prompts_and_too_long_a_prompt(model, tokenizer, prompts):
    assert score_continuations(model, tokenizer, [], CHOICES).shape == (0, 4)
    with pytest.raises(ValueError, match="모델의 자리는"):
        score_continuations(model, tokenizer, prompts[:1], ["네 " * model.config.max_position_embeddings])
