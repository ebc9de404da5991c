"""A run is tied to its commit by a tag, and to Weights & Biases without a network."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

from src.experiments import tracking
from src.experiments.tracking import tag_command, tag_experiment, write_wandb_offline

ENTRY = {"run": "412f6ac50336", "remark": "첫 실험", "metrics": {"rougeL": 0.7}, "lora": {"r": 16}}


def git(folder, *words):
    options = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *options, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "a@b.c")
    git(tmp_path, "init", "-q")
    for text in ("one", "two"):
        (tmp_path / "code.py").write_text(text)
        git(tmp_path, "add", "code.py")
        git(tmp_path, "commit", "-q", "-m", text)
    return tmp_path


def test_the_tag_points_at_the_commit_that_ran(repository):
    first = git(repository, "rev-parse", "--short", "HEAD~1")
    name = tag_experiment(ENTRY | {"commit": first}, repository)
    assert name == "exp-412f6ac50336"
    assert git(repository, "rev-parse", "--short", f"{name}^{{commit}}") == first
    assert git(repository, "tag", "-n", "--list", name).endswith("첫 실험")
    assert tag_experiment(ENTRY | {"commit": first}, repository) == name  # once more: left alone


@pytest.mark.parametrize(
    ("commit", "why"), [("abc1234-dirty", "먼저 커밋"), ("unknown", "모르는"), (None, "모르는")]
)
def test_no_tag_on_what_did_not_run(commit, why):
    with pytest.raises(ValueError, match=why):
        tag_command(ENTRY | {"commit": commit})


def test_git_says_why_it_refuses(repository):
    with pytest.raises(ValueError, match=r"태그를 달지 못했습니다: .+"):
        tag_experiment(ENTRY | {"commit": "0000000"}, repository)


def test_without_wandb_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "installed_trackers", lambda: [])
    assert "건너뛰었습니다" in write_wandb_offline(ENTRY, [], tmp_path / "w", project="p")
    assert not (tmp_path / "w").exists()


def test_with_wandb_everything_stays_here(tmp_path, monkeypatch):
    """Its interface as version 0.31 has it; what is handed over and in which mode."""
    said: list[tuple] = []

    class Run:
        summary: dict = {}  # noqa: RUF012

        def log(self, values, step):
            said.append((step, values))

        def finish(self):
            said.append(("finish", None))

    def init(**options):
        said.append(("init", options))
        return Run()

    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    monkeypatch.setattr(tracking, "installed_trackers", lambda: ["wandb"])
    history = [{"step": 4, "loss": 2.0, "eval_loss": None}, {"step": 8, "loss": 1.0, "eval_loss": 1.5}]
    told = write_wandb_offline(ENTRY, history, tmp_path / "w", project="p")
    options = said[0][1]
    assert (
        options["mode"] == "offline" and options["dir"] == str(tmp_path / "w") and "보내지 않았습니다" in told
    )
    assert options["config"] == {"remark": "첫 실험", "lora": {"r": 16}}
    assert said[1:] == [(4, {"loss": 2.0}), (8, {"loss": 1.0, "eval_loss": 1.5}), ("finish", None)]
    assert Run.summary == {"rougeL": 0.7}
