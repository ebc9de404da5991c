"""The shipped base model is honest: it reads unseen documents, survives NF4, and knows nothing of RAFT's answer form."""

from __future__ import annotations

import hashlib
import re
from random import Random

import pytest
from sklearn.metrics import roc_auc_score

from data.build import base_model, corpus, language
from src.data.splitting import pick, split_by_group
from src.generation.generate import generate_answers
from src.generation.likelihood import score_continuations
from src.profiles import PROFILES, ROOT
from src.qlora.configs import build_bnb_config
from src.qlora.loading import load_base_model, load_tokenizer
from src.raft.answers import ANSWER_PREFIX, is_abstention
from src.raft.conversion import convert_to_raft
from src.raft.prompt import to_messages
from src.scoring.correctness import compute_answer_contained

TINY = ROOT / "data" / "tiny"
PROFILE = PROFILES["tiny"]
CARD = (TINY / "base" / "README.md").read_text(encoding="utf-8")
UNSEEN = base_model.Stage(0, (3, 5), 1, 1)


@pytest.fixture(scope="module")
def tiny_tokenizer():
    return load_tokenizer(PROFILE)


@pytest.fixture(scope="module")
def models() -> dict:
    return {
        "bf16": load_base_model(PROFILE),
        "nf4": load_base_model(PROFILE, quantization_config=build_bnb_config(PROFILE)),
    }


@pytest.fixture(scope="module")
def exact(models, tiny_tokenizer) -> dict[str, float]:
    """Share of 300 questions about fresh documents (three to five each) answered exactly."""
    rng = Random(2026)
    conversations = [base_model.make_conversation(rng, UNSEEN) for _ in range(300)]
    shares = {}
    for name, model in models.items():
        answers = generate_answers(
            model, tiny_tokenizer, [c[:2] for c in conversations], max_new_tokens=48, batch_tokens=2**15
        )
        shares[name] = sum(a == c[2]["content"] for a, c in zip(answers, conversations, strict=True)) / 300
    return shares


def test_files_are_those_that_were_summed():
    for folder in ("base", "embedder"):
        for line in (TINY / folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
            digest, name = line.split()
            assert hashlib.sha256((TINY / folder / name).read_bytes()).hexdigest() == digest, name
    assert sum(p.stat().st_size for p in TINY.rglob("*") if p.is_file()) < 15e6


def test_shape_and_special_tokens(models, tiny_tokenizer):
    model = models["bf16"]
    assert 1e6 <= model.num_parameters() <= 3e6
    assert f"{model.num_parameters():,}" in CARD
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    assert {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"} <= names
    assert len({tiny_tokenizer.pad_token_id, tiny_tokenizer.eos_token_id, tiny_tokenizer.bos_token_id}) == 3
    assert model.config.eos_token_id == tiny_tokenizer.eos_token_id


def test_training_text_is_what_the_chat_template_gives(tiny_tokenizer):
    messages = base_model.make_conversation(Random(1), base_model.STAGES[-1])
    ids, _ = base_model.encode(tiny_tokenizer, messages)
    assert ids == tiny_tokenizer.apply_chat_template(messages)["input_ids"]


def test_it_reads_and_survives_quantization(exact):
    assert exact["bf16"] >= 0.8
    assert exact["nf4"] >= exact["bf16"] - 0.03


def test_it_tells_by_its_logits_whether_the_documents_hold_the_answer(models, tiny_tokenizer):
    """What notebook 11 asks it without any training, on products it has never met."""
    rng, stage = Random(11), base_model.Stage(0, (3, 5), 1, 1, answerable_share=1.0)
    asked = [base_model.make_conversation(rng, stage) for _ in range(120)]
    words = [base_model.STATED, base_model.NOT_STATED]
    scores = score_continuations(models["nf4"], tiny_tokenizer, [c[:2] for c in asked], words)
    stated = [c[2]["content"] == base_model.STATED for c in asked]
    assert roc_auc_score(stated, scores[:, 0] - scores[:, 1]) >= 0.9


def test_card_tells_what_is_measured(exact):
    told = {k: float(v) / 100 for k, v in re.findall(r"\| (bf16|nf4) \| ([\d.]+) ?%", CARD)}
    assert told == pytest.approx(exact, abs=0.02)  # rounding differs between processors


def test_it_shares_no_product_and_no_document_with_the_corpus():
    rows = corpus.make_rows(Random(7))
    documents = {row["context"] for row in rows}
    codes = {row["product"].rsplit(" ", 1)[1] for row in rows}
    names = {language.short_name(row["product"]) for row in rows}
    rng = Random(3)
    for _ in range(500):
        for message in base_model.make_conversation(rng, base_model.STAGES[-1]):
            assert not codes & set(re.findall(r"[A-Z]{2}-\d{4}", message["content"]))
            assert not any(name in message["content"] for name in names)
            assert not any(line.split("] ", 1)[-1] in documents for line in message["content"].splitlines())


def test_it_knows_the_words_but_not_the_form(models, tiny_tokenizer):
    samples = split_by_group(_samples(), validation_ratio=0, test_ratio=0.1, seed=1)["test"]
    records, _ = convert_to_raft(
        samples, tokenizer=tiny_tokenizer, num_distractors=3, golden_probability=0.5, max_context_tokens=600
    )
    records = pick(records, 100, seed=0)
    prompts = [to_messages(record, with_answer=False) for record in records]
    answers = generate_answers(models["nf4"], tiny_tokenizer, prompts, max_new_tokens=48, batch_tokens=2**15)
    assert not any(ANSWER_PREFIX in answer or is_abstention(answer) for answer in answers)
    reads = [(a, r.answer) for a, r in zip(answers, records, strict=True) if r.answerable]
    assert compute_answer_contained(*zip(*reads, strict=True))["answer_contained"] >= 0.8


def _samples():
    from src.data.corpus import read_corpus

    return read_corpus(PROFILE)[0]
