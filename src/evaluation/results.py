"""What a comparison found: one difference, or all of them with the verdict. Both print themselves."""

import json
from dataclasses import dataclass, field
from typing import Any, Self

from src.data.text import pad, width
from src.scoring.metrics import METRICS, metric_named

SYSTEMS = {"base": "베이스 모델", "few_shot": "예시를 준 베이스", "tuned": "튜닝한 모델"}
# The headline is decided by one metric named beforehand: of ten intervals some exclude 0 by chance alone.
HEADLINE = "rougeL"
GUARDS = ("exact_match", "answer_contained", "abstention", "false_abstention")  # none may get worse unnoticed
ALPHA = 0.05
# Below a fifth of the scale a percentage says how low the start was, not how much was won (0.6 -> 85: +14,000 %).
PERCENT_FLOOR = 0.2
FEW_GROUPS = 6  # 2^5 ways to exchange two systems: no p-value below 0.05


@dataclass(frozen=True)
class Difference:
    """Two systems in one score: tuned - base, with its 95 % interval and the p-value of a randomization test."""

    metric: str  # a name of ``METRICS`` or ``LABEL_METRICS``
    base: float
    tuned: float
    difference: float
    interval: tuple[float, float]
    p_value: float

    @property
    def title(self) -> str:
        """The score's name for a learner."""
        return metric_named(self.metric).title

    @property
    def judgement(self) -> str:
        """나아짐 or 나빠짐 where the interval excludes 0 and the p-value is at most ``ALPHA``, else 차이 불확실; 같음
        where no draw showed any difference. Both are asked: with few groups either alone is bold."""
        low, high = self.interval
        if low == high == 0:
            return "같음"
        if low <= 0 <= high or self.p_value > ALPHA:
            return "차이 불확실"
        return "나아짐" if (low > 0) != metric_named(self.metric).lower_is_better else "나빠짐"

    @property
    def percent_change(self) -> float | None:
        """The difference in percent of the base score; None where that is under ``PERCENT_FLOOR`` of the scale."""
        floor = PERCENT_FLOOR * metric_named(self.metric).top
        return 100 * self.difference / self.base if self.base >= floor else None

    @property
    def p_text(self) -> str:
        """The p-value with three decimals."""
        return "<0.001" if self.p_value < 0.001 else f"{self.p_value:.3f}"

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.title} 차이 {self.difference:+.3f}, 95% 구간 {low:+.3f}~{high:+.3f}, p값 {self.p_text}"


