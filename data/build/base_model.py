"""Rebuild ``data/tiny/base``: ``python -m data.build.base_model`` (about an hour on two CPU cores).

A Llama of about 2 M parameters is pre-trained from scratch on generated conversations about products that never
occur in ``data/raw``. It learns to read several documents and to copy out what is asked, in short answers and in
sentences; it never sees the RAFT answer form ("문맥에 따르면 …", "답을 찾을 수 없습니다" as an answer).

Copying emerges late and suddenly, hence the order: many short questions about few documents, then more documents;
then sentences and questions what is stated at all; then the words of the RAFT form in other sentences; last,
ordinary questions that are only to be told answerable or not. Stages marked ``fresh`` start from the saved checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from data.build import language
from src.raft.prompt import INSTRUCTION, to_messages

TARGET = Path(__file__).resolve().parents[1] / "tiny" / "base"
PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
ROLES = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
VOCAB_SIZE = 1536
SHORT_INSTRUCTIONS = (
    INSTRUCTION,
    INSTRUCTION,
    "문맥을 읽고 질문에 짧게 답하세요.",
    "주어진 문서에서 답을 찾아 쓰세요.",
)
SENTENCE_INSTRUCTION = "문맥을 읽고 질문에 한 문장으로 답하세요."
POLITE_INSTRUCTION = "문맥을 읽고 질문에 공손하게 답하세요."
ANSWERABLE_INSTRUCTION = "질문의 답이 문맥에 나오는지만 말하세요."
STATED, NOT_STATED = "네, 나옵니다.", "아니요, 나오지 않습니다."


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum; ``documents`` is an inclusive range a conversation, shares are of questions."""

    steps: int
    documents: tuple[int, int]
    questions: int
    batch_size: int
    learning_rate: tuple[float, float] = (0.0, 0.0)  # from, to (linear)
    sentence_share: float = 0.0  # conversations that are answered in sentences
    about_share: float = 0.0  # questions about what is stated at all
    long_share: float = 0.0  # conversations with up to ten documents
    polite_share: float = 0.0  # conversations that are answered "310W입니다."
    recite_share: float = 0.0  # questions that ask for a sentence of a document, word for word
    answerable_share: float = 0.0  # conversations that only say whether the documents hold the answer
    fresh: bool = False  # new optimizers on the saved checkpoint: a rebuild can resume here


STAGES = (
    Stage(600, (1, 2), 6, 16, (3e-3, 3e-3)),
    Stage(900, (2, 4), 8, 16, (3e-3, 2.5e-3)),
    Stage(1300, (2, 5), 8, 12, (2e-3, 5e-5), sentence_share=0.1, about_share=0.25, long_share=0.05, fresh=True),
    Stage(700, (2, 5), 8, 12, (1.5e-3, 2e-5), sentence_share=0.1, about_share=0.2, long_share=0.05,
          polite_share=0.25, recite_share=0.25, fresh=True),
    Stage(1000, (2, 4), 8, 12, (1.5e-3, 2e-5), sentence_share=0.05, about_share=0.05, long_share=0.03,
          polite_share=0.15, recite_share=0.1, answerable_share=0.45, fresh=True),
)  # fmt: skip


