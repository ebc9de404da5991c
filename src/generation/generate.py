"""Messages become answers: batched, greedy by default, in the order they were asked, kept for a second look."""

import copy
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from src.data.text import fingerprint
from src.generation.answer_cache import model_identity
from src.generation.call_sheet import answer_tokens, open_cache
from src.qlora.adapters import evaluation_mode
from src.qlora.fitting import explain_answering, memory_advice
from src.raft.prompt import render_chat

BATCH_TOKENS = (
    8192  # of a batch, prompts and answers together, where nobody says (``qlora.answering_tokens`` does)
)
SPLIT_ABOVE = 8  # rows; taking some away from fewer saves less than starting again costs
Messages = Sequence[dict]  # [{"role": …, "content": …}, …] without the answer


def generate_answers(
    model: Any,
    tokenizer: Any,
    messages: Sequence[Messages],
    *,
    max_new_tokens: int,
    batch_tokens: int = BATCH_TOKENS,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    cache: str | Path | None = None,
    progress: bool = False,
    label: str = "답변 생성",
) -> list[str]:
    """One answer for each conversation in ``messages``, in their order.

    Greedy at ``temperature`` 0: equal prompts give the same answer and are asked once. Above 0 the next token is drawn
    at that temperature from the smallest set of likeliest tokens that holds ``top_p`` of the probability (Holtzman et
    al. 2020, arXiv 1904.09751), seeded, equal prompts apart, the program's other random numbers left alone.

    Prompts of like length share a batch, padded on the left: as many as ``batch_tokens`` holds with their answers, so
    that a batch of long ones needs no more memory than one of short ones. An answer ends at EOS or after
    ``max_new_tokens`` tokens; special tokens are dropped. The model's training or evaluation mode is left as it was.

    ``cache`` is a folder, or a file ``….csv`` for people to read (``call_sheet.py``): answers found there (same weights,
    adapter, prompt and settings) are not made again, new ones are added after each batch: an interrupted run goes on.
    ``progress``: a bar with ``label``, which also names the calls in a CSV file.

    Raises:
        ValueError: a temperature below 0, a ``top_p`` outside (0, 1], or a prompt that the model has no room for.
        OutOfMemory: a batch does not fit; the message says how large it was. Kept answers stay.
    """
    import torch
    from tqdm.auto import tqdm

    if temperature < 0 or not 0 < top_p <= 1:
        raise ValueError(
            "temperature는 0 이상, top_p는 0보다 크고 1 이하로 정해 주세요. 0이면 늘 같은 답을 고릅니다."
        )
    ids = prompt_ids(model, tokenizer, messages, max_new_tokens)
    keys = _keys(ids, distinct=temperature > 0)
    asked = {key: ids[i] for i, key in enumerate(keys)}  # each key once
    config = _generation_config(model, tokenizer, max_new_tokens, temperature, top_p)
    settings = {"max_new_tokens": max_new_tokens, "stop": config.eos_token_id, "temperature": temperature}
    if temperature > 0:  # only then does an answer depend on what stands beside it
        settings |= {"top_p": top_p, "seed": seed, "batch_tokens": batch_tokens, "prompts": fingerprint(keys)}
    store = open_cache(cache, model_identity(model) | settings, label) if cache is not None and ids else None
    known = dict(store.answers) if store else {}

    # Batches are cut from all prompts, known or not: a resumed run has the batches of an uninterrupted one. The
    # longest come first: if memory does not suffice, it shows in the first batch.
    order = sorted(asked, key=lambda key: -len(asked[key]))
    batches = cut_batches(order, [len(asked[key]) + max_new_tokens for key in order], batch_tokens)
    with evaluation_mode(model), tqdm(total=len(order), desc=label, unit="개", disable=not progress) as bar:
        for number, batch in enumerate(batches):
            if not all(key in known for key in batch):
                with torch.random.fork_rng(enabled=temperature > 0):
                    if temperature > 0:
                        torch.manual_seed(seed * 1_000_003 + number)
                    prompts_now = [asked[key] for key in batch]
                    with memory_advice(partial(explain_answering, prompts_now, max_new_tokens, batch_tokens)):
                        answers = _generate_batch(model, tokenizer, prompts_now, config)
                new = dict(zip(batch, answers, strict=True))
                known = new | known
                if store:
                    store.add(
                        new, {key: (len(asked[key]), answer_tokens(tokenizer, new[key])) for key in new}
                    )
            bar.update(len(batch))
    return [known[key] for key in keys]