@dataclass(frozen=True)
class Comparison:
    """Two systems in every score that the questions allow; ``few_shot`` (``base`` there is the base that was shown
    examples) where a third was asked. ``comparison.json`` is its ``to_json``."""

    n: int  # questions
    metrics: dict[str, Difference]
    n_groups: int = 0  # products or documents that they are about
    n_answerable: int = 0
    n_unanswerable: int = 0
    signatures: dict[str, str] = field(default_factory=dict)  # how it was computed
    embedder: str | None = None  # None: no cosine was measured
    few_shot: dict[str, Difference] | None = None

    @property
    def scores(self) -> dict[str, float]:
        """What the tuned model scores."""
        return {name: entry.tuned for name, entry in self.metrics.items()}

    def to_json(self) -> str:
        """The content of ``comparison.json``: the same for the same answers, on every run."""
        names = ("n", "n_groups", "n_answerable", "n_unanswerable", "metrics", "signatures", "embedder")
        content = {name: getattr(self, name) for name in names} | {"metrics": _plain(self.metrics, "base")}
        if self.few_shot is not None:
            content["few_shot"] = {"metrics": _plain(self.few_shot, "few_shot")}
        return json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The comparison that ``to_json`` wrote.

        Raises:
            ValueError, KeyError, TypeError: the text is something else.
        """
        content = json.loads(text)
        metrics, third = _entries(content.pop("metrics"), "base"), content.pop("few_shot", None)
        return cls(metrics=metrics, few_shot=third and _entries(third["metrics"], "few_shot"), **content)

    def rows(self) -> list[dict[str, str]]:
        """What a page or a terminal shows: one metric a row, every cell a text, three decimals on a scale that ends
        at 1 and one on a scale that ends at 100."""
        rows = []
        for name, entry in self.metrics.items():
            digits = 1 if METRICS[name].top == 100 else 3
            low, high = entry.interval
            row = {"지표": entry.title, "베이스 모델": f"{entry.base:.{digits}f}"}
            if self.few_shot:
                row["예시를 준 베이스"] = f"{self.few_shot[name].base:.{digits}f}"
            row["튜닝한 모델"] = f"{entry.tuned:.{digits}f}"
            row["차이"] = f"{entry.difference:+.{digits}f}"
            row["판정"] = entry.judgement
            row["차이의 95% 구간"] = f"{low:+.{digits}f} ~ {high:+.{digits}f}"
            rows.append(row)
        return rows

    @property
    def verdict(self) -> str:
        """What may be said, in Korean: the headline from ``HEADLINE`` alone, then everything that moved."""
        groups: dict[str, list[str]] = {"나아짐": [], "나빠짐": [], "차이 불확실": [], "같음": []}
        for entry in self.metrics.values():
            groups[entry.judgement].append(entry.title)
        headline = self.metrics[HEADLINE]
        worse = ", ".join(METRICS[name].title for name in GUARDS if METRICS[name].title in groups["나빠짐"])
        match headline.judgement, bool(worse):
            case "나빠짐", _:
                first = f"튜닝한 모델이 베이스 모델보다 나빠졌습니다({headline})."
            case "나아짐", False:
                first = f"튜닝한 모델이 베이스 모델보다 낫습니다({headline})."
            case "나아짐", True:
                first = f"결과가 엇갈립니다. 표현은 정답에 가까워졌지만({headline}) 나빠진 지표가 있습니다: {worse}."
            case _, True:
                first = f"나아졌다고 할 근거가 없고({headline}) 나빠진 지표가 있습니다: {worse}."
            case _:
                first = f"나아졌다고 할 근거가 없습니다({headline}). 질문을 늘려 다시 재 보세요."
        lines = [first, *(f"{label}: {', '.join(names)}." for label, names in groups.items() if names)]
        if self.few_shot:
            entry = self.few_shot[HEADLINE]
            said = {
                "나아짐": f"프롬프트에 예시를 넣은 베이스 모델과 견주어도 낫습니다({entry}).",
                "나빠짐": f"그러나 프롬프트에 예시를 넣은 베이스 모델이 더 낫습니다({entry}). 튜닝하지 않아도 됩니다.",
            }
            unsure = f"프롬프트에 예시를 넣은 베이스 모델보다 낫다고 할 근거는 없습니다({entry})."
            lines.append(said.get(entry.judgement, unsure))
        number = self.n_groups or self.n
        if number < FEW_GROUPS:
            lines.append(
                f"질문이 나온 제품(문서)이 {number}개뿐이라 우연과 가를 수 없습니다. "
                f"{FEW_GROUPS}개 이상이 되도록 시험 데이터를 늘려 주세요."
            )
        return f"질문 {self.n:,}개(제품·문서 {number:,}개)로 비교했습니다. " + "\n".join(lines)

    def __str__(self) -> str:
        """A table whose columns stand below each other on a terminal, where a Hangul letter takes two places."""
        columns = ("지표", "베이스 모델", "튜닝한 모델", "차이", "차이의 95% 구간", "판정")
        cells = [columns, *([row[name] for name in columns] for row in self.rows())]
        widths = [max(map(width, column)) for column in zip(*cells, strict=True)]
        lines = []
        for name, *numbers, judged in cells:
            right = (
                " " * (room - width(cell)) + cell for cell, room in zip(numbers, widths[1:], strict=False)
            )
            lines.append("  ".join([pad(name, widths[0]), *right, judged]))
        return "\n".join([*lines, "", self.verdict])


def _plain(entries: dict[str, Difference], base: str) -> dict[str, dict[str, Any]]:
    """JSON values by metric; ``base`` is what the file calls the first system."""
    return {
        name: {base if key == "base" else key: value for key, value in vars(entry).items() if key != "metric"}
        for name, entry in entries.items()
    }


def _entries(content: dict[str, dict[str, Any]], base: str) -> dict[str, Difference]:
    return {
        name: Difference(name, entry.pop(base), interval=tuple(entry.pop("interval")), **entry)
        for name, entry in content.items()
    }
