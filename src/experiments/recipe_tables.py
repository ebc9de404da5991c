"""What the rows of ``recipes`` say: one setting varied at a time, with intervals, in tables and in words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from src.data.text import fingerprint
from src.evaluation.resampling import paired_difference
from src.evaluation.results import Difference
from src.experiments.recipes import FAR, FOCUS, GOLDEN_ALONE, KS, ROWS, read_rows, settings_of
from src.experiments.sweeps import shown, with_settings
from src.profiles import Profile

BASE_NAME, GOLDEN_NAME = "베이스 모델(학습하지 않음)", "골든 문서만으로 학습"
Seeds = dict[int, dict[str, Any]]  # a cell's rows by seed


@dataclass(frozen=True)
class View:
    """One comparison of the rows: which setting is varied, what each value is called, and which scores are shown."""

    setting: str
    index: str  # the title of the first column
    columns: Mapping[str, tuple[str, str]]  # title: (score of a row, metric whose direction it has)
    compared: tuple[str, ...]  # titles that are compared with the profile's own value
    beside: bool = False  # base and golden-only training as well
    plain: Mapping[str, Callable[[dict], float | None]] | None = None  # title: a number of a row
    name: Callable[[Any], str] = shown


def _quotes(row: dict) -> float | None:
    return _share(np.array(row["scores"]["quotes"]))


VALUES = {f"k={k}": (f"value@{k}", "answer_contained") for k in KS}
VIEWS = {
    "golden_probability": View(
        "golden_probability",
        "P",
        {
            "바르게 답 없음": ("abstention", "abstention"),
            "잘못 답 없음 ↓": ("false_abstention", "false_abstention"),
            f"정답 포함(k={FOCUS})": (f"value@{FOCUS}", "answer_contained"),
        },
        ("바르게 답 없음", "잘못 답 없음 ↓", f"정답 포함(k={FOCUS})"),
    ),
    "num_distractors": View(
        "num_distractors", "학습의 방해 문서", VALUES, (f"k={FOCUS}", f"k={FAR}"), beside=True
    ),
    "add_cot": View(
        "add_cot",
        "추론",
        {
            f"정답 포함(k={FOCUS})": (f"value@{FOCUS}", "answer_contained"),
            f"정답 포함(k={FAR})": (f"value@{FAR}", "answer_contained"),
            "바르게 답 없음": ("abstention", "abstention"),
        },
        (f"정답 포함(k={FOCUS})", f"정답 포함(k={FAR})", "바르게 답 없음"),
        plain={
            "답의 토큰": lambda row: row["answer_tokens"],
            "답하는 초": lambda row: row["answer_seconds"],
            "학습하는 초": lambda row: row["training_seconds"],
            "그대로인 인용": _quotes,
        },
        name=lambda on: "있음" if on else "없음",
    ),
}


def view_table(rows: Sequence[dict], profile: Profile, view: View) -> Any:
    """The cells that differ from the profile in ``view.setting`` alone, as a pandas table; None where there is not one
    beside the profile's own. Scores are shares over all seeds; behind them the difference from the profile's own value
    with its 95 % interval, products being drawn, over the seeds that both have."""
    import pandas as pd

    cells = view_cells(rows, profile, view)
    own = cells.get(_own(profile, view))
    if own is None or len(cells) < 2:
        return None
    table = {}
    for name, seeds in cells.items():
        line: dict[str, Any] = {"시드": len(seeds)}
        for title, (score, metric) in view.columns.items():
            line[title] = _three(_share(_pooled(seeds, score)))
            if title in view.compared:
                entry = None if seeds is own else compare_cells(own, seeds, score, metric, profile)
                line[f"{title}의 차이"] = "–" if entry is None else _told(entry)
        for title, number in (view.plain or {}).items():
            values = [v for row in seeds.values() if (v := number(row)) is not None]
            line[title] = f"{mean(values):.2f}" if values else "–"
        table[f"{name} (프로파일)" if seeds is own else name] = line
    return pd.DataFrame(table).T.rename_axis(view.index)


def recipe_view(profile: Profile, setting: str, path: str | Path = ROWS) -> tuple[Any, str]:
    """The table of ``VIEWS[setting]`` from the rows of this base and these data, and what it allows to be said; None and
    what to run where there are none yet."""
    rows, view = read_rows(path, profile), VIEWS[setting]
    if (table := view_table(rows, profile, view)) is None:
        command = f"WORKSHOP_PROFILE={profile.name} .venv/bin/python -m benchmarks.recipe"
        return (
            None,
            f"이 베이스 모델과 데이터로 잰 것이 아직 없습니다. 재려면 터미널에서 실행합니다: {command}",
        )
    own = f"프로파일의 값({_own(profile, view)})과 견주어"
    return table, f"{own}\n{view_verdict(rows, profile, view)}"


def view_cells(rows: Sequence[dict], profile: Profile, view: View) -> dict[str, Seeds]:
    """By name the rows that differ from the profile in ``view.setting`` alone, in the order of its values, ranges last;
    base and golden-only training first where the view shows them."""
    by_settings: dict[str, Seeds] = {}
    for row in rows:
        by_settings.setdefault(fingerprint(row.get("settings")), {})[row["seed"]] = row

    def rows_of(settings: Mapping[str, Any] | None) -> Seeds:
        return by_settings.get(fingerprint(settings), {})

    first = {}
    if view.beside:
        golden = settings_of(with_settings(profile, GOLDEN_ALONE))
        first = {BASE_NAME: rows_of(None), GOLDEN_NAME: rows_of(golden)}
    values = {str(r["settings"][view.setting]): r["settings"][view.setting] for r in rows if "settings" in r}
    ordered = sorted(values.values(), key=lambda value: (np.ndim(value), np.ravel(value).tolist()))
    changes = {view.name(value): {view.setting: _value(value)} for value in ordered}
    varied = {name: rows_of(settings_of(with_settings(profile, change))) for name, change in changes.items()}
    return {name: seeds for name, seeds in (first | varied).items() if seeds}


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _own(profile: Profile, view: View) -> str:
    return view.name(getattr(profile, view.setting))


def compare_cells(own: Seeds, other: Seeds, score: str, metric: str, profile: Profile) -> Difference | None:
    """``other`` - ``own`` in ``score`` over the seeds that both have, products drawn; None without a common seed, or
    where no question counts."""
    common = sorted(set(own) & set(other))
    sides = [_pooled({seed: side[seed] for seed in common}, score) for side in (own, other)]
    if not common or not all(side[:, 1].sum() for side in sides):
        return None
    draws = {"n_resamples": profile.bootstrap_samples, "seed": profile.seed}
    return paired_difference(*sides, metric, **draws)


def _pooled(seeds: Seeds, score: str) -> np.ndarray:
    """Sum and count by product (products, 2), over all seeds."""
    counts = [row["scores"].get(score, [[0, 0]]) for row in seeds.values()]  # no question counts
    return sum((np.array(count, dtype=float) for count in counts), np.zeros((1, 2)))


def _share(counts: np.ndarray) -> float | None:
    total, count = counts.sum(axis=0)
    return float(total / count) if count else None


def _three(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _told(entry: Difference) -> str:
    low, high = entry.interval
    return f"{entry.difference:+.3f} ({low:+.3f} ~ {high:+.3f})"


def view_verdict(rows: Sequence[dict], profile: Profile, view: View) -> str:
    """What the intervals of ``view_table`` allow to be said, one score a line, in Korean."""
    cells = view_cells(rows, profile, view)
    own = cells.get(_own(profile, view))
    lines = []
    for title in view.compared:
        found: dict[str, list[str]] = {"나아짐": [], "나빠짐": []}
        for name, seeds in cells.items():
            if own is None or seeds is own:
                continue
            entry = compare_cells(own, seeds, *view.columns[title], profile)
            if entry is not None and entry.judgement in found:
                found[entry.judgement].append(f"{name}({entry.difference:+.3f})")
        said = [f"{judged} {', '.join(names)}" for judged, names in found.items() if names]
        lines.append(f"{title}: {'; '.join(said) or '프로파일의 값과 다르다고 할 것이 없음'}")
    return "\n".join(lines)


def recipe_table(rows: Sequence[dict], profile: Profile) -> Any:
    """Every cell once, as a pandas table: the mean over k of what is right comes first, and decides the order. The
    choice is made by it on validation; what it is worth is then asked of the test split, once."""
    import pandas as pd

    cells: dict[str, Seeds] = {}
    for row in rows:
        cells.setdefault(cell_name(row, profile), {})[row["seed"]] = row
    lines = {}
    for name, seeds in cells.items():
        right = {k: _share(_pooled(seeds, f"right@{k}")) for k in KS}
        line: dict[str, Any] = {"시드": len(seeds), "평균": mean(right.values())}
        line |= {f"k={k}": value for k, value in right.items()}
        others = {
            "바르게 답 없음": "abstention",
            "잘못 답 없음 ↓": "false_abstention",
            "정확히 일치": "exact_match",
            f"숫자를 바꿈(k={FOCUS})": f"changed@{FOCUS}",
            f"숫자를 바꿈(k={FAR})": f"changed@{FAR}",
        }
        line |= {title: _share(_pooled(seeds, score)) for title, score in others.items()}
        line["학습하는 초"] = mean(row.get("training_seconds", 0.0) for row in seeds.values())
        lines[name] = line
    whole = ("시드", "학습하는 초")
    ordered = {
        name: {title: f"{v:.0f}" if title in whole else _three(v) for title, v in line.items()}
        for name, line in sorted(lines.items(), key=lambda item: -item[1]["평균"])
    }
    return pd.DataFrame(ordered).T.rename_axis("바꾼 것")


def cell_name(row: Mapping[str, Any], profile: Profile) -> str:
    """How a row's settings differ from the profile's: "golden_probability=0.6", or "프로파일 그대로"."""
    if "settings" not in row:
        return BASE_NAME
    own, settings = settings_of(profile), row["settings"]
    if settings == settings_of(with_settings(profile, GOLDEN_ALONE)):
        return GOLDEN_NAME
    moved = [name for name in settings if settings[name] != own[name] and name != "lora_alpha"]
    return ", ".join(f"{name}={shown(settings[name])}" for name in moved) or "프로파일 그대로"
