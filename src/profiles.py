"""Every number of a run in one place: model, embedder, data, lengths, LoRA, training, evaluation.

The notebooks never ask which profile runs; they read ``profile.<field>``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHOICE_FILE = ROOT / "outputs" / "profile.json"  # written by notebook 00.01, one per checkout


def outputs_dir() -> Path:
    """Where every run leaves what it makes; ``WORKSHOP_OUTPUTS`` moves it."""
    return Path(os.environ.get("WORKSHOP_OUTPUTS", ROOT / "outputs"))


@dataclass(frozen=True)
class HubData:
    """Rows that are added to the shipped corpus at run time, drawn by whole articles."""

    dataset: str  # a hub id, or the folder of a local dataset
    revision: str | None
    split: str
    rows: int  # at least so many; the last article is drawn whole
    licence: str


RAW_FILES = ("data/raw/support_qa.json", "data/raw/support_qa.jsonl", "data/raw/support_qa.csv")


def count_range(count: int | tuple[int, int]) -> tuple[int, int]:
    """(low, high) of a number or of a range."""
    low, high = (count, count) if isinstance(count, int) else count
    return low, high


@dataclass(frozen=True)
class Profile:
    """One way to run the same cells. Lengths are in tokens, probabilities and ratios in 0-1. What has a value here is
    the same in every profile, unless one says otherwise below."""

    name: str
    # What is loaded
    model: str  # a key of src.qlora.MODELS
    embedder: str  # a path below the checkout, or a hub id
    # Data and RAFT (arXiv 2403.10131)
    num_distractors: int | tuple[int, int]  # a range (low, high, both included) is drawn from for each record
    max_context_tokens: int
    # Lengths
    max_seq_length: int
    max_new_tokens: int
    # LoRA (arXiv 2106.09685)
    lora_dropout: float
    # Training
    epochs: float
    learning_rate: float
    batch_size: int
    gradient_accumulation_steps: int
    eval_batch_size: int
    logging_steps: int
    eval_steps: int
    max_validation_records: int
    gradient_checkpointing: bool
    # Evaluation
    max_test_records: int

    embedder_revision: str | None = None  # the hub commit; None: of this checkout, or the newest
    hub_data: HubData | None = None  # None: no network
    data_files: tuple[str, ...] = RAW_FILES  # paths below the checkout
    max_context_length: int = 2048  # characters of one document; a longer one is refused
    validation_ratio: float = 0.1
    test_ratio: float = 0.1
    golden_probability: float = 0.8
    hard_share: float = 0.5
    add_cot: bool = False
    compute_dtype: str = "bfloat16"  # torch's name of the type that is computed in; weights are stored in NF4
    lora_r: int = 16
    lora_alpha: int = 32
    warmup_ratio: float = 0.03
    bleu_records: int = 16  # validation questions answered at each evaluation; 0: none
    early_stopping_patience: int = 3  # evaluations without a lower loss before training stops; 0: never
    optim: str = "paged_adamw_8bit"
    open_book_questions: int = 160  # asked again with what a retriever brings
    bootstrap_samples: int = 2000
    few_shot_examples: int = 2  # shown to the base as the third system
    own_data_epochs: float = 5.0  # notebook 05, on a few dozen rows
    practice_records: int = 160  # that 00 trains the tiny base on, whatever profile runs; 03's drills see 3/5
    seed: int = 42

    @property
    def distractor_range(self) -> tuple[int, int]:
        """Fewest and most distractors of a record."""
        return count_range(self.num_distractors)

    def distractors_text(self, more: int = 0) -> str:
        """How many distractors a record has as a learner reads it, "2" or "1~4"; ``more`` documents beside them."""
        low, high = (count + more for count in self.distractor_range)
        return str(low) if low == high else f"{low}~{high}"

    @property
    def output_dir(self) -> Path:
        """Where this profile's runs leave their files (``WORKSHOP_OUTPUTS`` moves the parent)."""
        return outputs_dir() / self.name

    @property
    def artifacts_dir(self) -> Path:
        """What passes from one notebook to the next; created on first use."""
        path = self.output_dir / "artifacts"
        path.mkdir(parents=True, exist_ok=True)
        return path


