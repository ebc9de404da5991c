"""A checkpoint is whole or skipped; a killed and resumed run ends in the adapter of an uninterrupted one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.text import fingerprint
from src.profiles import ROOT
from src.training.checkpoints import MANIFEST, STATE, checkpoint_problem, last_complete, seal


def checkpoint(folder: Path, best: Path | None = None, run: str = "run") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights of " + folder.name.encode())
    (folder / STATE).write_text(json.dumps({"best_model_checkpoint": best and str(best)}))
    seal(folder, run)
    return folder


def test_a_sealed_checkpoint_is_complete(tmp_path):
    folder = checkpoint(tmp_path / "checkpoint-3")
    assert checkpoint_problem(folder) is None and checkpoint_problem(folder, "run") is None
    assert "다른 설정" in checkpoint_problem(folder, "another run")


@given(data=st.data())
def test_any_cut_or_changed_byte_is_noticed(tmp_path_factory, data):
    folder = checkpoint(tmp_path_factory.mktemp("c") / "checkpoint-3")
    path = folder / data.draw(st.sampled_from(["adapter_model.safetensors", STATE, MANIFEST]))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(content[:at])
    else:
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    assert checkpoint_problem(folder, "run") is not None


@pytest.mark.parametrize("name", ["adapter_model.safetensors", STATE, MANIFEST])
def test_a_missing_file_is_noticed(tmp_path, name):
    folder = checkpoint(tmp_path / "checkpoint-3")
    (folder / name).unlink()
    assert checkpoint_problem(folder) is not None


def test_the_last_complete_checkpoint_is_found_by_number(tmp_path):
    first = checkpoint(tmp_path / "checkpoint-9")
    second = checkpoint(tmp_path / "checkpoint-10", best=first)
    cut = tmp_path / "checkpoint-11"
    cut.mkdir()
    (tmp_path / "checkpoint-best").mkdir()  # not a step
    found, skipped = last_complete(tmp_path, "run")
    assert found == second and [folder for folder, _ in skipped] == [cut]
    assert "멈췄습니다" in skipped[0][1]
    assert last_complete(tmp_path, "another run")[0] is None
    assert last_complete(tmp_path / "nowhere", "run") == (None, [])


def test_a_checkpoint_whose_best_one_is_gone_is_skipped(tmp_path):
    first = checkpoint(tmp_path / "checkpoint-3")
    best = checkpoint(tmp_path / "checkpoint-6")
    last = checkpoint(tmp_path / "checkpoint-9", best=best)
    (best / "adapter_model.safetensors").unlink()
    found, skipped = last_complete(tmp_path, "run")
    assert found == first
    assert skipped[0][0] == last and "checkpoint-6" in skipped[0][1]


def test_fingerprints_depend_on_content_not_on_order():
    assert (
        fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1}) != fingerprint({"a": 1, "b": [3]})
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory, random_base_dir):
    """One uninterrupted run, one killed a dozen times; and the same for a run that stops early."""
    folder = tmp_path_factory.mktemp("killed")
    rng = random.Random(0)
    # "save": while the n-th checkpoint of the process is written, at a random call; "step": after n steps. In between
    # checkpoints 2, 4, 6 and 8 come to be, so that it is resumed from within and at the end of each epoch.
    order = [
        "save 1",
        "save 1",
        "step 1",
        "step 3",
        "save 1",
        "save 2",
        "step 1",
        "step 3",
        "save 1",
        "save 1",
    ]
    order += ["step 1", "step 3", "save 1"]
    kills = [
        {"save": int(n), "share": rng.random()} if e == "save" else {e: int(n)}
        for e, n in map(str.split, order)
    ]
    at_the_end = [{"saved": 5}]
    profile = {
        "name": "random",
        "model": "random",
        "lora_r": 8,
        "lora_dropout": 0.1,  # draws random numbers at every step
        "batch_size": 2,
        "gradient_accumulation_steps": 2,
        "epochs": 2.4,  # ends within an epoch
        "learning_rate": 2e-3,
        "eval_batch_size": 4,
        "eval_steps": 2,
        "logging_steps": 1,
        "early_stopping_patience": 3,
        "max_seq_length": 256,
        "max_new_tokens": 4,
    }
    records = [
        {
            "instruction": "문맥만 근거로 답하세요.",
            "context": [f"모델 {i}의 소비 전력은 {100 + 7 * i}W입니다."] * (1 + i % 2),
            "question": f"모델 {i}의 소비 전력은?",
            "answer": f"{100 + 7 * i}W입니다.",
        }
        for i in range(16)
    ]
    stopping = {
        "profile": profile | {"early_stopping_patience": 2},
        "losses": {2: 3.0, 4: 2.0, 6: 2.5, 8: 2.6, 10: 1.0},
    }
    job = {
        "base": str(random_base_dir),
        "records": records,
        "profile": profile,
        "runs": [
            {"folder": str(folder / "whole"), "kills": []},
            {"folder": str(folder / "killed"), "kills": kills},
            {"folder": str(folder / "late"), "kills": at_the_end},
            {"folder": str(folder / "early"), "kills": [], "job": stopping},
            {"folder": str(folder / "early_killed"), "kills": [{"saved": 3}, {"saved": 1}], "job": stopping},
        ],
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "helpers" / "killed_run.py"), str(path)],
        capture_output=True,
        text=True,
        timeout=900,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONPATH": str(ROOT),
        },
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    names = ("whole", "killed", "late", "early", "early_killed")
    return dict(zip(names, map(json.loads, done.stdout.splitlines()), strict=True))


def same(left: dict, right: dict) -> None:
    assert left["adapter"] == right["adapter"]
    assert left["steps"] == right["steps"] and left["best"] == right["best"]
    timing = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second"}
    values = [
        [{k: v for k, v in entry.items() if k not in timing} for entry in run["evaluations"]]
        for run in (left, right)
    ]
    assert values[0] == values[1]


def test_a_run_killed_at_random_points_ends_in_the_same_adapter(runs):
    whole, killed = runs["whole"], runs["killed"]
    assert whole["killed"] == [False]
    assert sum(killed["killed"]) >= 10 and killed["killed"][-1] is False
    same(whole, killed)
    for step in (2, 4, 6, 8):
        assert f"checkpoint-{step}에서 이어서" in killed["log"]
    assert "완료 표시가 없습니다" in killed["log"]  # a save was cut, and skipped
    assert "처음부터 학습합니다" in killed["log"] and "에서 이어서 학습합니다" in killed["log"]


def test_a_run_killed_after_its_last_save_trains_no_further(runs):
    assert runs["late"]["killed"] == [True, False]
    same(runs["whole"], runs["late"])


def test_a_run_that_stopped_early_stays_stopped(runs):
    early = runs["early"]
    assert early["steps"] == 8 and early["best"] == [4, 2.0]  # the best one is loaded, not the last
    assert early["adapter"] != runs["whole"]["adapter"]
    same(early, runs["early_killed"])
    assert runs["early_killed"]["killed"] == [True, True, False]


def test_only_weights_and_their_configuration_are_saved(runs):
    assert runs["whole"]["files"] == ["adapter_config.json", "adapter_model.safetensors"]
