"""A decoder reads a prompt, a linear layer names its class: features of a frozen base, and training of head and body.

``PairClassifier`` is what transformers calls ``AutoModelForSequenceClassification``: the hidden state of a prompt's last
token, times one weight a class and dimension. Here base and head stay two things, so that the base can be asked
afterwards what it still knows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from src.qlora.adapters import evaluation_mode
from src.raft.prompt import render_chat

if TYPE_CHECKING:
    import torch

BATCH_TOKENS = 8192  # of a batch that is only read, padding included
HEAD_RATE = 20  # times the body's learning rate: the head starts at random, the body does not


def encode_prompts(tokenizer: Any, messages: Sequence[Sequence[dict]]) -> list[list[int]]:
    """Token ids of each conversation up to where an answer would begin."""
    return [
        tokenizer(render_chat(tokenizer, turns, add_generation_prompt=True), add_special_tokens=False)[
            "input_ids"
        ]
        for turns in messages
    ]


def read_features(
    model: Any, ids: Sequence[Sequence[int]], *, pad_to: int | None = None, batch_tokens: int = BATCH_TOKENS
) -> np.ndarray:
    """The hidden state at each prompt's last token, float32 (prompts, hidden size); nothing is trained.

    Prompts of like length share a batch, padded to the longest of it; ``pad_to`` pads every one to that length.
    """

    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    rows: dict[int, np.ndarray] = {}
    with evaluation_mode(model):
        while order:
            width = pad_to or len(ids[order[0]])
            batch, order = order[: max(1, batch_tokens // width)], order[max(1, batch_tokens // width) :]
            hidden = last_hidden(model, [ids[row] for row in batch], pad_to=pad_to)
            rows |= zip(batch, hidden.float().cpu().numpy(), strict=True)
    return np.stack([rows[row] for row in range(len(ids))])


def last_hidden(model: Any, ids: Sequence[Sequence[int]], *, pad_to: int | None = None) -> torch.Tensor:
    """(prompts, hidden size): the decoder's output, after its last norm, at each prompt's last token."""
    import torch

    width, device = pad_to or max(map(len, ids)), model.device
    tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=device)
    lengths = torch.tensor([len(row) for row in ids], device=device)
    mask = (
        torch.arange(width, device=device) < lengths[:, None]
    )  # padded on the right: nothing read before it sees it
    hidden = _decoder(model)(input_ids=tokens, attention_mask=mask.long(), use_cache=False).last_hidden_state
    return hidden[torch.arange(len(ids), device=device), lengths - 1]


def _decoder(model: Any) -> Any:
    """The base without its output layer; an adapter lies within it."""
    return (model.get_base_model() if hasattr(model, "peft_config") else model).get_decoder()


@dataclass
class Run:
    """What became of one training. ``history``: a row an evaluation with ``epoch`` or ``step``, ``loss`` (mean since
    the row before) and, where there was something to look at, ``eval_loss`` and ``eval_accuracy``."""

    weight: np.ndarray  # (classes, features), with the bias as last column
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    trainable: int = 0

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(rows, classes), each row adding up to 1."""
        logits = features @ self.weight[:, :-1].T + self.weight[:, -1]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)


