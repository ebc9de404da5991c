"""Messages become answers: batched, greedy by default, in the order they were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.models import CHAT_TEMPLATE_OPTIONS

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedTokenizerBase

Messages = Sequence[dict]  # [{"role": …, "content": …}, …] without the answer


def generate_answers(
    model,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Messages],
    *,
    max_new_tokens: int,
    batch_size: int = 32,
    progress: bool = False,
) -> list[str]:
    """One answer for each conversation in ``messages``, in their order.

    Greedy: the same prompts give the same answers. Prompts of like length share a batch, padded on the left so that
    every row's next token is the answer's. An answer ends at EOS or after ``max_new_tokens`` tokens; only new tokens
    are decoded, special ones dropped. The model's training or evaluation mode is left as it was.
    """
    from tqdm.auto import tqdm

    prompts = [
        tokenizer.apply_chat_template(
            list(turns), tokenize=False, add_generation_prompt=True, **CHAT_TEMPLATE_OPTIONS
        )
        for turns in messages
    ]
    # As in training: the template writes BOS where there is one.
    ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    # The longest first: if memory does not suffice, it shows in the first batch.
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    config = _greedy_config(model, tokenizer, max_new_tokens)
    answers = [""] * len(ids)
    was_training = model.training
    model.eval()
    try:
        for start in tqdm(range(0, len(order), batch_size), desc="답변 생성", disable=not progress):
            rows = order[start : start + batch_size]
            batch = tokenizer.pad(
                {"input_ids": [ids[i] for i in rows]}, padding_side="left", return_tensors="pt"
            )
            batch = batch.to(model.device)
            output = model.generate(**batch, generation_config=config)
            new = output[:, batch["input_ids"].shape[1] :]
            for i, tokens in zip(rows, new, strict=True):
                answers[i] = tokenizer.decode(tokens, skip_special_tokens=True).strip()
    finally:
        model.train(was_training)
    return answers


def generate_base_and_tuned(
    model: PeftModel, tokenizer: PreTrainedTokenizerBase, messages: Sequence[Messages], **options
) -> tuple[list[str], list[str]]:
    """(base answers, tuned answers) to the same prompts from one model in memory: the adapter switched off, then on."""
    with model.disable_adapter():
        base = generate_answers(model, tokenizer, messages, **options)
    return base, generate_answers(model, tokenizer, messages, **options)


def _greedy_config(model, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int):
    """Greedy decoding whatever the checkpoint's own settings are; its further stop tokens are kept."""
    from transformers import GenerationConfig

    own = getattr(model.generation_config, "eos_token_id", None)
    stops = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])} - {None}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        # Neutral values: unset ones would be filled from the checkpoint and warned about under greedy decoding.
        temperature=1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        use_cache=True,  # training switches the model's own flag off
        eos_token_id=sorted(stops),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
