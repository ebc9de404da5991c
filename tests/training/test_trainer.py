"""Runs that repeat, answer while they evaluate, stop in time, and say what to do when memory runs out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import Trainer

from src.profiles import PROFILES
from src.qlora.adapters import attach_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import load_base_model
from src.raft.prompt import to_messages
from src.training.build import _arguments, build_trainer, loss_history, share_batch
from src.training.labels import IGNORE, tokenize_records
from src.training.trainer import WorkshopTrainer


def train(profile, base, tokenizer, records, output_dir, **options):
    model = attach_adapter(base, profile)
    dataset = tokenize_records(records, tokenizer, profile.max_seq_length)
    trainer = build_trainer(
        model, tokenizer, dataset, dataset.select(range(6)), profile, output_dir, **options
    )
    trainer.train()
    return trainer


def test_training_repeats_and_learns(tiny_profile, tokenizer, records, tmp_path, recwarn):
    profile = replace(tiny_profile, epochs=3, learning_rate=2e-3)
    histories = []
    for run in ("a", "b"):
        base = load_base_model(profile, quantization_config=build_bnb_config(profile))
        trainer = train(profile, base, tokenizer, records, tmp_path / run)
        histories.append(loss_history(trainer))
    first, second = histories
    assert first.equals(second)
    assert list(first["step"]) == list(range(1, 13))  # 16 records / 4 × 3 epochs, logged at each step
    losses = first["eval_loss"].dropna()
    assert list(first["step"][losses.index]) == [3, 6, 9, 12]
    assert losses.iloc[-1] < losses.iloc[0] - 0.05
    # The best checkpoint is what the trainer holds now, and no more than two are kept.
    assert trainer.state.best_metric == losses.min()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses.min(), abs=1e-6)
    assert len(list((tmp_path / "b").glob("checkpoint-*"))) == 2
    assert list((tmp_path / "b" / "runs").glob("events.*"))
    assert trainer.model.config.use_cache is False
    noise = [w for w in recwarn if issubclass(w.category, (UserWarning, FutureWarning))]
    assert noise == [], [str(w.message) for w in noise]


def test_batches_are_padded_to_their_longest_only(tiny_profile, tokenizer, records, tmp_path, nf4_base):
    dataset = tokenize_records(records, tokenizer, 256)
    model = attach_adapter(nf4_base, tiny_profile)
    trainer = build_trainer(model, tokenizer, dataset, dataset, tiny_profile, tmp_path)
    for batch in trainer.get_train_dataloader():
        longest = int(batch["attention_mask"].sum(dim=1).max())
        assert batch["input_ids"].shape[1] == -(-longest // 8) * 8
        padding = batch["attention_mask"] == 0
        assert torch.all(batch["labels"][padding] == IGNORE)
        assert torch.all(batch["input_ids"][padding] == tokenizer.pad_token_id)


def test_logits_where_answers_are_give_the_same_adapter(
    tiny_profile, tokenizer, records, tmp_path, monkeypatch
):
    """Bit for bit, with prompts of different lengths in a batch, at a fraction of the positions."""
    adapters, computed = [], []
    for everywhere in (False, True):
        if everywhere:
            monkeypatch.setattr(WorkshopTrainer, "compute_loss", Trainer.compute_loss)
        base = load_base_model(tiny_profile, quantization_config=build_bnb_config(tiny_profile))
        shapes = []
        base.lm_head.register_forward_hook(lambda _, __, output, shapes=shapes: shapes.append(output.shape))
        trainer = train(tiny_profile, base, tokenizer, records, tmp_path / str(everywhere))
        computed.append(sum(shape[0] * shape[1] for shape in shapes))
        adapters.append({n: p.detach().clone() for n, p in trainer.model.named_parameters() if "lora" in n})
        losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
        assert losses
    few, all_of_them = adapters
    assert few.keys() == all_of_them.keys()
    assert all(torch.equal(few[name], all_of_them[name]) for name in few)
    assert computed[0] < computed[1] / 2


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("full_text", [False, True])
def test_the_loss_is_that_of_all_logits(
    tiny_profile, tokenizer, records, tmp_path, nf4_base, side, full_text, monkeypatch
):
    monkeypatch.setattr(tokenizer, "padding_side", side)
    dataset = tokenize_records(records, tokenizer, tiny_profile.max_seq_length)
    if full_text:  # the first token of all is a label, which nothing before it predicts
        dataset = dataset.map(lambda row: {"labels": row["input_ids"]})
    model = attach_adapter(nf4_base, tiny_profile)
    trainer = build_trainer(model, tokenizer, dataset, dataset, tiny_profile, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    counted = (batch["labels"] != IGNORE).sum()
    with torch.no_grad():
        ours = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=counted)
        full = Trainer.compute_loss(trainer, trainer.model, dict(batch), num_items_in_batch=counted)
        trainer.args.prediction_loss_only = False
        _, output = trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)
    torch.testing.assert_close(ours, full, rtol=1e-6, atol=0)
    assert output.logits.shape[1] == batch["input_ids"].shape[1]  # whoever asks for logits gets them all


def test_evaluation_does_not_change_training(tiny_profile, tokenizer, records, tmp_path):
    """The same run with and without evaluations in between: equal training losses, or gradients are broken."""
    losses = []
    for eval_steps in (1, 1000):
        # Starting an evaluation draws from the random generator, which dropout and the next epoch's order share.
        profile = replace(tiny_profile, epochs=1, lora_dropout=0.0, batch_size=2, eval_steps=eval_steps)
        base = load_base_model(profile, quantization_config=build_bnb_config(profile))
        trainer = train(profile, base, tokenizer, records, tmp_path / str(eval_steps))
        losses.append(loss_history(trainer)["loss"].dropna().tolist())
    assert losses[0] == losses[1] and len(losses[0]) == 8


def test_answering_at_each_evaluation_leaves_training_alone(tiny_profile, tokenizer, records, tmp_path):
    """With dropout, so that a single random number drawn in between would show."""
    profile = replace(tiny_profile, epochs=2, lora_dropout=0.1, learning_rate=2e-3, early_stopping_patience=0)
    runs = []
    for asked in ((), records[:5]):
        base = load_base_model(profile, quantization_config=build_bnb_config(profile))
        folder = tmp_path / str(len(asked))
        trainer = train(profile, base, tokenizer, records, folder, bleu_records=asked)
        trainer.save_model(str(folder / "adapter"))
        runs.append((load_file(folder / "adapter" / "adapter_model.safetensors"), loss_history(trainer)))
    (silent, silent_losses), (asked, asked_losses) = runs
    assert silent.keys() == asked.keys() and all(torch.equal(silent[name], asked[name]) for name in silent)
    assert silent_losses.drop(columns="eval_bleu").equals(asked_losses.drop(columns="eval_bleu"))
    assert silent_losses["eval_bleu"].isna().all()
    assert list(asked_losses["step"][asked_losses["eval_bleu"].notna()]) == [3, 6, 8]


def test_bleu_is_that_of_the_answers(tiny_profile, tokenizer, records, tmp_path, nf4_base, monkeypatch):
    model = attach_adapter(nf4_base, tiny_profile)
    dataset = tokenize_records(records, tokenizer, 256)
    trainer = build_trainer(
        model, tokenizer, dataset, dataset, tiny_profile, tmp_path, bleu_records=records[:3]
    )
    assert trainer.evaluate()["eval_bleu"] < 5  # random weights
    seen = []

    def perfect(model, tokenizer, messages, **options):
        seen.extend(messages)
        return [record["answer"] for record in records[:3]]

    monkeypatch.setattr("src.training.trainer.generate_answers", perfect)
    assert trainer.evaluate()["eval_bleu"] == pytest.approx(100)
    assert seen == [to_messages(record, with_answer=False) for record in records[:3]]
    assert trainer.state.log_history[-1]["eval_bleu"] == pytest.approx(
        100
    )  # where charts and TensorBoard look


def test_training_stops_when_evaluation_no_longer_improves(
    tiny_profile, tokenizer, records, tmp_path, nf4_base, monkeypatch
):
    from src.training.trainer import WorkshopTrainer

    losses = iter([3.0, 2.0, 2.5, 2.6, 1.0])
    original = WorkshopTrainer.evaluation_loop

    def scripted(*args, **kwargs):
        output = original(*args, **kwargs)
        output.metrics["eval_loss"] = next(losses)
        return output

    monkeypatch.setattr(WorkshopTrainer, "evaluation_loop", scripted)
    profile = replace(tiny_profile, epochs=10, eval_steps=2, early_stopping_patience=2)
    trainer = train(profile, nf4_base, tokenizer, records, tmp_path)
    assert trainer.state.global_step == 8 and next(losses) == 1.0  # the fifth was never asked for
    best = load_file(tmp_path / "checkpoint-4" / "adapter_model.safetensors")
    held = {name: value for name, value in trainer.model.state_dict().items() if "lora_" in name}
    assert all(torch.equal(held[name.replace(".weight", ".default.weight")], best[name]) for name in best)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_out_of_memory_is_answered_with_this_runs_numbers(
    tiny_profile, tokenizer, records, tmp_path, nf4_base, monkeypatch, kind
):
    from src.qlora.fitting import OutOfMemory

    model = attach_adapter(nf4_base, tiny_profile)
    dataset = tokenize_records(records, tokenizer, 256)
    trainer = build_trainer(model, tokenizer, dataset, dataset, tiny_profile, tmp_path)
    error = kind("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(trainer, "compute_loss", fail)
    with pytest.raises(
        OutOfMemory, match=f"학습을 멈췄습니다(.|\n)*배치 {tiny_profile.batch_size} × 누적"
    ) as caught:
        trainer.train()
    assert caught.value.__cause__ is error
    assert trainer.args.per_device_train_batch_size == tiny_profile.batch_size  # nothing changed silently


def test_out_of_memory_while_answering_is_not_blamed_on_the_training(
    tiny_profile, tokenizer, records, tmp_path, nf4_base, monkeypatch
):
    from src.qlora.fitting import OutOfMemory

    profile = replace(tiny_profile, eval_steps=1)
    dataset = tokenize_records(records, tokenizer, 256)
    model = attach_adapter(nf4_base, profile)
    trainer = build_trainer(model, tokenizer, dataset, dataset, profile, tmp_path, bleu_records=records[:2])

    def fail(**inputs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(model, "generate", fail)
    with pytest.raises(OutOfMemory, match="답하기를 멈췄습니다") as caught:
        trainer.train()
    assert "누적" not in str(caught.value) and "batch_tokens" in str(caught.value)


def test_other_errors_in_training_stay_what_they_are(
    tiny_profile, tokenizer, records, tmp_path, nf4_base, monkeypatch
):
    dataset = tokenize_records(records, tokenizer, 256)
    model = attach_adapter(nf4_base, tiny_profile)
    trainer = build_trainer(model, tokenizer, dataset, dataset, tiny_profile, tmp_path)

    def fail(*args, **kwargs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(trainer, "compute_loss", fail)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        trainer.train()


def test_only_this_runs_checkpoints_are_resumed(tiny_profile, tokenizer, records, tmp_path, capsys):
    profile = replace(tiny_profile, epochs=1)
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    train(profile, base, tokenizer, records, tmp_path)
    other = replace(profile, learning_rate=1e-4)
    base = load_base_model(other, quantization_config=build_bnb_config(other))
    dataset = tokenize_records(records, tokenizer, 256)
    trainer = build_trainer(
        attach_adapter(base, other), tokenizer, dataset, dataset.select(range(6)), other, tmp_path
    )
    with pytest.raises(ValueError, match="이어서 학습할 수 없습니다"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    trainer.train(resume_from_checkpoint=True)
    out = capsys.readouterr().out
    assert "checkpoint-4은(는) 건너뜁니다. 다른 설정" in out and "처음부터 학습합니다" in out
    assert loss_history(trainer)["step"].tolist() == [1, 2, 3, 4]


def test_the_fingerprint_sees_data_settings_and_adapter(tiny_profile, tokenizer, records, tmp_path):
    def of(profile, rows):
        base = load_base_model(profile, quantization_config=build_bnb_config(profile))
        dataset = tokenize_records(rows, tokenizer, 256)
        model = attach_adapter(base, profile)
        return build_trainer(model, tokenizer, dataset, dataset, profile, tmp_path).run_fingerprint()

    first = of(tiny_profile, records)
    assert first == of(tiny_profile, records)
    others = [replace(tiny_profile, seed=1), replace(tiny_profile, lora_r=4), replace(tiny_profile, epochs=2)]
    changed = [of(profile, records) for profile in others] + [of(tiny_profile, records[::-1])]
    assert len({first, *changed}) == 5


@given(size=st.integers(1, 32), accumulation=st.integers(1, 32), processes=st.integers(1, 16))
def test_processes_share_the_profiles_batch(size, accumulation, processes):
    profile = replace(PROFILES["tiny"], batch_size=size, gradient_accumulation_steps=accumulation)
    if size * accumulation % processes:
        with pytest.raises(ValueError, match="똑같이 나눌 수 없습니다"):
            share_batch(profile, processes)
        return
    own_size, own_accumulation = share_batch(profile, processes)
    assert own_size * own_accumulation * processes == size * accumulation
    assert own_size <= size
    if accumulation % processes == 0:
        assert (own_size, own_accumulation) == (size, accumulation // processes)


@pytest.mark.parametrize(
    ("name", "gpu", "chosen"),
    [
        ("rtx4090", True, {"bf16": True, "fp16": False}),
        ("t4", True, {"bf16": False, "fp16": True}),  # a card without bf16
        ("t4", False, {"bf16": False, "fp16": False}),  # scaling the loss needs a GPU
        ("tiny", False, {"bf16": False, "fp16": False}),
    ],
)
def test_training_computes_in_the_profiles_type(monkeypatch, tmp_path, name, gpu, chosen):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("transformers.TrainingArguments", dict)
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "")  # set by what is called
    given = _arguments(PROFILES[name], 100, tmp_path, [])
    assert {key: given[key] for key in chosen} == chosen
