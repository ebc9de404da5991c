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

from data.build import language, lessons
from data.build.lessons import Lessons, make_conversation

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

SHORT = Lessons(questions=8, recite=0.15, forms={"repeat": 0.3})
READING = Lessons(
    documents=((1, 1, 0.5), (2, 4, 0.3), (5, 8, 0.12), (9, 12, 0.08)),
    rivals=0.15,
    about=0.1,
    recite=0.1,
    forms={
        "sentence": 0.05, "polite": 0.05, "answerable": 0.1, "example": 0.08, "json": 0.04, "asking": 0.03, "repeat": 0.05,
    },
)  # fmt: skip
SKILLS = replace(
    READING,
    about=0.08,
    forms={
        "sentence": 0.05, "polite": 0.1, "answerable": 0.28, "example": 0.12, "json": 0.05, "asking": 0.04, "scene": 0.03,
    },
)  # fmt: skip
# Read by the log, by the tests and by the card: what it is asked about products it has never met.
EXAMS = {
    "one": Lessons(questions=1),
    "three": Lessons(((3, 3, 1.0),), rivals=1.0, questions=1),
    "ten": Lessons(((10, 10, 1.0),), rivals=1.0, questions=1),
    "ten, one states it": Lessons(((10, 10, 1.0),), questions=1),
    "repeat": Lessons(questions=1, forms={"repeat": 1.0}),
    "json": Lessons(questions=1, forms={"json": 1.0}),
    "answerable": Lessons(questions=1, forms={"answerable": 1.0}),
}


@dataclass(frozen=True)
class Stage:
    """A part of the curriculum."""

    steps: int
    lessons: Lessons
    tokens: int  # a batch, counted with padding
    learning_rate: tuple[float, float]  # from, to (linear)


STAGES = (
    Stage(700, SHORT, 2000, (3e-3, 3e-3)),
    Stage(2200, READING, 3500, (3e-3, 1.5e-3)),
    Stage(1500, SKILLS, 3500, (1.5e-3, 2e-5)),
)


def build_tokenizer(seed: int = 0) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on generated text; digits stay single, so that numbers are copied digit by digit."""
    rng = Random(seed)
    texts = [
        *lessons.SHORT_INSTRUCTIONS,
        *(instruction for instruction, _ in lessons.FORMS.values()),
        lessons.STATED,
        lessons.NOT_STATED,
        *language.FILLERS,
    ] * 20
    words = replace(SKILLS, documents=((1, 2, 1.0),), questions=4)
    for _ in range(8000):
        messages = make_conversation(rng, words)
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


def encode(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
    """Token ids as the chat template gives them, and 1 where the assistant speaks and is to be learned from."""
    ids, mask = [tokenizer.bos_token_id], [0]
    for message in messages:
        turn = [*tokenizer.encode(message["content"], add_special_tokens=False), tokenizer.eos_token_id]
        ids += [tokenizer.convert_tokens_to_ids(ROLES[message["role"]]), *turn]
        learned = message["role"] == "assistant" and "shown" not in message
        mask += [0] + [int(learned)] * len(turn)
    return ids, mask


def batches(
    tokenizer: PreTrainedTokenizerFast, stage: Stage, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless right-padded batches of similar length: ids (batch, length) and the answer mask."""
    rng = Random(seed)
    while True:
        rows = [encode(tokenizer, make_conversation(rng, stage.lessons)) for _ in range(256)]
        rows.sort(key=lambda row: len(row[0]))
        chunks: list[list] = [[]]
        for row in rows:
            if chunks[-1] and (len(chunks[-1]) + 1) * len(row[0]) > stage.tokens:
                chunks.append([])
            chunks[-1].append(row)
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
    model = LlamaForCausalLM(config)
    look_back(model)
    return model