def fit_head(
    features: np.ndarray,
    labels: Sequence[int],
    *,
    held_out: tuple[np.ndarray, Sequence[int]],
    learning_rate: float,
    batch_size: int,
    epochs: int,
    patience: int,
    seed: int,
    classes: int = 2,
) -> Run:
    """One linear layer on features that stay as they are (AdamW); the weights with the lowest loss on ``held_out``.

    It stops when that loss has not fallen for ``patience`` epochs, so ``epochs`` may be generous. Features are
    standardized with the training side's mean and spread, which the returned weights have taken in.
    """
    import torch

    started = time.perf_counter()
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    x, held = (torch.tensor((rows - mean) / spread, dtype=torch.float32) for rows in (features, held_out[0]))
    y, held_y = (torch.tensor(np.asarray(side)) for side in (labels, held_out[1]))
    layer = _new_head(x.shape[1], classes, seed)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    loss_of = torch.nn.functional.cross_entropy
    history, best, since = [], None, 0
    for epoch in range(1, epochs + 1):
        losses = []
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            optimizer.zero_grad()
            loss = loss_of(layer(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            logits = layer(held)
        row = {"epoch": epoch, "loss": float(np.mean(losses)), "eval_loss": loss_of(logits, held_y).item()}
        history.append(row | {"eval_accuracy": (logits.argmax(dim=1) == held_y).float().mean().item()})
        if best is None or row["eval_loss"] < best[0]:
            best, since = (
                (row["eval_loss"], layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()),
                0,
            )
        elif (since := since + 1) >= patience:
            break
    weight = best[1] / spread
    whole = np.column_stack([weight, best[2] - weight @ mean])
    return Run(whole, history, time.perf_counter() - started, sum(p.numel() for p in layer.parameters()))


def _new_head(size: int, classes: int, seed: int) -> torch.nn.Linear:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Linear(size, classes)


def fine_tune(
    model: Any,
    ids: Sequence[Sequence[int]],
    labels: Sequence[int],
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    stages: Sequence[int] | None = None,
    classes: int = 2,
    log_every: int = 10,
) -> Run:
    """Train a fresh head and, in place, what of ``model`` may be trained (AdamW, warm-up and linear decay).

    ``stages``: how many of the topmost layers are trained in each of so many equal parts of the steps; the number of all
    layers or more means the embeddings, too. (0, 1, 2) is gradual unfreezing (Howard & Ruder 2018, arXiv 1801.06146),
    (all,) full training. None: what can be trained already, an adapter's weights, say.
    """
    import torch

    started, device = time.perf_counter(), model.device
    head = _new_head(model.config.hidden_size, classes, seed).to(device)
    body = [p for p in model.parameters() if p.requires_grad or stages]
    parts = [
        {"params": head.parameters(), "lr": HEAD_RATE * learning_rate},
        {"params": body, "lr": learning_rate},
    ]
    optimizer = torch.optim.AdamW(parts, weight_decay=0.0)
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    history, losses, trained = [], [], 0
    model.train()
    for step, batch in enumerate(_batches(ids, batch_size, steps, seed)):
        if stages and (step == 0 or step * len(stages) // steps != (step - 1) * len(stages) // steps):
            _unfreeze(model, stages[step * len(stages) // steps])
        logits = head(last_hidden(model, [ids[row] for row in batch]).float())
        loss = torch.nn.functional.cross_entropy(
            logits, torch.tensor([labels[row] for row in batch], device=device)
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*head.parameters(), *body], 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % log_every == 0 or step + 1 == steps:
            history.append({"step": step + 1, "loss": float(np.mean(losses))})
            losses = []
    trained = sum(p.numel() for p in [*head.parameters(), *body] if p.requires_grad)
    model.eval()
    weight = torch.cat([head.weight, head.bias[:, None]], dim=1).detach().float().cpu().numpy()
    return Run(weight, history, time.perf_counter() - started, trained)


def _unfreeze(model: Any, top: int) -> None:
    """Train the ``top`` layers nearest to the output with the last norm, nothing below; all layers: everything."""
    layers = _decoder(model).layers
    for parameter in model.parameters():
        parameter.requires_grad_(top >= len(layers))
    for module in [*layers[len(layers) - top :], _decoder(model).norm] if top else []:
        module.requires_grad_(True)


def _batches(ids: Sequence[Sequence[int]], size: int, count: int, seed: int) -> Iterator[list[int]]:
    """``count`` batches of ``size`` rows, epoch after epoch; rows of like length together, batches in any order."""
    draw, left = np.random.default_rng(seed), []
    for _ in range(count):
        if not left:
            order = draw.permutation(len(ids))
            pools = [
                sorted(pool, key=lambda row: len(ids[row]))
                for pool in np.array_split(order, max(1, len(ids) // (8 * size)))
            ]
            rows = [row for pool in pools for row in pool]
            left = [rows[at : at + size] for at in range(0, len(rows), size)]
            draw.shuffle(left)
        yield left.pop()