def build_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on generated text; digits stay single, so that numbers are copied digit by digit."""
    rng = Random(seed)
    texts = [
        INSTRUCTION,
        SENTENCE_INSTRUCTION,
        STATED,
        NOT_STATED,
        *SHORT_INSTRUCTIONS,
        *language.FILLERS,
    ] * 20
    for _ in range(8000):
        messages = make_conversation(rng, Stage(0, (2, 2), 4, 1, sentence_share=0.3, about_share=0.3))
        texts += [message["content"] for message in messages]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, BOS, EOS, *ROLES.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=list(ROLES.values()),
        model_max_length=2048,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def make_conversation(rng: Random, stage: Stage) -> list[dict[str, str]]:
    """Several questions about the same documents, the first one in the very prompt that RAFT uses."""
    kinds, weights = list(language.KINDS), list(language.KINDS.values())
    count = rng.randint(6, 10) if rng.random() < stage.long_share else rng.randint(*stage.documents)
    documents: list[language.Document] = []
    product = language.product_name(rng, corpus=False)
    for _ in range(count):
        # The neighbours a retriever would bring: other products, other kinds.
        if documents and rng.random() < 0.6:
            product = language.product_name(rng, corpus=False)
        taken = {document.kind for document in documents if document.product == product}
        kind = rng.choices(kinds, weights)[0]
        if documents and rng.random() < 0.3:
            kind = documents[-1].kind
        if kind in taken:
            product = language.product_name(rng, corpus=False)
        documents.append(language.make_document(rng, product, kind, rng.randint(2, 4)))
    rng.shuffle(documents)
    form = rng.random()
    if form < stage.sentence_share:
        instruction, template = SENTENCE_INSTRUCTION, None
    elif form < stage.sentence_share + stage.polite_share:
        instruction, template = POLITE_INSTRUCTION, "{v}입니다."
    elif form < stage.sentence_share + stage.polite_share + stage.answerable_share:
        instruction, template = ANSWERABLE_INSTRUCTION, None
    else:
        instruction, template = rng.choice(SHORT_INSTRUCTIONS), "{v}"
    loose: list[str] = []
    if stage.recite_share:
        loose = list({s.split()[0]: s for s in (language.loose_sentence(rng) for _ in range(3))}.values())
        documents = [
            replace(d, text=f"{d.text} {s}") for d, s in zip(documents, loose, strict=False)
        ] + documents[len(loose) :]
        loose = loose[: len(documents)]
    turns: list[dict[str, str]] = []
    for _ in range(stage.questions):
        if instruction == ANSWERABLE_INSTRUCTION:
            question, answer = _ask_whether(rng, documents)
        elif loose and rng.random() < stage.recite_share:
            answer = rng.choice(loose)
            question = f"{answer.split()[0]} 다음에 오는 말까지 그대로 쓰세요."
        else:
            question, answer = _ask(rng, documents, stage.about_share, template)
        if not turns:
            record = {
                "instruction": instruction,
                "context": [d.text for d in documents],
                "question": question,
            }
            turns += to_messages({**record, "answer": answer, "cot": None})
        else:
            turns += [
                {"role": "user", "content": f"[질문] {question}"},
                {"role": "assistant", "content": answer},
            ]
    return turns


def _ask(
    rng: Random, documents: list[language.Document], about_share: float, template: str | None
) -> tuple[str, str]:
    document = rng.choice(documents)
    name = language.call(rng, document.product)
    if rng.random() < about_share:
        return _ask_about(rng, documents, document, name)
    fact = rng.choice(document.facts)
    if fact.attribute.steps:
        answer = fact.value
    else:
        answer = (template or fact.attribute.sentences[0]).format(e=name, v=fact.value)
    return fact.ask(rng, name), answer


def _ask_whether(rng: Random, documents: list[language.Document]) -> tuple[str, str]:
    """An ordinary question, half of them about something that is not there."""
    document = rng.choice(documents)
    if rng.random() < 0.5:
        return rng.choice(document.facts).ask(rng, language.call(rng, document.product)), STATED
    product = document.product
    there = {fact.attribute.key: fact for d in documents for fact in d.facts}
    if rng.random() < 0.25:  # a product that is not there
        product = language.product_name(rng, corpus=False)
        return rng.choice(list(there.values())).ask(rng, language.call(rng, product)), NOT_STATED
    stated = {fact.attribute.key for d in documents if d.product == product for fact in d.facts}
    every = [
        attribute for kind in language.KINDS for attribute in kind.attributes if attribute.key not in stated
    ]
    of_others = [attribute for attribute in every if attribute.key in there]
    attribute = rng.choice(of_others if of_others and rng.random() < 0.5 else every)
    return language.Fact(attribute, "").ask(rng, language.call(rng, product)), NOT_STATED


def _ask_about(
    rng: Random, documents: list[language.Document], document: language.Document, name: str
) -> tuple[str, str]:
    """What is stated, and of which product: to know what is *not* there, which copying alone never teaches."""
    stated = {fact.attribute.key for d in documents if d.product == document.product for fact in d.facts}
    draw = rng.random()
    if draw < 0.3:
        in_order = [
            fact.attribute.key for d in documents if d.product == document.product for fact in d.facts
        ]
        return f"{name}, 무엇이 적혀 있나요?", ", ".join(in_order)
    if draw < 0.5:
        key = rng.choice(document.facts).attribute.key
        products = [d.product for d in documents if any(fact.attribute.key == key for fact in d.facts)]
        names = dict.fromkeys(language.short_name(product) for product in products)
        return f"어느 제품의 {key}, 적혀 있나요?", ", ".join(names)
    present = rng.random() < 0.5
    if present:
        key = rng.choice(sorted(stated))
    elif rng.random() < 0.3:  # a fact that is there, of a product that is not
        name = language.call(rng, language.product_name(rng, corpus=False))
        key = rng.choice(sorted({fact.attribute.key for d in documents for fact in d.facts}))
    else:
        others = {fact.attribute.key for d in documents for fact in d.facts} - stated
        every = {attribute.key for kind in language.KINDS for attribute in kind.attributes} - stated
        key = rng.choice(sorted(others if others and rng.random() < 0.6 else every))
    return f"{name}의 {key}, 문맥에 나오나요?", STATED if present else NOT_STATED


def encode(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
    """Token ids as the chat template gives them, and 1 where the assistant speaks."""
    ids, mask = [tokenizer.bos_token_id], [0]
    for message in messages:
        turn = [*tokenizer.encode(message["content"], add_special_tokens=False), tokenizer.eos_token_id]
        ids += [tokenizer.convert_tokens_to_ids(ROLES[message["role"]]), *turn]
        mask += [0] + [int(message["role"] == "assistant")] * len(turn)
    return ids, mask


def batches(
    tokenizer: PreTrainedTokenizerFast, stage: Stage, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless right-padded batches of similar length: ids (batch, length) and the answer mask."""
    rng = Random(seed)
    while True:
        rows = [encode(tokenizer, make_conversation(rng, stage)) for _ in range(stage.batch_size * 8)]
        rows.sort(key=lambda row: len(row[0]))
        chunks = [rows[i : i + stage.batch_size] for i in range(0, len(rows), stage.batch_size)]
        rng.shuffle(chunks)
        for chunk in chunks:
            length = max(len(ids) for ids, _ in chunk)
            ids = torch.full((len(chunk), length), tokenizer.pad_token_id)
            mask = torch.full((len(chunk), length), -1)  # -1: padding
            for row, (row_ids, row_mask) in enumerate(chunk):
                ids[row, : len(row_ids)] = torch.tensor(row_ids)
                mask[row, : len(row_mask)] = torch.tensor(row_mask)
            yield ids, mask


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def loss_of(
    model: LlamaForCausalLM, ids: torch.Tensor, mask: torch.Tensor, rest_weight: float = 0.2
) -> tuple:
    """Cross-entropy on the answers plus ``rest_weight`` times that on the prompt: every word is written some time."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids[:, :-1]).last_hidden_state
        target, kind = ids[:, 1:].reshape(-1), mask[:, 1:].reshape(-1)
        keep = kind >= 0
        logits = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[keep])
    losses = F.cross_entropy(logits.float(), target[keep], reduction="none")
    answers = kind[keep] == 1
    return losses[answers].mean() + rest_weight * losses[~answers].mean(), losses[answers].mean()


@torch.no_grad()
def exact_match(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, stage: Stage, seed: int, count: int = 64
):
    """Share of first questions whose greedy answer is right, on products not seen before."""
    rng, model_mode = Random(seed), model.training
    model.eval()
    conversations = [make_conversation(rng, stage)[:3] for _ in range(count)]
    prompts = [
        tokenizer.apply_chat_template(c[:2], add_generation_prompt=True, tokenize=False)
        for c in conversations
    ]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    batch.pop("token_type_ids", None)
    out = model.generate(**batch, max_new_tokens=40, do_sample=False)[:, batch["input_ids"].shape[1] :]
    answers = tokenizer.batch_decode(out, skip_special_tokens=True)
    model.train(model_mode)
    return sum(a == c[2]["content"] for a, c in zip(answers, conversations, strict=True)) / count


def build_optimizers(model: LlamaForCausalLM) -> tuple[torch.optim.Optimizer, ...]:
    """Muon on the matrices between the layers (copying emerges in fewer steps), AdamW on embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim < 2 or "embed" in name]
    return (
        torch.optim.Muon(matrices, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
    )


def train(target: Path = TARGET, first_stage: int = 1, seed: int = 0) -> None:
    """Run the stages from ``first_stage`` on; a later one than the first goes on from the checkpoint in ``target``."""
    torch.manual_seed(seed)
    # Going on, the tokenizer is the one that the checkpoint was trained with.
    tokenizer = build_tokenizer() if first_stage == 1 else PreTrainedTokenizerFast.from_pretrained(target)
    start = time.time()
    for number, stage in enumerate(STAGES[first_stage - 1 :], start=first_stage):
        if number == 1 or stage.fresh or number == first_stage:
            model = (
                build_model(tokenizer) if number == 1 else LlamaForCausalLM.from_pretrained(target).float()
            )
            optimizers, since = build_optimizers(model), 0
        stream = batches(tokenizer, stage, seed=seed * 100 + number - 1)
        for step in range(1, stage.steps + 1):
            first, last = stage.learning_rate
            since += 1
            rate = (first + (last - first) * step / stage.steps) * min(1.0, since / 200)
            ids, mask = next(stream)
            loss, answer_loss = loss_of(model, ids, mask)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
                optimizer.zero_grad()
            if step % 50 == 0:
                print(
                    f"stage {number} step {step} answers {answer_loss:.3f} all {loss:.3f} "
                    f"tokens {ids.shape[1]} {time.time() - start:.0f} s",
                    flush=True,
                )
        print("  exact match", exact_match(model, tokenizer, stage, seed=10_000 + number), flush=True)
        save(model, tokenizer, target)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, target: Path) -> None:
    """Weights in bfloat16 safetensors, tokenizer, and the SHA-256 sums of both."""
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
    files = sorted(p for p in target.iterdir() if p.suffix in {".json", ".safetensors", ".jinja"})
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in files]
    (target / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--target", type=Path, default=TARGET, help="folder to write (default: data/tiny/base)"
    )
    parser.add_argument("--from-stage", type=int, default=1, help="go on from the checkpoint in the folder")
    arguments = parser.parse_args()
    train(arguments.target, arguments.from_stage)
