"""Recipes tried on validation: each is a training with other settings or other records, and leaves one row.

The questions are those of the open-book exam (arXiv 2403.10131, section 4), asked about the validation products: what is
chosen here may then be shown on the test split, which has no part in it. Rows are kept one by one in a file of JSON
lines, so that an interrupted search goes on.
"""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from src import pipeline
from src.data.corpus import read_corpus
from src.data.files import append_jsonl, read_jsonl
from src.data.schemas import RaftRecord
from src.data.splitting import pick, split_by_group
from src.data.text import fingerprint
from src.evaluation.open_book import open_book_records
from src.evaluation.perturbation import changed_digits
from src.evaluation.retrieval import BM25Retriever, held_out_documents
from src.experiments.log import describe_data
from src.experiments.sweeps import OF_RECORDS, SWEPT, with_settings
from src.generation.generate import generate_answers
from src.profiles import ROOT, Profile
from src.qlora.adapters import load_adapter
from src.qlora.configs import build_bnb_config
from src.qlora.loading import free_memory, load_base_model, load_tokenizer
from src.qlora.memory import answering_tokens
from src.qlora.registry import model_spec
from src.raft.answers import final_answer, is_abstention, quotes_in, strip_answer_form
from src.raft.prompt import to_messages
from src.scoring.correctness import answer_contained, normalize_answer

ROWS = ROOT / "docs" / "recipe.jsonl"  # what ``python -m benchmarks.recipe`` keeps
KS, FOCUS, FAR = (1, 3, 5, 10), 3, 10  # documents in the exam; what is looked at closely, and from far off
SETTINGS = (*SWEPT, *OF_RECORDS)
BASE = {"system": "base"}  # a cell without any training
GOLDEN_ALONE = {"num_distractors": 0, "golden_probability": 1.0}
# Beside the settings, what decides a score: with another of these a row is no longer comparable.
_FIXED = (
    "data_files", "hub_data", "max_context_length", "validation_ratio", "test_ratio", "max_context_tokens",
    "max_seq_length", "max_new_tokens", "compute_dtype", "optim", "gradient_accumulation_steps",
    "early_stopping_patience", "open_book_questions", "seed",
)  # fmt: skip


@dataclass
class Bench:
    """What all cells of a profile share: the split samples, and the exams about the validation products."""

    profile: Profile
    tokenizer: Any
    splits: dict[str, Any]
    exams: dict[str, list[RaftRecord]]

    def records(self, profile: Profile) -> dict[str, list[RaftRecord]]:
        """Clean training and validation records by ``profile``'s settings."""
        made, _ = pipeline.convert_splits(self.splits, profile, self.tokenizer)
        return pipeline.clean_splits(made, self.tokenizer)[0]


def build_bench(profile: Profile) -> Bench:
    """The split of the day without its test part; exams with the top ``KS`` documents, without any that answers, and
    with other digits."""
    tokenizer = load_tokenizer(profile)
    ratios = {"validation_ratio": profile.validation_ratio, "test_ratio": profile.test_ratio}
    splits = split_by_group(read_corpus(profile)[0], **ratios, seed=profile.seed)
    del splits["test"]
    bench = Bench(profile, tokenizer, splits, {})
    # The exam must not change with what is tried: it is made with every golden document kept.
    held_out = bench.records(replace(profile, golden_probability=1.0, add_cot=False))["validation"]
    asked = pick(held_out, profile.open_book_questions, profile.seed)
    search, options = (
        BM25Retriever(held_out_documents(held_out)),
        {"tokenizer": tokenizer, "profile": profile},
    )
    exams = {f"top {k}": open_book_records(asked, search, k, **options) for k in KS}
    exams["without"] = open_book_records(asked, search, FOCUS, without_answer=True, **options)
    for k in (FOCUS, FAR):
        exams[f"changed {k}"] = changed_digits(exams[f"top {k}"], seed=profile.seed, tokenizer=tokenizer)
    bench.exams = exams
    return bench


def settings_of(profile: Profile) -> dict[str, Any]:
    """What a cell may change, as JSON keeps it."""
    named = {name: getattr(profile, name) for name in (*SETTINGS, "lora_alpha")}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in named.items()}


def conditions(profile: Profile) -> str:
    """A fingerprint of base, data and all else that must be equal for two rows to be compared."""
    spec = model_spec(profile)
    weights = ROOT / str(spec.source) / "model.safetensors"
    base = describe_data(weights)["sha256"] if spec.local else [str(spec.source), spec.revision]
    files = describe_data(*(ROOT / file for file in profile.data_files))["sha256"]
    return fingerprint(base, files, {name: str(getattr(profile, name)) for name in _FIXED})[:12]


def cell_profile(profile: Profile, changed: Mapping[str, Any], seed: int) -> Profile:
    """The profile that a cell trains with; nothing is answered while it trains."""
    return replace(with_settings(profile, changed), seed=seed, bleu_records=0)