def prompt_ids(model: Any, tokenizer: Any, messages: Sequence[Messages], new_tokens: int) -> list[list[int]]:
    """Token ids of each conversation up to where the answer begins.

    Raises:
        ValueError: the model has no room for one of them with ``new_tokens`` more.
    """
    prompts = [render_chat(tokenizer, turns, add_generation_prompt=True) for turns in messages]
    ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    # Beyond the positions it was trained for a model writes nonsense, and no error says so.
    room = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, ids), default=0) + new_tokens
    if room and longest > room:
        raise ValueError(
            f"프롬프트와 답이 모두 {longest:,}토큰인데 모델의 자리는 {room:,}토큰입니다. "
            "문서나 예시를 줄이거나 max_new_tokens를 낮춰 주세요."
        )
    return ids


def cut_batches(order: Sequence[str], lengths: Sequence[int], batch_tokens: int) -> list[list[str]]:
    """``order`` cut where rows × ``lengths`` (tokens of prompt and answer, falling) would exceed ``batch_tokens``; at
    least one row a batch. The longest row is the first: it is what the others are padded to."""
    batches: list[list[str]] = []
    room = 0
    for key, length in zip(order, lengths, strict=True):
        if not room:
            batches.append([])
            room = max(1, batch_tokens // length)
        batches[-1].append(key)
        room -= 1
    return batches


def generate_base_and_tuned(
    model: Any, tokenizer: Any, messages: Sequence[Messages], **options: Any
) -> tuple[list[str], list[str]]:
    """(base answers, tuned answers) to the same prompts from one model in memory: the adapter switched off, then on."""
    with model.disable_adapter():
        base = generate_answers(model, tokenizer, messages, label="베이스 모델", **options)
    return base, generate_answers(model, tokenizer, messages, label="튜닝한 모델", **options)


def _keys(ids: Sequence[Sequence[int]], *, distinct: bool) -> list[str]:
    """A key a prompt; when answers are drawn, the second time of the same prompt has a key of its own."""
    seen: Counter[str] = Counter()
    keys = []
    for key in map(fingerprint, ids):
        keys.append(f"{key}#{seen[key]}" if distinct and seen[key] else key)
        seen[key] += 1
    return keys


def _generate_batch(model: Any, tokenizer: Any, ids: list[list[int]], config: Any) -> list[str]:
    """The answers to one batch. Whenever half of its rows have ended they leave it, and the others go on from their
    cache: else every row would be computed until the longest answer ends."""
    import torch

    batch = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt").to(model.device)
    tokens, mask, cache = batch["input_ids"], batch["attention_mask"], None
    width, limit = tokens.shape[1], tokens.shape[1] + config.max_new_tokens
    stops = torch.tensor(config.eos_token_id, device=tokens.device)
    rows, answers = list(range(len(ids))), [""] * len(ids)
    settings = copy.copy(config)
    settings.return_dict_in_generate = True
    while rows:
        ended = torch.zeros(len(rows), dtype=torch.bool, device=tokens.device)
        # Where a state sums up all tokens (linear attention) transformers cannot take rows out of it.
        whole = len(rows) <= SPLIT_ABOVE or getattr(model, "_is_stateful", False)
        settings.max_new_tokens = limit - tokens.shape[1]
        output = model.generate(
            input_ids=tokens,
            attention_mask=mask,
            past_key_values=cache,
            generation_config=settings,
            stopping_criteria=[_when_ended(ended, stops, rows=len(rows) if whole else len(rows) // 2)],
        )
        tokens, cache = output.sequences, output.past_key_values
        over = (ended | (tokens.shape[1] == limit)).cpu()  # on the CPU it selects rows on whatever device
        for row, done, new in zip(rows, over.tolist(), tokens[:, width:], strict=True):
            if done:
                answers[row] = tokenizer.decode(new, skip_special_tokens=True).strip()
        rows = [row for row, done in zip(rows, over.tolist(), strict=True) if not done]
        if rows:
            cache.batch_select_indices(~over)
            mask = torch.nn.functional.pad(mask, (0, tokens.shape[1] - mask.shape[1]), value=1)[~over]
            tokens = tokens[~over]
    return answers


def _when_ended(ended: Any, stops: Any, *, rows: int) -> Any:
    """A stopping criterion: generation stops when ``rows`` rows have written a stop token; ``ended`` says which have."""
    import torch

    def criterion(tokens: Any, scores: Any, **_: Any) -> Any:
        ended.logical_or_(torch.isin(tokens[:, -1], stops))
        return torch.full_like(ended, int(ended.sum()) >= rows)

    return criterion


def _generation_config(
    model: Any, tokenizer: Any, max_new_tokens: int, temperature: float, top_p: float
) -> Any:
    """These settings whatever the checkpoint's own are; its further stop tokens are kept."""
    from transformers import GenerationConfig

    own = getattr(model.generation_config, "eos_token_id", None)
    stops = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        # Neutral values: unset ones would be filled from the checkpoint and warned about under greedy decoding.
        temperature=temperature or 1.0,
        top_p=top_p if temperature else 1.0,
        top_k=0 if temperature else 50,
        repetition_penalty=1.0,
        use_cache=True,  # training switches the model's own flag off
        eos_token_id=sorted(stops),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
