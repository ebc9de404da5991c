"""Two texts and what the first says of the second: pairs to be classified, and KLUE-NLI's where a hub may be asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from src.data.splitting import SPLIT_NAMES
from src.hub.cache import HubItem
from src.hub.fetching import fetch
from src.profiles import Profile

NLI = ("함의", "중립", "모순")  # entailment, neutral, contradiction: the order of MNLI and KLUE
ANSWERABLE = ("답 없음", "답 있음")
FEWEST = 10  # pairs; with fewer no side of a split has every label
KLUE_NLI = HubItem("dataset", "klue/klue", "349481ec73fff722f88e0453ca05c77a447d967c")  # CC BY-SA 4.0


@dataclass(frozen=True)
class Pair:
    """``premise`` is read, ``hypothesis`` judged by it: a question, an assertion, or a question with its claimed answer.
    ``label`` is a place in a tuple of names; what must stay on one side of a split has one ``group_id``."""

    premise: str
    question: str
    claim: str
    label: int
    group_id: str

    @property
    def hypothesis(self) -> str:
        return f"{self.question} {self.claim}".strip()


def check_labels(labels: Sequence[int], names: Sequence[str]) -> None:
    """Refuse what no classifier can be trained or judged on.

    Raises:
        ValueError: fewer than ``FEWEST`` pairs, a label that ``names`` has not, or one label only.
    """
    if len(labels) < FEWEST:
        raise ValueError(f"쌍이 {len(labels)}개뿐입니다. {FEWEST}개 이상 모은 뒤 다시 해 주세요.")
    listed = ", ".join(f"{place}({name})" for place, name in enumerate(names))
    for row, label in enumerate(labels, start=1):
        if label not in range(len(names)):
            raise ValueError(
                f"{row}번째 쌍의 라벨 {label!r}: 없는 라벨입니다. {listed} 가운데 하나로 적어 주세요."
            )
    if len(set(labels)) == 1:
        raise ValueError(
            f"라벨이 {names[labels[0]]} 하나뿐이라 배울 것도 잴 것도 없습니다. {listed}, 곧 라벨 {len(names)}가지가 모두 들게 모아 주세요."
        )


def label_table(sides: dict[str, Sequence[Pair]], names: Sequence[str]) -> list[tuple]:
    """One row a side: its name for a learner, pairs, groups, and how many pairs have each label."""
    rows = []
    for side, pairs in sides.items():
        counts = Counter(pair.label for pair in pairs)
        groups = len({pair.group_id for pair in pairs})
        rows.append(
            (SPLIT_NAMES.get(side, side), len(pairs), groups, *(counts[label] for label in range(len(names))))
        )
    return rows


def read_klue_nli(profile: Profile, rows: int, split: str = "train") -> list[Pair]:
    """Whole premises of KLUE-NLI, drawn with the profile's seed, until they hold ``rows`` pairs. A premise is a group.

    Raises:
        ValueError: the profile uses no hub.
        HubError: the data set is not in the cache and cannot be had.
    """
    if profile.hub_data is None:
        raise ValueError(
            f"{profile.name} 프로파일은 허브를 쓰지 않습니다. KLUE-NLI 대신 이 워크숍의 문서로 합니다."
        )
    folder = fetch(KLUE_NLI)
    import pandas as pd

    frame = pd.concat(pd.read_parquet(path) for path in sorted((folder / "nli").glob(f"{split}-*.parquet")))
    premises = list(dict.fromkeys(frame["premise"]))
    Random(profile.seed).shuffle(premises)
    by_premise = dict(list(frame.groupby("premise")))
    pairs: list[Pair] = []
    for premise in premises:
        if len(pairs) >= rows:
            break
        pairs += [
            Pair(premise, "", hypothesis, int(label), premise)
            for hypothesis, label in by_premise[premise][["hypothesis", "label"]].itertuples(index=False)
        ]
    return pairs
