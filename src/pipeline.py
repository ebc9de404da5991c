"""The whole day as a few calls: each makes one notebook's artefacts, and the ones before it where they are missing.

The notebooks show the same steps one by one and leave the same files; whoever starts in the middle gets here what
was not run, and notebook 05 runs its experiments with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.data.corpus import read_corpus
from src.data.files import read_jsonl, write_jsonl
from src.data.schemas import Conversation, RaftRecord, RawSample, Reject
from src.data.splitting import check_leakage, pick, split_by_group
from src.evaluation.comparison import compare_systems
from src.evaluation.results import Comparison
from src.generation.generate import generate_base_and_tuned
from src.profiles import Profile
from src.qlora.adapters import attach_adapter, load_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import copy_licence, free_memory, load_base_model, load_tokenizer
from src.qlora.memory import answering_tokens
from src.qlora.registry import model_spec
from src.quality.cleaning import Finding, clean_records
from src.raft.conversion import convert_to_raft
from src.raft.prompt import to_messages
from src.scoring.embedding import embedder_label, load_embedder
from src.serving.card import model_card
from src.training.build import build_trainer, training_log
from src.training.labels import audit_labels, tokenize_records
from src.training.monitoring import PeakMemory

SPLITS = ("train", "validation", "test")


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
    _write_rows(profile, {"rejects": rejects} | {f"records_{name}": rows for name, rows in records.items()})


def _write_rows(profile: Profile, files: Mapping[str, Sequence[Any]]) -> None:
    for name, rows in files.items():
        write_jsonl(profile.artifacts_dir / f"{name}.jsonl", rows)


def build_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Notebook 01 in one call: read, validate, split, check, convert, save."""
    samples, refused = read_corpus(profile)
    splits = split_by_group(
        samples, validation_ratio=profile.validation_ratio, test_ratio=profile.test_ratio, seed=profile.seed
    )
    check_leakage(splits)
    records, unconverted = convert_splits(splits, profile, load_tokenizer(profile))
    save_records(profile, records, [*refused, *unconverted])
    return records


def save_clean_records(
    profile: Profile, records: dict[str, list[RaftRecord]], findings: Sequence[Finding]
) -> None:
    """Notebook 02's artefacts: ``clean_<split>.jsonl`` and ``findings.jsonl``."""
    _write_rows(profile, {"findings": findings} | {f"clean_{name}": rows for name, rows in records.items()})


def clean_splits(
    records: dict[str, list[RaftRecord]], tokenizer: Any
) -> tuple[dict[str, list[RaftRecord]], list[Finding]]:
    """What is fit for training and evaluation in each split, and every finding with its split."""
    kept, findings = {}, []
    for name, rows in records.items():
        kept[name], found = clean_records(rows, tokenizer=tokenizer)
        findings += [replace(finding, split=name) for finding in found]
    return kept, findings


def _read_records(profile: Profile, stem: str) -> dict[str, list[RaftRecord]] | None:
    """``<stem>_<split>.jsonl`` of every split; None where one is missing."""
    paths = {name: profile.artifacts_dir / f"{stem}_{name}.jsonl" for name in SPLITS}
    if not all(path.exists() for path in paths.values()):
        return None
    return {name: read_jsonl(path, RaftRecord) for name, path in paths.items()}


def load_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Records as notebook 01 left them; made now where it has not run."""
    if (records := _read_records(profile, "records")) is None:
        print("노트북 01의 결과가 없어 지금 만듭니다.")
        records = build_records(profile)
    return records


def load_clean_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Records as notebook 02 left them; made now where it has not run."""
    if (kept := _read_records(profile, "clean")) is None:
        records = load_records(profile)
        print("노트북 02의 결과가 없어 지금 만듭니다.")
        kept, findings = clean_splits(records, load_tokenizer(profile))
        save_clean_records(profile, kept, findings)
    return kept


