"""What the drills are made of: practice's records, the pretended card, the diagnosis by itself. That each drill's fault is
found and mended shows in the whole day (tests/notebooks/test_notebooks.py), which does them all."""

from __future__ import annotations

import gc
import math

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.classroom import meters, practice
from src.classroom.exercises import hint_for
from src.training.diagnosis import diagnose_history


def test_practice_makes_its_own_few_records_and_says_nothing_of_the_days(monkeypatch, capsys, tmp_path):
    """Neither reads nor writes what the day's notebooks leave: whether 01 and 02 have run is not its business."""
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    found = practice.records()
    assert [len(found[name]) for name in ("train", "validation")] == [
        practice.train_count(),
        practice.VALIDATION_RECORDS,
    ]
    assert capsys.readouterr().out == "" and [*tmp_path.rglob("*.jsonl")] == []
    assert not {r.group_id for r in found["train"]} & {r.group_id for r in found["validation"]}


def test_a_card_of_a_capacity_refuses_what_does_not_fit():
    x = torch.randn(1000, requires_grad=True)
    with meters.TensorBytes(capacity=1.5 * x.nbytes) as card:
        y = x * x  # kept for the backward pass of the next
        with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
            y * y
        assert card.held == y.nbytes  # what was refused does not count
        del y
        gc.collect()
        x * x  # fits again
    assert card.peak == x.nbytes


def history(losses, evals=(), every=2):
    """A table as ``loss_history`` makes it: a training loss a step, an evaluation loss at every second."""
    rows = [
        {"step": i + 1, "loss": loss, "eval_loss": math.nan, "learning_rate": 1e-3}
        for i, loss in enumerate(losses)
    ]
    for i, loss in enumerate(evals):
        rows[every * (i + 1) - 1]["eval_loss"] = loss
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("losses", "evals", "words"),
    [
        ([2.0, 1.2, 0.8, 0.7, 0.6, 0.6], [1.1, 0.8, 0.7], []),
        ([2.0, 2.4, 1.5, 0.9, 0.7, 0.6], [], []),  # a hard first batch or two
        ([2.0, 9.0, 8.0, 7.5, 7.4, 7.4], [], ["튀어 올랐습니다"]),
        ([1.0, 9.0, 9.0, 9.0, 9.0, 9.0], [], ["튀어 올랐습니다"]),
        ([2.0, 0.5, 0.4, 1.5, 1.9, 1.9], [], ["튀어 올랐습니다"]),  # learned, then lost again
        ([2.0, 1.0, 0.5, 0.0, 0.0, 0.0], [], ["0이거나 NaN"]),  # how Trainer logs NaN
        ([2.0, 1.0, math.nan, math.nan, math.nan, math.nan], [], ["0이거나 NaN"]),
        ([2.0, 2.1, 1.9, 2.0, 2.1, 1.9], [], ["거의 내려가지 않았습니다"]),
        ([2.0, 1.0, 0.6, 0.5, 0.45, 0.4], [1.0, 0.9, 1.2], ["과적합"]),  # risen
        ([2.0, 0.5, 0.1, 0.02, 0.01, 0.01], [1.0, 0.9, 0.9], ["과적합"]),  # far apart
        ([2.0, 1.0], [], []),  # too little to say
    ],
)
def test_diagnosis(losses, evals, words):
    found = diagnose_history(history(losses, evals))
    assert len(found) == len(words) and all(word in text for word, text in zip(words, found, strict=True))


@settings(max_examples=30)
@given(
    start=st.floats(0.5, 10),
    share=st.floats(0.05, 0.6),
    noise=st.lists(st.floats(0.9, 1.1), min_size=12, max_size=12),
)
def test_a_falling_loss_with_noise_is_healthy(start, share, noise):
    losses = [start * share ** (i / 11) * wobble for i, wobble in enumerate(noise)]
    assert diagnose_history(history(losses, [loss * 1.1 for loss in losses[1::2]])) == []


@settings(max_examples=30)
@given(scale=st.floats(1e-3, 1e3))
def test_a_diagnosis_does_not_depend_on_the_scale(scale):
    for losses in (
        [2.0, 9.0, 8.0, 7.5, 7.4, 7.4],
        [2.0, 2.1, 1.9, 2.0, 2.1, 1.9],
        [2.0, 1.2, 0.8, 0.7, 0.6, 0.6],
    ):
        scaled = diagnose_history(history([loss * scale for loss in losses]))
        assert [text.split("(")[0] for text in scaled] == [
            text.split("(")[0] for text in diagnose_history(history(losses))
        ]


def test_tensor_bytes_counts_a_storage_once_and_forgets_it():
    with meters.TensorBytes() as meter:
        x = torch.zeros(1000)
        y = x.view(10, 100)
        array = torch.ones(500).numpy()  # numpy holds the tensor's memory
        assert meter.held == 6000
        del x
        assert meter.held == 6000  # y still looks at it
        del y, array
        gc.collect()
    assert (meter.held, meter.peak) == (0, 6000)


def test_evaluation_without_gathered_logits_does_not_grow_with_its_records(tmp_path):
    """Peak bytes of tensors at 1, 4 and 16 times the records, against Trainer's gathering for compute_metrics."""
    from datasets import concatenate_datasets

    trainer = practice.short_trainer(str(tmp_path), practice.healthy_rows().select(range(4)))
    trainer.args.per_device_eval_batch_size = 2
    row = practice.healthy_rows().select([0] * 2)
    peaks = {}
    for gather in (False, True):
        trainer.args.prediction_loss_only = not gather
        for times in (1, 4, 16):
            loader = trainer.get_eval_dataloader(concatenate_datasets([row] * times))
            with meters.TensorBytes() as meter:
                trainer.evaluation_loop(loader, "memory")
            peaks[gather, times] = meter.peak
    logits = 2 * len(row[0]["input_ids"]) * len(practice.tokenizer()) * 4
    # From the second batch on the one before is still there while the next is computed.
    assert peaks[False, 16] < peaks[False, 4] + 0.05 * logits
    assert peaks[True, 16] > peaks[True, 1] + 14 * logits


def test_the_diagnosis_exercise_answers_back():
    right = {"가": "학습률이 작음", "나": "과적합", "다": "정상"}
    assert hint_for("03-diagnose", right) is None
    wrong = [
        right | {"가": "정상"},
        right | {"나": "정상"},
        right | {"다": "과적합"},
        right | {"가": "?"},
        "과적합",
    ]
    hints = [hint_for("03-diagnose", answer) for answer in wrong]
    assert all(hints) and len(set(hints)) == len(hints)
