"""The adapter that RAFT is compared with: trained on golden documents alone, without distractors."""

from dataclasses import replace
from typing import Any

from src.data.corpus import read_corpus
from src.data.schemas import RaftRecord
from src.pipeline import adapter_dir, convert_splits, load_clean_records, train_adapter
from src.profiles import Profile
from src.qlora.loading import load_tokenizer
from src.qlora.memory import GIB, estimate_vram

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
    """Train and save the golden-only adapter, on a base of its own; on CUDA say beforehand when that will not fit
    beside what is in memory already."""
    import torch

    records = golden_only_records(profile)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # what this process keeps for itself is free for the training too
        longest = max(record.n_tokens for part in records.values() for record in part)
        free, need = torch.cuda.mem_get_info()[0] / GIB, estimate_vram(profile, seq_length=longest)["total"]
        if free < need:
            print(
                f"비어 있는 GPU 메모리가 {free:.1f} GiB인데 이 학습에는 약 {need:.1f} GiB가 듭니다(어림). 메모리가 모자라 멈추면 "
                "커널을 다시 시작하고, 모델을 올리기 전에 golden_only.train_golden_only(profile)만 먼저 실행해 주세요. "
                "그다음부터는 저장된 어댑터를 읽습니다."
            )
    train_adapter(golden_only_profile(profile), records, output_dir=profile.artifacts_dir / GOLDEN_ONLY)


def add_golden_only(model: Any, profile: Profile) -> Any:
    """``model`` (a ``PeftModel``) with a second adapter, ``GOLDEN_ONLY``, beside the first one, which stays the active one.

    It is trained now where it is missing or older than the first: equal model, questions, epochs and learning rate;
    shorter prompts, no distractor and no question without an answer.
    """
    folder = profile.artifacts_dir / GOLDEN_ONLY
    ready = folder / "adapter" / "adapter_config.json"
    first = adapter_dir(profile) / "adapter_config.json"
    if not ready.exists() or (first.exists() and ready.stat().st_mtime < first.stat().st_mtime):
        train_golden_only(profile)
    model.load_adapter(str(folder / "adapter"), adapter_name=GOLDEN_ONLY)
    return model.eval()
