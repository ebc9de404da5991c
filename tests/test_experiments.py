"""The log keeps every run, whatever its columns and however an earlier run ended."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src import experiments
from src.experiments import current_commit, log_experiment, read_experiments


def test_union_of_columns_in_both_files(tmp_path):
    log_experiment(tmp_path, {"name": "첫 실행", "lora_r": 8})
    log_experiment(tmp_path, {"name": "둘째", "learning_rate": 2e-4, "metrics": {"rougeL": 0.5}})
    lines = (tmp_path / "experiments.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["첫 실행", "둘째"]
    raw = (tmp_path / "experiments.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")  # Excel
    table = pd.read_csv(tmp_path / "experiments.csv", encoding="utf-8-sig")
    assert set(table) == {"date", "commit", "name", "lora_r", "learning_rate", "metrics.rougeL"}
    assert table["lora_r"].isna().tolist() == [False, True]
    frame = read_experiments(tmp_path)
    assert list(frame["name"]) == ["첫 실행", "둘째"] and frame["metrics.rougeL"].iloc[1] == 0.5
    assert read_experiments(tmp_path / "experiments.csv").equals(frame)


def test_date_and_commit(tmp_path, monkeypatch):
    row = log_experiment(tmp_path / "runs" / "log.jsonl", {"name": "a"})
    assert (tmp_path / "runs" / "log.csv").exists()
    assert abs((datetime.now().astimezone() - datetime.fromisoformat(row["date"])).total_seconds()) < 60
    assert log_experiment(tmp_path, {"date": "어제", "commit": "abc"})["commit"] == "abc"
    monkeypatch.setattr(experiments, "ROOT", tmp_path / "absent")
    assert current_commit() == "unknown"


def test_values_that_json_does_not_know(tmp_path):
    import torch

    row = {
        "loss": np.float32(0.5), "steps": np.int64(3), "vector": np.arange(2), "tensor": torch.tensor(1.5),
        "bad": float("nan"), "path": Path("a") / "b", "flag": np.bool_(True), "none": None, "targets": {"q_proj"},
    }  # fmt: skip
    log_experiment(tmp_path, row)
    written = json.loads((tmp_path / "experiments.jsonl").read_text())
    assert written["loss"] == 0.5 and written["steps"] == 3 and written["vector"] == [0, 1]
    assert written["tensor"] == 1.5 and written["bad"] == "nan" and written["flag"] is True
    assert written["path"] == str(Path("a") / "b") and written["targets"] == ["q_proj"]


def test_a_half_written_line_costs_only_itself(tmp_path):
    log_experiment(tmp_path, {"name": "a"})
    with (tmp_path / "experiments.jsonl").open("a") as file:
        file.write('{"name": "cut o')
    with pytest.warns(UserWarning, match="2번째 줄"):
        log_experiment(tmp_path, {"name": "b"})
    with pytest.warns(UserWarning, match="2번째 줄"):
        assert list(read_experiments(tmp_path)["name"]) == ["a", "b"]


def test_nothing_logged_yet(tmp_path):
    assert read_experiments(tmp_path).empty


def test_an_open_spreadsheet_does_not_lose_the_run(tmp_path, monkeypatch):
    def locked(*args):
        raise PermissionError

    monkeypatch.setattr(experiments.os, "replace", locked)
    with pytest.warns(UserWarning, match="다른 프로그램"):
        log_experiment(tmp_path, {"name": "a"})
    assert list(read_experiments(tmp_path)["name"]) == ["a"]
