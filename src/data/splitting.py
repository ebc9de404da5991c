"""Samples in train, validation and test without anything that is known on one side being asked on another."""

import hashlib
import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from src.data.schemas import Conversation, RawSample
from src.data.similarity import similar_pairs
from src.data.text import document_key

Sample = RawSample | Conversation
Row = TypeVar("Row")
SPLIT_NAMES = {"train": "학습", "validation": "검증", "test": "시험"}  # as a learner reads them
QUESTION_THRESHOLD = 0.9  # Jaccard similarity of character 3-grams from which two questions are the same one


class LeakageError(ValueError):
    """Something stands on two sides of a split; the message says what, how often and what to do."""


def split_by_group(
    samples: Sequence[Sample],
    *,
    validation_ratio: float,
    test_ratio: float,
    seed: int,
    question_threshold: float | None = QUESTION_THRESHOLD,
) -> dict[str, list[Sample]]:
    """Divide whole groups into train, validation and test.

    Neither a group nor a document nor nearly the same question is ever on two sides. The ratios are of samples; the
    realised shares differ a little: ``split_shares`` tells them. Groups that share a document or a question move
    together; the largest such bundle always goes to train.

    Args:
        question_threshold: from which similarity two questions belong together (``similar_pairs``); None where
            questions are generic ("언제인가요?") and would tie everything to everything.

    Raises:
        ValueError: impossible ratios, or too few independent groups for the sides asked for.
    """
    if min(validation_ratio, test_ratio) < 0 or validation_ratio + test_ratio >= 1:
        raise ValueError("validation_ratio와 test_ratio는 0 이상이고 합이 1보다 작아야 합니다.")
    bundles = sorted(bundle_rows(samples, question_threshold=question_threshold), key=len, reverse=True)
    largest, *rest = bundles or [[]]
    random.Random(seed).shuffle(rest)
    targets = {"test": test_ratio * len(samples), "validation": validation_ratio * len(samples)}
    sides: dict[str, list[int]] = {"train": list(largest), "validation": [], "test": []}
    for bundle in rest:
        for side, target in targets.items():
            # A side takes its first bundle at any size, then only what brings it nearer to its target.
            if target and (not sides[side] or len(sides[side]) + len(bundle) / 2 <= target):
                sides[side].extend(bundle)
                break
        else:
            sides["train"].extend(bundle)
    empty = [side for side, target in targets.items() if target and not sides[side]]
    if empty and samples:
        raise ValueError(
            f"서로 독립인 묶음이 {len(bundles)}개뿐이라 {', '.join(empty)} 쪽이 비었습니다. "
            "문서를 더하거나 그 비율을 0으로 정해 주세요. 질문이 모두 비슷해서 한 묶음이 되었다면 "
            "question_threshold=None으로 나눌 수 있습니다."
        )
    return {side: [samples[i] for i in sorted(rows)] for side, rows in sides.items()}


def bundle_rows(samples: Sequence[Sample], *, question_threshold: float | None) -> list[list[int]]:
    """Positions of samples that must stay together: linked by a group, a document or nearly the same question."""
    from scipy.cluster.hierarchy import DisjointSet

    bundles = DisjointSet(range(len(samples)))
    first: dict[tuple[str, str], int] = {}
    for position, sample in enumerate(samples):
        for node in (("group", sample.group_id), ("document", document_key(sample.context))):
            bundles.merge(position, first.setdefault(node, position))
    if question_threshold is not None:
        questions = [sample.question for sample in samples]
        for late, early, _ in similar_pairs(questions, threshold=question_threshold):
            bundles.merge(late, early)
    return sorted(sorted(bundle) for bundle in bundles.subsets())


def split_shares(splits: Mapping[str, Sequence[Sample]]) -> list[dict[str, Any]]:
    """What a split came to: one row a side with ``split, rows, share`` (0-1 of all rows), ``groups, documents``."""
    total = sum(map(len, splits.values()))
    return [
        {
            "split": side,
            "rows": len(samples),
            "share": len(samples) / total if total else 0.0,
            "groups": len({sample.group_id for sample in samples}),
            "documents": len({document_key(sample.context) for sample in samples}),
        }
        for side, samples in splits.items()
    ]


