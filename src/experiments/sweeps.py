"""A small sweep that changes one thing at a time and says what it cost; the best run's card."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from src import pipeline
from src.data.schemas import RaftRecord
from src.evaluation.results import Comparison
from src.experiments.log import experiment_row, log_experiment
from src.profiles import Profile
from src.serving.card import model_card


class Run(NamedTuple):
    """A finished training: what was changed, with which settings, what came of it, and where."""

    name: str
    profile: Profile
    log: dict[str, Any]
    folder: Path


# What a sweep changes while the records stay, and what makes other records (``recipes``).
SWEPT = ("lora_r", "lora_dropout", "learning_rate", "epochs", "batch_size", "warmup_ratio")
OF_RECORDS = ("num_distractors", "golden_probability", "hard_share", "add_cot")


def variants(
    profile: Profile, options: Mapping[str, Sequence[Any]], allowed: Sequence[str] = SWEPT
) -> list[tuple[str, Profile]]:
    """(name, settings) of each value of each option, all else as in ``profile``: never two changes at once.

    A value that is the profile's own is left out.

    Raises:
        ValueError: an option that is not one of ``allowed``.
    """
    if unknown := sorted(set(options) - set(allowed)):
        raise ValueError(
            f"{', '.join(unknown)}은(는) 바꿀 수 없습니다. {', '.join(allowed)} 가운데에서 골라 주세요."
        )
    return [
        (f"{name}={shown(value)}", with_settings(profile, {name: value}))
        for name, values in options.items()
        for value in values
        if value != getattr(profile, name)
    ]


def with_settings(profile: Profile, changed: Mapping[str, Any]) -> Profile:
    """``profile`` with ``changed`` settings. A changed ``lora_r`` keeps alpha / r, or the adapter's share of the output
    would change with it."""
    more = {}
    if "lora_r" in changed:
        more["lora_alpha"] = round(profile.lora_alpha * changed["lora_r"] / profile.lora_r)
    return replace(profile, **changed, **more)


def shown(value: Any) -> str:
    """A setting's value as a name shows it: 0.0015, 1~4, on."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "~".join(map(str, value)) if isinstance(value, list | tuple) else f"{value:g}"


def sweep(
    baseline: Run,
    options: Mapping[str, Sequence[Any]],
    records: dict[str, list[RaftRecord]],
    data: Mapping[str, Any],
) -> list[Run]:
    """``baseline`` and a training of each of its ``variants``, in folders beside the baseline's.

    Each is a row of the profile's log; ``data`` is ``describe_data`` of the files.
    """
    runs = [baseline]
    for name, profile in variants(baseline.profile, options):
        folder = baseline.folder.parent / name.replace("=", "-")
        log = pipeline.train_adapter(profile, records, output_dir=folder)
        log_experiment(profile.output_dir, experiment_row(profile, log, data, remark=f"{name}만 바꿈"))
        runs.append(Run(name, profile, log, folder))
    return runs


def best_run(runs: Sequence[Run]) -> Run:
    """The run with the lowest validation loss; the test split has no say, or its scores would mean nothing."""
    return min(runs, key=lambda run: run.log["best_eval_loss"])


def sweep_table(runs: Sequence[Run]) -> Any:
    """What each run reached and what it cost, as a pandas table; peak memory is torch's on a GPU, the whole
    process's without one."""
    import pandas as pd

    rows = [
        {
            "실험": run.name,
            "검증 손실": round(run.log["best_eval_loss"], 3),
            "스텝": run.log["steps"],
            "일찍 멈춤": "예" if run.log["steps"] < run.log["planned_steps"] else "아니요",
            "학습하는 파라미터": f"{run.log['trainable_parameters']:,}",
            "초": round(run.log["seconds"], 1),
            "최대 메모리(GiB)": run.log["peak_memory_gib"],
        }
        for run in runs
    ]
    return pd.DataFrame(rows).set_index("실험")


def save_card(run: Run, comparison: Comparison, *, source: str, licence: str) -> Path:
    """The adapter's model card with its scores on the test split and what may be done with the data."""
    path = run.folder / "adapter" / "README.md"
    card = model_card(run.profile, run.log, comparison, source=f"{source}; {licence}")
    path.write_text(card, encoding="utf-8")
    return path
