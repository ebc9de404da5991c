"""A head on a frozen base, trained layers, and what they leave of the base."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from src.qlora import attach_adapter, load_base_model
from src.raft import to_messages
from src.training import encode_prompts, fine_tune, fit_head, read_features, score_labels, tokenize_records
from src.training.classification import last_hidden

SETTINGS = {"learning_rate": 1e-3, "batch_size": 4, "seed": 0}


@pytest.fixture
def prompts(records, tokenizer):
    return encode_prompts(tokenizer, [to_messages(record, with_answer=False) for record in records])


@pytest.fixture
def base(tiny_profile):
    return load_base_model(tiny_profile)


def weights(model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def changed(before: dict[str, torch.Tensor], model) -> set[str]:
    """Which layers are not as they were: "layers.1", "norm", "embed_tokens"."""
    names = {name for name, parameter in model.named_parameters() if not torch.equal(before[name], parameter)}
    return {
        ".".join(name.removeprefix("model.").split(".")[: 2 if "layers" in name else 1]) for name in names
    }


def test_features_do_not_depend_on_padding_or_batches(base, prompts):
    alone = np.stack([read_features(base, [row])[0] for row in prompts])
    for options in ({}, {"pad_to": 200}, {"batch_tokens": 1}):
        assert read_features(base, prompts, **options) == pytest.approx(alone, abs=1e-4)


def test_the_classifier_is_transformers_own(base, prompts, tiny_profile):
    """The same weights in ``AutoModelForSequenceClassification`` give the same logits."""
    from transformers import AutoModelForSequenceClassification

    from src.qlora.registry import MODELS

    folder = MODELS[tiny_profile.model].source
    theirs = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=2, dtype=torch.float32
    ).eval()
    rows = [prompts[0], prompts[1]]
    width = max(map(len, rows))
    pad = theirs.config.pad_token_id
    ids = torch.tensor([[*row, *[pad] * (width - len(row))] for row in rows])
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=(ids != pad).long()).logits
        ours = last_hidden(base, rows) @ theirs.score.weight.T
    assert torch.allclose(ours, expected, atol=1e-4)


def blobs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    return draw.normal(size=(count, 3)) * [1, 1, 100] + np.outer(labels, [4, 0, 0]), labels


def test_a_head_learns_keeps_its_best_and_stops(seed=0):
    x, y = blobs(200, 1)
    options = {"held_out": blobs(100, 2), "batch_size": 16, "seed": seed}
    run = fit_head(x, y, learning_rate=0.02, epochs=500, patience=5, **options)
    assert run.trainable == 3 * 2 + 2
    probabilities = run.probabilities(blobs(100, 3)[0])
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (probabilities.argmax(axis=1) == blobs(100, 3)[1]).mean() > 0.9
    losses = [row["eval_loss"] for row in run.history]
    assert len(losses) < 500 and np.argmin(losses) == len(losses) - 6  # five without a lower one
    # The weights are the best epoch's, on the features as they came.
    held_x, held_y = options["held_out"]
    loss = -np.log(run.probabilities(held_x)[range(100), held_y]).mean()
    assert loss == pytest.approx(min(losses), rel=1e-3)
    again = fit_head(x, y, learning_rate=0.02, epochs=500, patience=5, **options)
    assert np.array_equal(run.weight, again.weight)


def test_layers_are_trained_from_the_top(base, prompts):
    labels = [row % 2 for row in range(len(prompts))]
    before = weights(base)
    run = fine_tune(base, prompts, labels, steps=2, stages=(0,), **SETTINGS)
    assert changed(before, base) == set() and run.trainable == 2 * 64 + 2
    run = fine_tune(base, prompts, labels, steps=2, stages=(0, 1), **SETTINGS)
    assert changed(before, base) == {"layers.1", "norm"}
    assert 2 * 64 + 2 < run.trainable < sum(p.numel() for p in base.parameters())
    run = fine_tune(base, prompts, labels, steps=2, stages=(9,), **SETTINGS)
    assert changed(before, base) == {"layers.0", "layers.1", "norm", "embed_tokens"}
    assert [row["step"] for row in run.history] == [2] and not base.training


def test_an_adapter_learns_and_the_base_stays(tiny_profile, prompts, records, tokenizer):
    model = attach_adapter(load_base_model(tiny_profile), tiny_profile)
    rows = tokenize_records(records[:4], tokenizer, 256)
    with model.disable_adapter():
        before = [scores.logp for scores in score_labels(model, rows)]
    labels = [int(len(row) > np.median([*map(len, prompts)])) for row in prompts]
    run = fine_tune(model, prompts, labels, steps=40, learning_rate=3e-3, batch_size=8, seed=0)
    assert run.history[-1]["loss"] < 0.5 * run.history[0]["loss"]
    assert (run.probabilities(read_features(model, prompts)).argmax(axis=1) == labels).mean() > 0.9
    assert any(not np.allclose(a.logp, b) for a, b in zip(score_labels(model, rows), before, strict=True))
    with model.disable_adapter():
        after = [scores.logp for scores in score_labels(model, rows)]
    assert all(np.array_equal(a, b) for a, b in zip(after, before, strict=True))


def test_label_scores_are_the_models_own(base, records, tokenizer):
    rows = tokenize_records(records[:5], tokenizer, 256)
    found = score_labels(base, rows, batch_tokens=1)
    for row, scores, batched in zip(rows, found, score_labels(base, rows), strict=True):
        with torch.no_grad():
            labels, ids = torch.tensor([row["labels"]]), torch.tensor([row["input_ids"]])
            output = base(input_ids=ids, labels=labels)
        assert -scores.logp.mean() == pytest.approx(output.loss.item(), abs=1e-4)
        assert (scores.best >= scores.logp - 1e-9).all() and (scores.entropy >= 0).all()
        written = output.logits[0, :-1].argmax(-1)[labels[0, 1:] != -100]
        assert scores.right == (written == labels[0, 1:][labels[0, 1:] != -100]).all().item()
        assert batched.logp == pytest.approx(scores.logp, abs=1e-4)
