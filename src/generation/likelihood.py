"""How likely the model finds a given answer: a question is asked through its logits, and nothing is generated."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from src.data.text import fingerprint
from src.generation.generate import BATCH_TOKENS, Messages, cut_batches, prompt_ids
from src.qlora.adapters import evaluation_mode
from src.qlora.fitting import explain_answering, memory_advice

if TYPE_CHECKING:
    import numpy as np


def score_continuations(
    model: Any,
    tokenizer: Any,
    messages: Sequence[Messages],
    continuations: Sequence[str],
    *,
    per_token: bool = False,
    batch_tokens: int = BATCH_TOKENS,
    progress: bool = False,
    label: str = "답의 확률",
) -> "np.ndarray":
    """log P(continuation | prompt), shape (conversations, continuations), in the order of both.

    A continuation's tokens are scored as the beginning of the answer: Σ log P(token | prompt, tokens before). One that
    must also end there carries the tokenizer's EOS as text. Longer ones multiply more probabilities and so score
    lower; ``per_token`` divides by the number of tokens (Brown et al. 2020, arXiv 2005.14165, §2.4).

    Each prompt is read once, whatever the number of continuations: they go on from its keys and values. Prompts of
    like length share a batch of at most ``batch_tokens``, padded on the left, and only the logits that are asked for
    are computed. Equal prompts are read once. ``progress``: a bar with ``label``.

    Raises:
        ValueError: no continuation, an empty one, or a prompt that the model has no room for.
        OutOfMemory: a batch does not fit; the message says how large it was.
    """
    import numpy as np
    from tqdm.auto import tqdm

    choices = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in continuations]
    if not choices or not all(choices):
        raise ValueError(
            "견줄 말이 없거나 빈 말이 있습니다. '네', '아니요'처럼 한 글자 이상인 말을 목록으로 넣어 주세요."
        )
    longest = max(map(len, choices))
    ids = prompt_ids(model, tokenizer, messages, longest)
    keys = [fingerprint(row) for row in ids]
    asked = dict(zip(keys, ids, strict=True))
    order = sorted(asked, key=lambda key: -len(asked[key]))
    lengths = [len(choices) * (len(asked[key]) + longest) for key in order]
    found: dict[str, np.ndarray] = {}
    with evaluation_mode(model), tqdm(total=len(order), desc=label, unit="개", disable=not progress) as bar:
        for batch in cut_batches(order, lengths, batch_tokens):
            rows = [asked[key] for key in batch]
            with memory_advice(partial(explain_answering, rows, longest, batch_tokens)):
                found |= zip(batch, _score_batch(model, tokenizer, rows, choices), strict=True)
            bar.update(len(batch))
    scores = np.array([found[key] for key in keys]).reshape(len(keys), len(choices))
    return scores / [len(choice) for choice in choices] if per_token else scores


def _score_batch(model: Any, tokenizer: Any, ids: list[list[int]], choices: list[list[int]]) -> "np.ndarray":
    """(rows, choices): the prompts in one pass, then all but the last token of every choice in a second."""
    import torch

    batch = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt").to(model.device)
    mask, device = batch["attention_mask"], model.device
    output = model(
        input_ids=batch["input_ids"],
        attention_mask=mask,
        position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),  # the model itself would count the padding
        use_cache=True,
        logits_to_keep=1,
    )
    first = output.logits[:, -1].float().log_softmax(dim=-1)
    scores = first[:, [choice[0] for choice in choices]]
    width = max(map(len, choices)) - 1
    if not width:
        return scores.double().cpu().numpy()
    # (rows × choices, width), the choices of the first prompt on top, padded on the right
    read = torch.tensor([choice[:-1] + [0] * (width + 1 - len(choice)) for choice in choices], device=device)
    wanted = torch.tensor([choice[1:] + [0] * (width + 1 - len(choice)) for choice in choices], device=device)
    real = torch.tensor(
        [[int(i < len(choice) - 1) for i in range(width)] for choice in choices], device=device
    )
    rows, count = len(ids), len(choices)
    cache = output.past_key_values
    cache.batch_repeat_interleave(count)
    lengths = mask.sum(dim=1, keepdim=True).repeat_interleave(count, dim=0)
    output = model(
        input_ids=read.repeat(rows, 1),
        attention_mask=torch.cat([mask.repeat_interleave(count, dim=0), real.repeat(rows, 1)], dim=1),
        position_ids=lengths + torch.arange(width, device=device),
        past_key_values=cache,
        use_cache=True,
    )
    following = output.logits.float().log_softmax(dim=-1)
    following = following.gather(-1, wanted.repeat(rows, 1)[..., None])[..., 0] * real.repeat(rows, 1)
    return (scores + following.sum(dim=1).view(rows, count)).double().cpu().numpy()
