"""How likely a model finds the answers that it would be trained on: what it knows, and what a training made it forget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from src.qlora.adapters import evaluation_mode
from src.training.labels import IGNORE

BATCH_TOKENS = 8192  # of a batch, padding included


class Scores(NamedTuple):
    """Of one row's labelled tokens, each given what stands before it: ``logp`` of the label, ``best`` of the likeliest
    token, ``entropy`` of them all, in nats."""

    logp: np.ndarray
    best: np.ndarray
    entropy: np.ndarray

    @property
    def right(self) -> bool:
        """Whether greedy decoding would write exactly these tokens."""
        return bool((self.logp >= self.best - 1e-6).all())


def score_labels(
    model: Any, rows: Sequence[Mapping[str, Sequence[int]]], *, batch_tokens: int = BATCH_TOKENS
) -> list[Scores]:
    """``Scores`` of each of ``tokenize_records``' rows. Logits are computed where a label stands, nowhere else."""
    import torch

    order = sorted(range(len(rows)), key=lambda row: -len(rows[row]["input_ids"]))
    found: dict[int, Scores] = {}
    with evaluation_mode(model):
        base = model.get_base_model() if hasattr(model, "peft_config") else model
        while order:
            width = len(rows[order[0]]["input_ids"])
            batch, order = order[: max(1, batch_tokens // width)], order[max(1, batch_tokens // width) :]
            tokens, labels = (
                torch.tensor([[*rows[row][name], *[fill] * (width - len(rows[row][name]))] for row in batch])
                for name, fill in (("input_ids", 0), ("labels", IGNORE))
            )
            lengths = torch.tensor([len(rows[row]["input_ids"]) for row in batch])
            mask = (torch.arange(width) < lengths[:, None]).long()
            options = {"attention_mask": mask.to(model.device), "use_cache": False}
            hidden = base.get_decoder()(input_ids=tokens.to(model.device), **options).last_hidden_state
            place = (labels[:, 1:] != IGNORE).nonzero()  # what is read at one position tells the next
            at = hidden[place[:, 0].to(hidden.device), place[:, 1].to(hidden.device)]
            logp = base.get_output_embeddings()(at).float().log_softmax(dim=-1).cpu()
            wanted = labels[place[:, 0], place[:, 1] + 1]
            columns = (
                logp.gather(1, wanted[:, None])[:, 0],
                logp.max(dim=1).values,
                -(logp.exp() * logp).sum(dim=1),
            )
            for number, row in enumerate(batch):
                mine = place[:, 0] == number
                found[row] = Scores(*(column[mine].double().numpy() for column in columns))
    return [found[row] for row in range(len(rows))]