# No derivative of it may be passed on, so what is made from it stays below outputs/, which is never committed.
# The revision is the one that public projects name beside its 60,407 rows; it could not be opened from here.
KORQUAD = HubData(
    dataset="KorQuAD/squad_kor_v1",
    revision="01aad23853355e5f4f6317eeaaa8186811424834",
    split="train",
    rows=2000,
    licence="CC BY-ND 2.0 KR",
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="tiny",
            model="tiny",
            embedder="data/tiny/embedder",
            compute_dtype="float32",  # bf16 is slow on most CPUs, twenty times on a laptop's
            num_distractors=2,
            max_context_tokens=512,
            max_seq_length=640,
            max_new_tokens=48,
            lora_dropout=0.0,
            epochs=0.7,
            learning_rate=1.5e-3,
            batch_size=8,
            gradient_accumulation_steps=1,
            eval_batch_size=32,
            logging_steps=20,
            eval_steps=70,
            max_validation_records=96,
            gradient_checkpointing=False,
            max_test_records=400,
        ),
        Profile(
            name="rtx4090",
            model="exaone-3.0-7.8b",
            embedder="intfloat/multilingual-e5-small",
            embedder_revision="fd1525a9fd15316a2d503bf26ab031a61d056e98",
            hub_data=KORQUAD,
            num_distractors=4,
            max_context_tokens=1536,
            max_seq_length=2048,
            max_new_tokens=128,
            lora_dropout=0.05,
            epochs=3.0,
            learning_rate=2e-4,
            batch_size=4,
            gradient_accumulation_steps=4,
            eval_batch_size=4,
            logging_steps=10,
            eval_steps=100,
            max_validation_records=200,
            gradient_checkpointing=True,
            max_test_records=320,
        ),
    )
}
# 16 GB, as free notebook services give them: the first step of the ladder of src.qlora.fitting, and the arithmetic
# that a card before 2020 (compute capability below 8.0) has in its hardware.
PROFILES["t4"] = replace(
    PROFILES["rtx4090"],
    name="t4",
    compute_dtype="float16",
    batch_size=2,
    gradient_accumulation_steps=8,
    eval_batch_size=2,
)

# For the tests, and no choice of a learner's (it is not in PROFILES): what rtx4090 is, with stand-ins behind the hub's
# names that are so small, and so many fewer rows and steps, that a CPU gets through the day in minutes. Every other
# field is the real one. What bf16 and fp16 change, the tests of answering, training and loading show, in small.
REHEARSAL = replace(
    PROFILES["rtx4090"],
    name="rehearsal",
    hub_data=replace(KORQUAD, rows=200),
    compute_dtype="float32",  # as fast here; without bf16 in the CPU a step of it takes six times as long
    max_new_tokens=24,
    gradient_accumulation_steps=2,
    epochs=0.035,
    learning_rate=2e-3,  # what so small a base learns from, in so few steps
    logging_steps=1,
    eval_steps=2,
    max_validation_records=8,
    bleu_records=2,
    max_test_records=24,  # two of them from the hub's rows
    open_book_questions=4,
    bootstrap_samples=200,
    own_data_epochs=1.0,
    practice_records=40,  # the tiny base again, which the tiny profile's day puts to the test
)


def active_profile() -> Profile:
    """The profile of this run: ``WORKSHOP_PROFILE``, else notebook 00.01's choice, else ``tiny``.

    Raises:
        ValueError: the name is not one of ``PROFILES``.
    """
    name = os.environ.get("WORKSHOP_PROFILE") or _remembered_choice() or "tiny"
    if name == REHEARSAL.name:
        return REHEARSAL
    if name not in PROFILES:
        raise ValueError(
            f"'{name}'이라는 프로파일은 없습니다. WORKSHOP_PROFILE을 {', '.join(PROFILES)} 가운데 하나로 정해 주세요."
        )
    return PROFILES[name]


def remember_choice(name: str) -> None:
    """Keep ``name`` as this checkout's profile when ``WORKSHOP_PROFILE`` is not set."""
    if name not in PROFILES:
        raise ValueError(f"'{name}'이라는 프로파일은 없습니다. {', '.join(PROFILES)} 가운데에서 골라 주세요.")
    CHOICE_FILE.parent.mkdir(parents=True, exist_ok=True)
    CHOICE_FILE.write_text(json.dumps({"profile": name}), encoding="utf-8")


def _remembered_choice() -> str | None:
    try:
        return json.loads(CHOICE_FILE.read_text(encoding="utf-8"))["profile"]
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
        return None
