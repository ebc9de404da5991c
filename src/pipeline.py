"""The whole day as a few calls: each makes one notebook's artefacts, and the ones before it where they are missing.

The notebooks show the same steps one by one and leave the same files; whoever starts in the middle gets here what
was not run, and notebook 05 runs its experiments with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.formats import read_jsonl, write_jsonl
from src.preprocessing import load_samples, split_by_group, validate_samples
from src.profiles import ROOT, Profile
from src.raft import convert_to_raft, to_messages
from src.schemas import RaftRecord, RawSample, Reject

if TYPE_CHECKING:
    from peft import PeftModel

SPLITS = ("train", "validation", "test")


def read_corpus(profile: Profile) -> tuple[list[RawSample], list[Reject]]:
    """Every row of the profile's files: accepted, or refused with a reason."""
    rows = [row for file in profile.data_files for row in load_samples(ROOT / file)]
    return validate_samples(rows)


def convert_splits(
    splits: dict[str, list[RawSample]], profile: Profile, tokenizer: Any
) -> tuple[dict[str, list[RaftRecord]], list[Reject]]:
    """RAFT records of each split, with distractors from that split only."""
    records, refused = {}, []
    for name, samples in splits.items():
        records[name], rejects = convert_to_raft(
            samples,
            tokenizer=tokenizer,
            num_distractors=profile.num_distractors,
            golden_probability=profile.golden_probability,
            max_context_tokens=profile.max_context_tokens,
            add_cot=profile.add_cot,
            seed=profile.seed,
        )
        refused += rejects
    return records, refused


def save_records(profile: Profile, records: dict[str, list[RaftRecord]], rejects: Sequence[Reject]) -> None:
    """Notebook 01's artefacts: ``records_<split>.jsonl`` and ``rejects.jsonl``."""
    for name, rows in records.items():
        write_jsonl(profile.artifacts_dir / f"records_{name}.jsonl", rows)
    write_jsonl(profile.artifacts_dir / "rejects.jsonl", rejects)


def build_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Notebook 01 in one call: read, validate, split, convert, save."""
    from src.models import load_tokenizer

    samples, refused = read_corpus(profile)
    splits = split_by_group(
        samples, validation_ratio=profile.validation_ratio, test_ratio=profile.test_ratio, seed=profile.seed
    )
    records, unconverted = convert_splits(splits, profile, load_tokenizer(profile))
    save_records(profile, records, [*refused, *unconverted])
    return records


def load_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Records as notebook 01 left them; made now where it has not run."""
    paths = {name: profile.artifacts_dir / f"records_{name}.jsonl" for name in SPLITS}
    if not all(path.exists() for path in paths.values()):
        print("노트북 01의 결과가 없어 지금 만듭니다.")
        return build_records(profile)
    return {name: read_jsonl(path, RaftRecord) for name, path in paths.items()}


def save_clean_records(
    profile: Profile, records: dict[str, list[RaftRecord]], findings: Sequence[dict[str, Any]]
) -> None:
    """Notebook 02's artefacts: ``clean_<split>.jsonl`` and ``findings.jsonl``."""
    for name, rows in records.items():
        write_jsonl(profile.artifacts_dir / f"clean_{name}.jsonl", rows)
    write_jsonl(profile.artifacts_dir / "findings.jsonl", findings)


def clean_splits(
    records: dict[str, list[RaftRecord]], tokenizer: Any
) -> tuple[dict[str, list[RaftRecord]], list[dict[str, Any]]]:
    """What is fit for training and evaluation in each split, and every finding with its split."""
    from src.quality import clean_records

    kept, findings = {}, []
    for name, rows in records.items():
        kept[name], found = clean_records(rows, tokenizer=tokenizer)
        findings += [{"split": name, **finding} for finding in found]
    return kept, findings


