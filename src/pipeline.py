"""The whole day as a few calls: each makes one notebook's artefacts, and the ones before it where they are missing.

The notebooks show the same steps one by one and leave the same files; whoever starts in the middle gets here what
was not run, and notebook 05 runs its experiments with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.data.files import read_jsonl, write_jsonl
from src.data.reading import iter_samples, load_samples
from src.data.schemas import RaftRecord, RawSample, Reject
from src.data.splitting import check_leakage, draw_groups, split_by_group
from src.data.validation import validate_samples
from src.profiles import ROOT, Profile
from src.raft.conversion import convert_to_raft
from src.raft.prompt import to_messages

if TYPE_CHECKING:
    from peft import PeftModel

    from src.quality.cleaning import Finding

SPLITS = ("train", "validation", "test")


def read_corpus(profile: Profile) -> tuple[list[RawSample], list[Reject]]:
    """Every row of the profile's files and of its hub dataset: accepted, or refused with a reason."""
    rows = [row for file in profile.data_files for row in load_samples(ROOT / file)]
    return validate_samples(rows + read_hub_rows(profile), max_context_length=profile.max_context_length)


def read_hub_rows(profile: Profile) -> list[dict[str, Any]]:
    """The rows that the profile draws from its hub dataset, by whole articles; none where it names no dataset.

    Raises:
        ConnectionError: the dataset cannot be reached.
    """
    data = profile.hub_data
    if data is None:
        return []
    rows = iter_samples(data.dataset, split=data.split, revision=data.revision)
    return list(draw_groups(rows, count=data.rows, seed=profile.seed))


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
            hard_share=profile.hard_share,
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
    """Notebook 01 in one call: read, validate, split, check, convert, save."""
    from src.qlora.loading import load_tokenizer

    samples, refused = read_corpus(profile)
    splits = split_by_group(
        samples, validation_ratio=profile.validation_ratio, test_ratio=profile.test_ratio, seed=profile.seed
    )
    check_leakage(splits)
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
    profile: Profile, records: dict[str, list[RaftRecord]], findings: Sequence[Finding]
) -> None:
    """Notebook 02's artefacts: ``clean_<split>.jsonl`` and ``findings.jsonl``."""
    for name, rows in records.items():
        write_jsonl(profile.artifacts_dir / f"clean_{name}.jsonl", rows)
    write_jsonl(profile.artifacts_dir / "findings.jsonl", findings)


def clean_splits(
    records: dict[str, list[RaftRecord]], tokenizer: Any
) -> tuple[dict[str, list[RaftRecord]], list[Finding]]:
    """What is fit for training and evaluation in each split, and every finding with its split."""
    from src.quality.cleaning import clean_records

    kept, findings = {}, []
    for name, rows in records.items():
        kept[name], found = clean_records(rows, tokenizer=tokenizer)
        findings += [replace(finding, split=name) for finding in found]
    return kept, findings