def train_adapter(
    profile: Profile,
    records: Mapping[str, Sequence[RaftRecord | Conversation]] | None = None,
    *,
    output_dir: str | Path | None = None,
    resume: bool = False,
    trackers: Sequence[str] = (),
) -> dict[str, Any]:
    """Notebook 03 in one call: a fresh NF4 base, a fresh adapter, audited labels, training, saving.

    ``output_dir`` (default: the profile's artefacts) gets checkpoints, events and what ``save_training`` leaves.
    ``resume`` goes on from the last complete checkpoint there; ``trackers``: see ``build_trainer``. Returns the log.
    """
    records = records or load_clean_records(profile)
    tokenizer = load_tokenizer(profile)
    model = attach_adapter(load_base_model(profile, quantization_config=build_bnb_config(profile)), profile)
    held_out = pick(records["validation"], profile.max_validation_records, profile.seed)
    train, validation = (
        tokenize_records(rows, tokenizer, profile.max_seq_length) for rows in (records["train"], held_out)
    )
    audit_labels(train, tokenizer, records["train"])
    asked = pick(records["validation"], profile.bleu_records, profile.seed)
    trainer = build_trainer(
        model, tokenizer, train, validation, profile, output_dir, bleu_records=asked, trackers=trackers
    )
    with PeakMemory() as peak:
        trainer.train(resume_from_checkpoint=resume)
    log = save_training(profile, trainer, tokenizer, output_dir, peak_memory_gib=peak.gib)
    del trainer, model  # whoever loads next finds the card empty
    free_memory()
    return log


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
    folder = Path(output_dir or profile.artifacts_dir)
    trainer.save_model(str(folder / "adapter"))
    log = {**training_log(profile, trainer), "peak_memory_gib": peak_memory_gib}  # None: not measured
    if not trainer.is_world_process_zero():
        return log
    tokenizer.save_pretrained(str(folder / "adapter"))
    # Where the base comes from for anybody, not where this machine keeps it.
    source = {"base_model_name_or_path": model_spec(profile).source, "revision": log["base_revision"]}
    config = folder / "adapter" / "adapter_config.json"
    _write_json(config, json.loads(config.read_text(encoding="utf-8")) | source)
    copy_licence(profile, folder / "adapter")
    (folder / "adapter" / "README.md").write_text(model_card(profile, log), encoding="utf-8")
    _write_json(folder / "training_log.json", log)
    return log


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def adapter_dir(profile: Profile) -> Path:
    """Where notebook 03 leaves the adapter."""
    return profile.artifacts_dir / "adapter"


def load_tuned_model(profile: Profile) -> Any:
    """The NF4 base with the trained adapter on it; trains one now where notebook 03 has not run."""
    if not (adapter_dir(profile) / "adapter_config.json").exists():
        records = load_clean_records(profile)
        print("노트북 03의 결과가 없어 지금 어댑터를 학습합니다.")
        train_adapter(profile, records)
    base = load_base_model(profile, quantization_config=build_bnb_config(profile))
    return load_adapter(base, adapter_dir(profile))


def evaluate_adapter(
    profile: Profile, model: Any = None, records: Sequence[RaftRecord] | None = None
) -> tuple[list[str], list[str], Comparison]:
    """Notebook 04's core in one call: base and tuned answers to the same prompts, and their comparison."""
    if records is None:
        records = pick(load_clean_records(profile)["test"], profile.max_test_records, profile.seed)
    model = model or load_tuned_model(profile)
    messages = [to_messages(record, with_answer=False) for record in records]
    options = {"max_new_tokens": profile.max_new_tokens, "batch_tokens": answering_tokens(profile)}
    base, tuned = generate_base_and_tuned(
        model, load_tokenizer(profile), messages, cache=profile.artifacts_dir, **options
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
    result: Comparison,
) -> Path:
    """Notebook 04's artefacts: ``generations.jsonl``, ``comparison.json`` (returned), and the scores in the adapter's
    card."""
    rows = [
        {"id": r.id, "question": r.question, "reference": r.answer, "base": b, "tuned": t}
        for r, b, t in zip(records, base, tuned, strict=True)
    ]
    _write_rows(profile, {"generations": rows})
    path = profile.output_dir / "comparison.json"
    path.write_text(result.to_json(), encoding="utf-8")
    log = profile.artifacts_dir / "training_log.json"
    if log.exists() and adapter_dir(profile).exists():
        card = model_card(profile, json.loads(log.read_text(encoding="utf-8")), result)
        (adapter_dir(profile) / "README.md").write_text(card, encoding="utf-8")
    return path
