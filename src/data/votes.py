"""Several people's labels of one pair: KLUE-NLI's five votes, votes made up for a class without it, and their shares."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.pairs import Pair

# The hub's parquet files keep the gold label alone; the votes stand in the file that the makers publish (CC BY-SA 4.0).
KLUE_VOTES = "https://github.com/KLUE-benchmark/KLUE/tree/main/klue_benchmark/klue-nli-v1.1"
_KLUE = {"entailment": 0, "neutral": 1, "contradiction": 2}  # the order of ``NLI``
_VOTERS = ("author", "label2", "label3", "label4", "label5")


def read_klue_votes(path: Path) -> tuple[list[Pair], np.ndarray]:
    """(pairs, votes): KLUE-NLI's original file, the label of a pair its gold label, its votes (rows, 5) the author's and
    four readers'. A row without all five is left out. A premise is a group.

    Raises:
        ValueError: the file is not there or is another one.
    """
    if not path.is_file():
        raise ValueError(
            f"{path.name}이(가) 없습니다. {KLUE_VOTES} 에서 받아 {path.parent} 폴더에 넣으면 그것으로 합니다."
        )
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in rows if {*(row.get(voter) for voter in _VOTERS)} <= _KLUE.keys()]
        pairs = [
            Pair(row["premise"], "", row["hypothesis"], _KLUE[row["gold_label"]], row["premise"])
            for row in rows
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path.name}은(는) KLUE-NLI의 원본 파일이 아닙니다. 다시 받아 주세요.") from None
    if not pairs:
        raise ValueError(
            f"{path.name}에 다섯 사람의 표가 모두 있는 쌍이 없습니다. 원본 파일을 다시 받아 주세요."
        )
    return pairs, np.array([[_KLUE[row[voter]] for voter in _VOTERS] for row in rows])


def made_up_votes(
    labels: Sequence[int], slips: Sequence[float], voters: int, seed: int, *, classes: int = 2
) -> np.ndarray:
    """Votes (rows, voters) that nobody cast: each voter names the row's label but for a slip, with that row's
    probability, to another one."""
    draw, truth = np.random.default_rng(seed), np.asarray(labels)[:, None]
    slipped = draw.random((len(truth), voters)) < np.asarray(slips)[:, None]
    other = (truth + draw.integers(1, classes, slipped.shape)) % classes
    return np.where(slipped, other, truth)


def vote_shares(votes: np.ndarray, classes: int) -> np.ndarray:
    """(rows, classes): of each row's votes, how many fell on each label; every row adds up to 1."""
    return np.stack([(np.asarray(votes) == label).mean(axis=1) for label in range(classes)], axis=1)