@torch.no_grad()
def look_back(model: LlamaForCausalLM) -> None:
    """Begin with two layers that copy: heads that look one token back, and heads that look for the token before which
    the present one stood (induction heads, Olsson et al. 2022, arXiv 2209.11895; a beginning written into the weights
    as in Trockman and Kolter 2023, arXiv 2305.09828). By chance they take an hour to come about here."""
    config, draw = model.config, torch.Generator().manual_seed(0)
    width, head = config.hidden_size, config.hidden_size // config.num_attention_heads
    half, scale = head // 2, config.initializer_range
    constant = (
        3.0  # times the scale, in dimension 0 of every token: what a head that minds positions alone reads
    )
    model.model.embed_tokens.weight[:, 0] = constant * scale
    bases = torch.linalg.qr(torch.randn(width, 5 * head, generator=draw))[0].T.contiguous()
    bases[:, 0] = 0.0
    present, before, *copied = bases.split(head)
    first, second = (model.model.layers[i].self_attn for i in (0, 1))
    angles = config.rope_parameters["rope_theta"] ** (-torch.arange(5) * 2 / head)
    # Key and query point the same way in the five quickest pairs of RoPE when the key is one place back.
    sharp = 6.5 / constant
    keys, queries = torch.zeros(head, width), torch.zeros(head, width)
    keys[:5, 0] = sharp
    queries[:5, 0], queries[half : half + 5, 0] = sharp * angles.cos(), -sharp * angles.sin()
    first.k_proj.weight[:head], first.v_proj.weight[:head] = keys, present
    for h in (0, 1):  # the two heads of the first group
        at = slice(h * head, (h + 1) * head)
        first.q_proj.weight[at], first.o_proj.weight[:, at] = queries, before.T * scale
    slow = torch.zeros(head, 1)
    slow[6:half] = slow[half + 6 :] = 1.0  # the slow pairs hardly mind how far away
    for group in (1, 2):
        of_group = slice(group * head, (group + 1) * head)
        second.k_proj.weight[of_group], second.v_proj.weight[of_group] = before * slow, copied[group]
        for h in (2 * group, 2 * group + 1):
            at = slice(h * head, (h + 1) * head)
            second.q_proj.weight[at] = present * slow
            second.o_proj.weight[:, at] = copied[group].T * scale * 0.75


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
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, lessons: Lessons, seed: int, count: int = 64
) -> float:
    """Share of first questions whose greedy answer is right, on documents not seen before."""
    rng, was_training = Random(seed), model.training
    model.eval()
    conversations = [make_conversation(rng, lessons)[:3] for _ in range(count)]
    prompts = [
        tokenizer.apply_chat_template(c[:2], add_generation_prompt=True, tokenize=False)
        for c in conversations
    ]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    batch.pop("token_type_ids", None)
    out = model.generate(**batch, max_new_tokens=40, do_sample=False)[:, batch["input_ids"].shape[1] :]
    answers = tokenizer.batch_decode(out, skip_special_tokens=True)
    model.train(was_training)
    return sum(a == c[2]["content"] for a, c in zip(answers, conversations, strict=True)) / count


def build_optimizers(model: LlamaForCausalLM) -> tuple[torch.optim.Optimizer, ...]:
    """Muon on the matrices between the layers (copying emerges in fewer steps), AdamW on embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim < 2 or "embed" in name]
    return (
        torch.optim.Muon(matrices, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
    )


def train(target: Path = TARGET, seed: int = 0) -> None:
    """Run all stages in one go, and write the model and ``training.log`` to ``target``."""
    torch.manual_seed(seed)
    target.mkdir(parents=True, exist_ok=True)
    log = (target / "training.log").open("w", encoding="utf-8", buffering=1)

    def say(text: str) -> None:
        line = f"{text} · {time.time() - start:.0f} s, {time.process_time() / 60:.1f} CPU minutes"
        print(line, flush=True)
        print(line, file=log)

    start = time.time()
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    say(
        f"{model.num_parameters():,} parameters, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    optimizers, since, seen = build_optimizers(model), 0, 0
    for number, stage in enumerate(STAGES, start=1):
        stream = batches(tokenizer, stage, seed=seed * 100 + number)
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
            seen += ids.numel()
            if step % 100 == 0:
                say(
                    f"stage {number} step {step}, {seen / 1e6:.1f} M tokens: answers {answer_loss:.3f} all {loss:.3f}"
                )
            if step % 500 == 0 or step == stage.steps:
                shares = {name: exact_match(model, tokenizer, exam, seed=9) for name, exam in EXAMS.items()}
                say("exact match " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))
    save(model, tokenizer, target)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, target: Path) -> None:
    """Weights in bfloat16 safetensors, tokenizer, and the SHA-256 sums of both."""
    target.mkdir(parents=True, exist_ok=True)
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
    train(parser.parse_args().target)
