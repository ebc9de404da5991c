"""A logged run beside the log: a Git tag on its commit, and Weights & Biases' own folder without a network."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.profiles import ROOT
from src.training.monitoring import installed_trackers


def tag_command(entry: Mapping[str, Any]) -> list[str]:
    """The command that ties a row of the log to its commit: ``git tag -a exp-<run> <commit> -m <remark>``.

    Raises:
        ValueError: the row's commit does not hold what ran, so that a tag would point at something else.
    """
    commit = str(entry.get("commit") or "unknown")
    if commit == "unknown":
        raise ValueError(
            "커밋을 모르는 실험에는 태그를 달 수 없습니다. Git 저장소 안에서 다시 실행해 주세요."
        )
    if commit.endswith("-dirty"):
        raise ValueError(
            f"{commit.removesuffix('-dirty')} 뒤에 고친 코드로 실행한 실험이라 태그를 달 커밋이 없습니다. "
            "먼저 커밋하고 다시 실행해 주세요."
        )
    return ["git", "tag", "-a", f"exp-{entry['run']}", commit, "-m", str(entry.get("remark") or entry["run"])]


def tag_experiment(entry: Mapping[str, Any], folder: str | Path = ROOT) -> str:
    """Make the tag of ``tag_command`` in ``folder``'s repository and return its name; the same run's again is left alone.

    Raises:
        ValueError: as for ``tag_command``, or Git refused; the message is its own.
    """
    command = tag_command(entry)
    name = command[3]
    known = subprocess.run(["git", "tag", "--list", name], cwd=folder, capture_output=True, text=True)
    if known.stdout.strip() != name:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"태그를 달지 못했습니다: {done.stderr.strip()}")
    return name


def write_wandb_offline(
    entry: Mapping[str, Any], history: list[Mapping[str, Any]], folder: str | Path, *, project: str
) -> str:
    """A finished run in Weights & Biases' form below ``folder``, nothing sent: ``entry`` (a row of the log) is its
    configuration, ``history`` the logged losses. Returns what was done, in Korean; where the package is not installed,
    that nothing was."""
    if "wandb" not in installed_trackers():
        return "wandb가 설치되어 있지 않아 건너뛰었습니다. 기록은 experiments.jsonl과 TensorBoard에 남아 있습니다."
    os.environ["WANDB_SILENT"] = "true"
    import wandb

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in entry.items() if name not in ("metrics", "date", "run")}
    run = wandb.init(
        project=project, name=str(entry["run"]), notes=str(entry.get("remark") or ""), config=kept,
        dir=str(folder), mode="offline",
    )  # fmt: skip
    for row in history:
        values = {name: value for name, value in row.items() if name != "step" and value is not None}
        run.log(values, step=int(row["step"]))
    run.summary.update(dict(entry.get("metrics") or {}))
    run.finish()
    return f"{folder / 'wandb'}에 저장했습니다. 아무것도 보내지 않았습니다. 보내려면 그 폴더에서 wandb sync를 실행합니다."
