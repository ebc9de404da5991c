"""What raters' choices add up to: which model people prefer, with an interval, and how far the raters agree."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from src.evaluation.ratings import Rating


def summarize_ratings(ratings: Sequence[Rating], key: str | Path) -> dict[str, Any]:
    """What the raters say, unblinded.

    Several raters of one question are not independent draws, so each question counts once, by its majority; where
    nobody leads it is a tie. ``preference`` is the tuned model's share of the questions that are no tie, 0-1, with
    its 95 % ``interval`` (Wilson 1927) and the ``p_value`` of a two-sided sign test; None without such a question.

    ``agreement`` is the share of equal choices among pairs of raters in one question, ``kappa`` Cohen's (1960) κ of
    each pair, averaged with the number of questions they share as weight (Light 1971), -1 to 1; None where no pair
    shares a question, or κ is not defined because both always chose the same. κ is taken over the sides A and B as
    they were seen: they are balanced, so that a clearly better model does not look like chance.

    Returns:
        ``{"questions", "rated", "raters", "ratings", "tuned", "base", "tie", "equal_answers", "preference",
        "interval", "p_value", "agreement", "kappa", "chose_a"}``; ``chose_a`` is the share of A among choices of A
        or B, far from 0.5 if somebody leans to a side.
    """
    from scipy.stats import binomtest

    content = json.loads(Path(key).read_text(encoding="utf-8"))
    votes: dict[int, Counter[str]] = {}
    for rating in ratings:
        sides = content["questions"][str(rating.number)]
        votes.setdefault(rating.number, Counter())[sides.get(rating.choice, "tie")] += 1
    leads = [count["tuned"] - count["base"] for count in votes.values()]
    tuned, base = sum(lead > 0 for lead in leads), sum(lead < 0 for lead in leads)
    outcome = dict.fromkeys(("preference", "interval", "p_value"))
    if tuned + base:
        test = binomtest(tuned, tuned + base)
        interval = [float(end) for end in test.proportion_ci(method="wilson")]
        outcome = {"preference": test.statistic, "interval": interval, "p_value": float(test.pvalue)}
    chosen = Counter(rating.choice for rating in ratings)
    decided = chosen["A"] + chosen["B"]
    return {
        "questions": len(content["questions"]),
        "rated": len(votes),
        "raters": len({rating.rater for rating in ratings}),
        "ratings": len(ratings),
        "tuned": tuned,
        "base": base,
        "tie": len(votes) - tuned - base,
        "equal_answers": content["equal_answers"],
        **outcome,
        "chose_a": chosen["A"] / decided if decided else None,
        **rater_agreement(ratings),
    }


def rater_agreement(ratings: Sequence[Rating]) -> dict[str, float | None]:
    """``agreement`` and ``kappa`` of ``summarize_ratings``, of choices that may be any text."""
    from sklearn.metrics import cohen_kappa_score

    by_rater: dict[str, dict[int, str]] = {}
    for rating in ratings:
        by_rater.setdefault(rating.rater, {})[rating.number] = rating.choice
    pairs = equal = 0
    kappas: list[tuple[float, int]] = []
    for left, right in combinations(by_rater.values(), 2):
        shared = sorted(left.keys() & right.keys())
        one, other = [left[number] for number in shared], [right[number] for number in shared]
        pairs += len(shared)
        equal += sum(a == b for a, b in zip(one, other, strict=True))
        if len({*one, *other}) > 1:
            kappas.append((float(cohen_kappa_score(one, other)), len(shared)))
    weight = sum(count for _, count in kappas)
    return {
        "agreement": equal / pairs if pairs else None,
        "kappa": sum(kappa * count for kappa, count in kappas) / weight if weight else None,
    }


def preference_verdict(summary: Mapping[str, Any]) -> str:
    """What may be said of ``summarize_ratings``, in Korean."""
    rated, left = summary["rated"], summary["questions"] - summary["rated"]
    if not rated:
        return "아직 돌아온 선택이 없습니다. 채운 시트를 모아 다시 실행해 주세요."
    if summary["preference"] is None:
        more = f" 아직 {left}문항이 남았으니 채운 시트를 모아 다시 실행해 주세요." if left else ""
        return (
            f"평가된 {rated}문항이 모두 무승부('같음'이거나 의견이 반으로 갈림)라서 어느 쪽을 더 좋아한다고 할 근거가 "
            f"없습니다.{more}"
        )
    low, high = summary["interval"]
    state = "어느 쪽을 더 좋아한다고 할 근거가 없습니다"
    if not low <= 0.5 <= high:
        state = f"사람들은 {'튜닝한' if low > 0.5 else '베이스'} 모델의 답을 더 좋아합니다"
    return (
        f"{state}. 가려진 {summary['tuned'] + summary['base']}문항 가운데 튜닝한 모델 {summary['tuned']}문항"
        f"({summary['preference']:.0%}, 95% 구간 {low:.0%}~{high:.0%}), 무승부 {summary['tie']}문항입니다."
    )