def load_clean_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Records as notebook 02 left them; made now where it has not run."""
    from src.qlora.loading import load_tokenizer

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
    resume: bool = False,
    trackers: Sequence[str] = (),
) -> dict[str, Any]:
    """Notebook 03 in one call: a fresh NF4 base, a fresh adapter, audited labels, training, saving.

    ``output_dir`` (default: the profile's artefacts) gets what ``save_training`` leaves, checkpoints and TensorBoard
    events. ``resume`` goes on from the last complete checkpoint there. ``trackers``: who is told
    beside TensorBoard (``src.training.monitoring.TRACKERS``). Returns ``training_log.json``'s content.
    """
    from src.qlora.adapters import attach_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model, load_tokenizer
    from src.training.build import build_trainer
    from src.training.labels import audit_labels, tokenize_records
    from src.training.monitoring import PeakMemory, add_trackers

    records = records or load_clean_records(profile)
    tokenizer = load_tokenizer(profile)
    model = attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)
    train = tokenize_records(records["train"], tokenizer, profile.max_seq_length)
    validation = tokenize_records(
        pick(records["validation"], profile.max_validation_records, profile.seed),
        tokenizer,
        profile.max_seq_length,
    )
    audit_labels(train, tokenizer, records["train"])
    asked = pick(records["validation"], profile.bleu_records, profile.seed)
    trainer = build_trainer(model, tokenizer, train, validation, profile, output_dir, bleu_records=asked)
    add_trackers(trainer, trackers)
    with PeakMemory() as peak:
        trainer.train(resume_from_checkpoint=resume)
    return save_training(profile, trainer, tokenizer, output_dir, peak_memory_gib=peak.gib)


def save_training(
    profile: Profile,
    trainer: Any,
    tokenizer: Any,
    output_dir: str | Path | None = None,
    *,
    peak_memory_gib: float | None = None,
) -> dict[str, Any]:
    """Notebook 03's artefacts: ``adapter/`` (safetensors, tokenizer, model card) and ``training_log.json``.

    With several processes all must call it; the first one writes.
    """
    from src.qlora.adapters import trainable_parameters
    from src.qlora.loading import loaded_commit
    from src.qlora.registry import model_spec
    from src.serving.card import model_card
    from src.training.build import loss_history

    folder = Path(output_dir or profile.artifacts_dir)
    trainer.save_model(str(folder / "adapter"))
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
        "base_revision": loaded_commit(model_spec(profile)),
        "seconds": trainer.state.log_history[-1].get("train_runtime"),
        "peak_memory_gib": peak_memory_gib,  # None where it was not measured
        "planned_steps": trainer.state.max_steps,  # more than "steps" where training stopped early
        "history": json.loads(history.to_json(orient="records")),
    }
    if not trainer.is_world_process_zero():
        return log
    tokenizer.save_pretrained(str(folder / "adapter"))
    config = folder / "adapter" / "adapter_config.json"
    # Where the base comes from for anybody, not where this machine keeps it.
    source = {"base_model_name_or_path": model_spec(profile).source, "revision": log["base_revision"]}
    config.write_text(json.dumps(json.loads(config.read_text()) | source, indent=2), encoding="utf-8")
    (folder / "adapter" / "README.md").write_text(model_card(profile, log), encoding="utf-8")
    path = folder / "training_log.json"
    path.write_text(json.dumps(log, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return log


def adapter_dir(profile: Profile) -> Path:
    """Where notebook 03 leaves the adapter."""
    return profile.artifacts_dir / "adapter"


def load_tuned_model(profile: Profile) -> PeftModel:
    """The NF4 base with the trained adapter on it; trains one now where notebook 03 has not run."""
    from src.qlora.adapters import load_adapter
    from src.qlora.configs import build_bnb_config
    from src.qlora.loading import load_base_model

    if not (adapter_dir(profile) / "adapter_config.json").exists():
        records = load_clean_records(profile)
        print("노트북 03의 결과가 없어 지금 어댑터를 학습합니다.")
        train_adapter(profile, records)
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    return load_adapter(base, adapter_dir(profile))


def few_shot_examples(profile: Profile, records: Sequence[RaftRecord]) -> list[list[dict[str, str]]]:
    """Solved training records to show the base (``src.generation.generate_few_shot``): ``profile.few_shot_examples``
    of the shorter half, drawn with the seed, the last of them one without an answer where there are two or more."""
    from random import Random

    lengths = sorted(record.n_tokens for record in records)
    short = [record for record in records if record.n_tokens <= lengths[len(lengths) // 2]]
    kinds = [[record for record in short if record.answerable is answerable] for answerable in (True, False)]
    count = profile.few_shot_examples
    abstaining = min(len(kinds[1]), 1 if count > 1 else 0)
    rng = Random(profile.seed)
    chosen = rng.sample(kinds[0], min(count - abstaining, len(kinds[0]))) + rng.sample(kinds[1], abstaining)
    return [to_messages(record) for record in chosen]


def evaluate_adapter(
    profile: Profile, model: Any = None, records: Sequence[RaftRecord] | None = None
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Notebook 04's core in one call: base and tuned answers to the same prompts, and their comparison."""
    from src.evaluation.comparison import compare_systems
    from src.generation.generate import generate_base_and_tuned
    from src.qlora.loading import load_tokenizer
    from src.scoring.embedding import embedder_label, load_embedder

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
        cache=profile.artifacts_dir,
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
    """Notebook 04's artefacts: ``generations.jsonl``, ``comparison.json`` (returned), and the scores in the adapter's
    card."""
    from src.serving.card import model_card

    write_jsonl(
        profile.artifacts_dir / "generations.jsonl",
        [
            {"id": r.id, "question": r.question, "reference": r.answer, "base": b, "tuned": t}
            for r, b, t in zip(records, base, tuned, strict=True)
        ],
    )
    path = profile.output_dir / "comparison.json"
    path.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    log = profile.artifacts_dir / "training_log.json"
    if log.exists() and adapter_dir(profile).exists():
        card = model_card(profile, json.loads(log.read_text(encoding="utf-8")), result)
        (adapter_dir(profile) / "README.md").write_text(card, encoding="utf-8")
    return path
