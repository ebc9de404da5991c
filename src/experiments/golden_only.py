"""The adapter that RAFT is compared with: trained on golden documents alone, without distractors."""

from dataclasses import replace
from typing import Any

from src.data.corpus import read_corpus
from src.data.schemas import RaftRecord
from src.pipeline import adapter_dir, convert_splits, load_clean_records, load_tuned_model, train_adapter
from src.profiles import Profile
from src.qlora.loading import load_tokenizer

GOLDEN_ONLY = "golden_only"  # the second adapter's name, and its folder


def golden_only_profile(profile: Profile) -> Profile:
    """The same recipe with every golden document and nothing beside it."""
    return replace(profile, num_distractors=0, golden_probability=1.0, bleu_records=0)


def golden_only_records(profile: Profile) -> dict[str, list[RaftRecord]]:
    """Training and validation records with the golden document alone, of the questions that RAFT training has."""
    raft, (samples, _) = load_clean_records(profile), read_corpus(profile)
    asked = {name: {record.id for record in raft[name]} for name in ("train", "validation")}
    chosen = {name: [sample for sample in samples if sample.id in ids] for name, ids in asked.items()}
    return convert_splits(chosen, golden_only_profile(profile), load_tokenizer(profile))[0]


def train_golden_only(profile: Profile) -> None:
    """Train and save the golden-only adapter on a base of its own, where it is missing or older than RAFT's; no other
    model should lie on the card then."""
    ready = profile.artifacts_dir / GOLDEN_ONLY / "adapter" / "adapter_config.json"
    first = adapter_dir(profile) / "adapter_config.json"
    if not ready.exists() or (first.exists() and ready.stat().st_mtime < first.stat().st_mtime):
        records = golden_only_records(profile)
        train_adapter(golden_only_profile(profile), records, output_dir=profile.artifacts_dir / GOLDEN_ONLY)


def load_both_adapters(profile: Profile) -> Any:
    """One base with RAFT's adapter, the active one, and ``GOLDEN_ONLY`` beside it; what is missing is trained first.

    Equal model, questions, epochs and learning rate; shorter prompts, no distractor and no question without an answer.
    """
    train_golden_only(profile)
    model = load_tuned_model(profile)
    model.load_adapter(str(profile.artifacts_dir / GOLDEN_ONLY / "adapter"), adapter_name=GOLDEN_ONLY)
    return model.eval()