def run_cell(bench: Bench, changed: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One row: train with ``changed`` settings (``BASE``: not at all), answer the exams, count by product."""
    base = changed == BASE
    profile = cell_profile(bench.profile, {} if base else changed, seed)
    row = {"conditions": conditions(bench.profile), "profile": profile.name, "seed": seed}
    row |= {"system": "base"} if base else {"system": "tuned", "settings": settings_of(profile)}
    room = profile.max_new_tokens
    with tempfile.TemporaryDirectory() as folder:
        if not base:
            records = bench.records(profile)
            log = pipeline.train_adapter(profile, records, output_dir=folder)
            row |= {name: log[name] for name in ("steps", "train_records", "best_eval_loss")}
            row["training_seconds"] = round(log["seconds"], 1)
            room = max(room, _longest_reasoning(records["train"], bench.tokenizer))
        model = load_base_model(profile, quantization_config=build_bnb_config(profile))
        model = model if base else load_adapter(model, Path(folder) / "adapter")
        answers, seconds = {}, {}
        for name, papers in bench.exams.items():
            started = perf_counter()
            messages = [to_messages(paper, with_answer=False) for paper in papers]
            options = {"max_new_tokens": room, "batch_tokens": answering_tokens(profile)}
            answers[name] = generate_answers(model, bench.tokenizer, messages, **options)
            seconds[name] = perf_counter() - started
        del model
        free_memory()
    said = answers[f"top {FOCUS}"]
    written = [len(bench.tokenizer.encode(text, add_special_tokens=False)) for text in said]
    row |= {
        "answer_tokens": round(sum(written) / len(written), 2),
        "answer_seconds": round(seconds[f"top {FOCUS}"], 2),
    }
    return row | {"scores": score_exams(bench.exams, answers)}


def _longest_reasoning(records: Sequence[RaftRecord], tokenizer: Any) -> int:
    """Tokens of the longest reasoned answer with its end; 0 where there is no reasoning."""
    reasoned = [f"{r.cot}\n{r.answer}" for r in records if r.cot]
    return max((len(tokenizer.encode(t, add_special_tokens=False)) + 1 for t in reasoned), default=0)


def score_exams(
    exams: Mapping[str, Sequence[RaftRecord]], answers: Mapping[str, Sequence[str]]
) -> dict[str, list[list[int]]]:
    """Each score as [sum, count] by product, in the products' order: all that a paired bootstrap over products needs.

    ``right@k`` over all questions (the value where the documents hold it, else an abstention), ``value@k`` and
    ``changed@k`` where they hold it, ``false_abstention`` and ``exact_match`` there with ``FOCUS`` documents,
    ``abstention`` where no document holds it, ``quotes``: of those made, the ones that stand in a document word for word.
    What is scored is the final answer, without the reasoning before it.
    """
    scores: dict[str, dict[str, list[int]]] = {}

    def count(name: str, paper: RaftRecord, good: int, of: int = 1) -> None:
        by_product = scores.setdefault(name, {p.group_id: [0, 0] for p in exams[f"top {FOCUS}"]})
        by_product[paper.group_id][0] += good
        by_product[paper.group_id][1] += of

    for exam, papers in exams.items():
        kind, _, k = exam.partition(" ")
        for paper, text in zip(papers, answers[exam], strict=True):
            answer = final_answer(text)
            silent, held = is_abstention(answer), answer_contained(answer, paper.answer)
            if kind == "without":
                count("abstention", paper, silent)
                continue
            if kind == "top":
                count(f"right@{k}", paper, held if paper.answerable else silent)
            if paper.answerable:
                count(f"{'value' if kind == 'top' else 'changed'}@{k}", paper, held)
            if exam == f"top {FOCUS}" and paper.answerable:
                same = normalize_answer(strip_answer_form(answer)) == normalize_answer(
                    strip_answer_form(paper.answer)
                )
                count("exact_match", paper, same)
                count("false_abstention", paper, silent)
            if exam == f"top {FOCUS}":
                quotes = quotes_in(text)
                exact = sum(any(quote in document for document in paper.context) for quote in quotes)
                count("quotes", paper, exact, len(quotes))
    return {
        name: [[int(n) for n in by_product[group]] for group in sorted(by_product)]
        for name, by_product in scores.items()
    }


def read_rows(path: str | Path, profile: Profile) -> list[dict[str, Any]]:
    """The rows that are of this profile's base, data and exam; a torn line is passed over."""
    if not Path(path).exists():
        return []
    known = conditions(profile)
    return [row for row in read_jsonl(path, damaged=[]) if row.get("conditions") == known]


def search(
    profile: Profile,
    cells: Iterable[Mapping[str, Any]],
    seeds: Iterable[int],
    path: str | Path,
    *,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Run every cell with every seed that ``path`` does not hold yet, at most ``limit`` of them, adding a row after each;
    returns all rows that count."""
    bench, made = None, 0
    for seed, changed in product(seeds, list(cells)):
        base = changed == BASE
        key = fingerprint(None if base else settings_of(cell_profile(profile, changed, seed)), seed)
        known = {fingerprint(row.get("settings"), row["seed"]) for row in read_rows(path, profile)}
        if key in known or made == limit:
            continue
        bench = bench or build_bench(profile)
        print(f"시드 {seed}: {'베이스 모델' if base else dict(changed) or '프로파일 그대로'}", flush=True)
        append_jsonl(path, [run_cell(bench, changed, seed)])
        made += 1
    return read_rows(path, profile)