def load_clean_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Records as notebook 02 left them; made now where it has not run."""
    from src.models import load_tokenizer

    paths = {name: profile.artifacts_dir / f"clean_{name}.jsonl" for name in SPLITS}
    if not all(path.exists() for path in paths.values()):
        records = load_records(profile)
        print("노트북 02의 결과가 없어 지금 만듭니다.")
        kept, findings = clean_splits(records, load_tokenizer(profile))
        save_clean_records(profile, kept, findings)
        return kept
    return {name: read_jsonl(path, RaftRecord) for name, path in paths.items()}


def pick(records: Sequence[RaftRecord], count: int, seed: int) -> list[RaftRecord]:
    """At most ``count`` records, drawn with ``seed``, in their own order."""
    from random import Random

    rows = sorted(Random(seed).sample(range(len(records)), min(count, len(records))))
    return [records[row] for row in rows]


def train_adapter(
    profile: Profile,
    records: dict[str, list[RaftRecord]] | None = None,
    *,
    output_dir: str | Path | None = None,
) -> dict[str, Any]:
    """Notebook 03 in one call: a fresh NF4 base, a fresh adapter, audited labels, training, saving.

    ``output_dir`` (default: the profile's artefacts) gets what ``save_training`` leaves, checkpoints and TensorBoard
    events. Returns ``training_log.json``'s content.
    """
    from src.models import load_base_model, load_tokenizer
    from src.qlora import attach_adapter, build_bnb_config
    from src.training import audit_labels, build_trainer, tokenize_records

    records = records or load_clean_records(profile)
    tokenizer = load_tokenizer(profile)
    model = attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)
    train = tokenize_records(records["train"], tokenizer, profile.max_seq_length)
    validation = tokenize_records(
        pick(records["validation"], profile.max_validation_records, profile.seed),
        tokenizer,
        profile.max_seq_length,
    )
    audit_labels(train, tokenizer)
    trainer = build_trainer(model, tokenizer, train, validation, profile, output_dir)
    trainer.train()
    return save_training(profile, trainer, tokenizer, output_dir)


def save_training(
    profile: Profile, trainer: Any, tokenizer: Any, output_dir: str | Path | None = None
) -> dict[str, Any]:
    """Notebook 03's artefacts: ``adapter/`` (safetensors, tokenizer, model card) and ``training_log.json``."""
    from src.qlora import trainable_parameters
    from src.training import loss_history, model_card

    folder = Path(output_dir or profile.artifacts_dir)
    trainer.save_model(str(folder / "adapter"))
    tokenizer.save_pretrained(str(folder / "adapter"))
    history = loss_history(trainer)
    trainable, total = trainable_parameters(trainer.model)
    log = {
        "profile": profile.name,
        "model": profile.model,
        "trainable_parameters": trainable,
        "total_parameters": total,
        "steps": trainer.state.global_step,
        "train_records": len(trainer.train_dataset),
        "best_eval_loss": trainer.state.best_metric,
        "seconds": trainer.state.log_history[-1].get("train_runtime"),
        "history": json.loads(history.to_json(orient="records")),
    }
    (folder / "adapter" / "README.md").write_text(model_card(profile, log), encoding="utf-8")
    path = folder / "training_log.json"
    path.write_text(json.dumps(log, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return log


def adapter_dir(profile: Profile) -> Path:
    """Where notebook 03 leaves the adapter."""
    return profile.artifacts_dir / "adapter"


def load_tuned_model(profile: Profile) -> PeftModel:
    """The NF4 base with the trained adapter on it; trains one now where notebook 03 has not run."""
    from src.models import load_base_model
    from src.qlora import build_bnb_config, load_adapter

    if not (adapter_dir(profile) / "adapter_config.json").exists():
        records = load_clean_records(profile)
        print("노트북 03의 결과가 없어 지금 어댑터를 학습합니다.")
        train_adapter(profile, records)
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    return load_adapter(base, adapter_dir(profile))


def evaluate_adapter(
    profile: Profile, model: Any = None, records: Sequence[RaftRecord] | None = None
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Notebook 04's core in one call: base and tuned answers to the same prompts, and their comparison."""
    from src.comparison import compare_systems
    from src.embedding import embedder_label, load_embedder
    from src.generation import generate_base_and_tuned
    from src.models import load_tokenizer

    if records is None:
        records = pick(load_clean_records(profile)["test"], profile.max_test_records, profile.seed)
    model = model or load_tuned_model(profile)
    messages = [to_messages(record, with_answer=False) for record in records]
    base, tuned = generate_base_and_tuned(
        model,
        load_tokenizer(profile),
        messages,
        max_new_tokens=profile.max_new_tokens,
        batch_size=profile.generation_batch_size,
    )
    result = compare_systems(
        base,
        tuned,
        records,
        embedder=load_embedder(profile),
        embedder_name=embedder_label(profile),
        n_bootstrap=profile.bootstrap_samples,
        seed=profile.seed,
    )
    return base, tuned, result


def save_evaluation(
    profile: Profile,
    records: Sequence[RaftRecord],
    base: Sequence[str],
    tuned: Sequence[str],
    result: dict[str, Any],
) -> Path:
    """Notebook 04's artefacts: ``generations.jsonl`` and ``comparison.json`` (returned)."""
    write_jsonl(
        profile.artifacts_dir / "generations.jsonl",
        [
            {"id": r.id, "question": r.question, "reference": r.answer, "base": b, "tuned": t}
            for r, b, t in zip(records, base, tuned, strict=True)
        ],
    )
    path = profile.output_dir / "comparison.json"
    path.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path