def check_leakage(
    splits: Mapping[str, Sequence[Sample]], *, question_threshold: float | None = QUESTION_THRESHOLD
) -> None:
    """Fail loudly where a group, a document or, unless ``question_threshold`` is None, nearly the same question stands
    on two sides, however the sides were made.

    Raises:
        LeakageError: with how many of each, up to three examples, and the remedy.
    """
    placed = [(side, sample) for side, samples in splits.items() for sample in samples]
    found: dict[str, dict[Any, str]] = {"같은 묶음": {}, "같은 문서": {}, "거의 같은 질문": {}}

    def compare(what: str, key: Any, early: int, late: int, text: str, score: str = "") -> None:
        (first, other), (side, sample) = placed[early], placed[late]
        if first != side:
            short = text if len(text) <= 40 else text[:39] + "…"
            found[what].setdefault(key, f"{first} {other.id}, {side} {sample.id}: {short}{score}")

    owners: dict[tuple[str, str], int] = {}
    for late, (_, sample) in enumerate(placed):
        for what, key, text in (
            ("같은 묶음", sample.group_id, sample.group_id),
            ("같은 문서", document_key(sample.context), sample.context),
        ):
            compare(what, key, owners.setdefault((what, key), late), late, text)
    if question_threshold is not None:
        questions = [sample.question for _, sample in placed]
        for late, early, score in similar_pairs(questions, threshold=question_threshold):
            compare("거의 같은 질문", (late, early), early, late, questions[late], f" ({score:.2f})")
    if not any(found.values()):
        return
    counts = ", ".join(f"{what} {len(examples):,}건" for what, examples in found.items() if examples)
    shown = [f"- {what}: {text}" for what, examples in found.items() for text in list(examples.values())[:3]]
    raise LeakageError(
        f"나눈 쪽 사이에 새는 것이 있습니다: {counts}.\n" + "\n".join(shown) + "\n"
        "split_by_group으로 다시 나누어 주세요. 누구나 쓰는 짧은 질문이라 새는 것이 아니라면 "
        "split_by_group과 check_leakage에 같은 question_threshold(예: None)를 주세요."
    )


def draw_groups(rows: Iterable[Mapping[str, Any]], *, count: int, seed: int) -> Iterator[Mapping[str, Any]]:
    """Whole groups, drawn with ``seed``, until they hold ``count`` rows; in the order of ``rows``.

    One pass that keeps little more than what it draws: the groups are ranked by a hash of their names, and the
    highest ranked is forgotten as soon as the others suffice (bottom-k sampling). So neither the order of the rows
    nor the number of groups matters. A row without ``group_id`` is unreadable and is passed on.
    """
    kept: dict[int, list[tuple[int, Mapping[str, Any]]]] = {}  # rank -> its rows with their positions
    ranks: list[int] = []  # negative, so that the highest comes first
    limit, total = math.inf, 0
    others = []
    for position, row in enumerate(rows):
        if (name := row.get("group_id")) is None:
            others.append((position, row))
            continue
        rank = int(hashlib.sha256(f"{seed}:{name}".encode("utf-8", "replace")).hexdigest(), 16)
        if rank >= limit:
            continue
        if rank not in kept:
            heapq.heappush(ranks, -rank)
        kept.setdefault(rank, []).append((position, row))
        total += 1
        while ranks and total - len(kept[-ranks[0]]) >= count:
            limit = -heapq.heappop(ranks)
            total -= len(kept.pop(limit))
    drawn = [item for items in kept.values() for item in items]
    yield from (row for _, row in sorted([*drawn, *others], key=lambda item: item[0]))


def pick(records: Sequence[Row], count: int, seed: int) -> list[Row]:
    """At most ``count`` of the records, drawn with ``seed``, in their own order."""
    rows = sorted(random.Random(seed).sample(range(len(records)), min(count, len(records))))
    return [records[row] for row in rows]
