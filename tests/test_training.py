"""Labels on the answer only, an audit that can fail, and runs that repeat."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from datasets import Dataset

from src.models import load_base_model
from src.qlora import attach_adapter, build_bnb_config
from src.raft import to_messages
from src.training import IGNORE, LabelAuditError, audit_labels, build_trainer, loss_history, tokenize_records


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


def train(profile, base, tokenizer, records, output_dir):
    model = attach_adapter(base, profile)
    dataset = tokenize_records(records, tokenizer, profile.max_seq_length)
    trainer = build_trainer(model, tokenizer, dataset, dataset.select(range(6)), profile, output_dir)
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
