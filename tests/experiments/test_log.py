"""The log keeps every run, whatever its columns and however an earlier run ended."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.experiments import log as experiments
from src.experiments.log import (
    current_commit,
    describe_data,
    experiment_row,
    log_experiment,
    read_experiments,
)
from src.profiles import PROFILES


def test_union_of_columns_in_both_files(tmp_path):
    log_experiment(tmp_path, {"name": "첫 실행", "lora_r": 8})
    log_experiment(tmp_path, {"name": "둘째", "learning_rate": 2e-4, "metrics": {"rougeL": 0.5}})
    lines = (tmp_path / "experiments.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["첫 실행", "둘째"]
    raw = (tmp_path / "experiments.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")  # Excel
    table = pd.read_csv(tmp_path / "experiments.csv", encoding="utf-8-sig")
    assert set(table) == {"run", "date", "commit", "name", "lora_r", "learning_rate", "metrics.rougeL"}
    assert table["lora_r"].isna().tolist() == [False, True]
    frame = read_experiments(tmp_path)
    assert list(frame["name"]) == ["첫 실행", "둘째"] and frame["metrics.rougeL"].iloc[1] == 0.5


def test_date_and_commit(tmp_path, monkeypatch):
    row = log_experiment(tmp_path / "runs", {"name": "a"})
    assert (tmp_path / "runs" / "experiments.csv").exists()
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


# --- The same experiment again -------------------------------------------------------------------------------------

LOG = {
    "model": "tiny",
    "train_records": 9,
    "steps": 4,
    "best_eval_loss": 0.5,
    "seconds": 6.0,
    "peak_memory_gib": 1.5,
}


def row(**changes):
    profile = replace(PROFILES["tiny"], **changes)
    return experiment_row(profile, LOG, {"sha256": "abc"}, remark="처음")


def test_a_rerun_takes_the_old_rows_place_and_says_so(tmp_path, capsys):
    first = log_experiment(tmp_path, row())
    other = log_experiment(tmp_path, row(learning_rate=1e-5))
    assert capsys.readouterr().out == "" and first["run"] != other["run"]
    again = log_experiment(tmp_path, row() | {"remark": "", "minutes": 0.3})
    told = capsys.readouterr().out
    assert first["run"] in told and "지표는 그때와 같습니다" in told
    frame = read_experiments(tmp_path)
    assert (
        frame["run"].tolist()
        == [first["run"], other["run"]]
        == pd.read_csv(tmp_path / "experiments.csv")["run"].tolist()
    )
    assert frame["minutes"].tolist() == [0.3, 0.1] and again["remark"] == "처음"


def test_a_rerun_with_other_metrics_says_which(tmp_path, capsys):
    log_experiment(tmp_path, row() | {"metrics": {"eval_loss": 0.5, "bleu": 30.0}})
    log_experiment(tmp_path, row() | {"metrics": {"eval_loss": 0.6, "rougeL": 0.7}})
    told = capsys.readouterr().out
    assert "지표가 그때와 다릅니다: eval_loss 0.5 → 0.6" in told and "지표 1개를 더했습니다." in told
    frame = read_experiments(tmp_path)
    assert frame[["metrics.eval_loss", "metrics.bleu", "metrics.rougeL"]].to_numpy().tolist() == [
        [0.6, 30.0, 0.7]
    ]


def test_scores_that_are_new_are_not_said_to_be_as_before(tmp_path, capsys):
    log_experiment(tmp_path, row() | {"metrics": {"eval_loss": 0.5}})
    log_experiment(tmp_path, row() | {"metrics": {"eval_loss": 0.5, "rougeL": 0.7}})
    assert "지표 1개를 더했습니다. 두 번 다 잰 지표는 그때와 같습니다." in capsys.readouterr().out
    log_experiment(tmp_path, row(lora_r=4) | {"metrics": {}})
    log_experiment(tmp_path, row(lora_r=4) | {"metrics": {"rougeL": 0.7}})
    assert "같습니다" not in capsys.readouterr().out


def test_what_decides_a_result_makes_another_run(tmp_path):
    rows = [
        row(),
        row(lora_r=4),
        row(epochs=9),
        row(seed=1),
        row() | {"commit": "abc"},
        row() | {"data": {"sha256": "d"}},
    ]
    assert (
        len({log_experiment(tmp_path, one)["run"] for one in rows})
        == len(rows)
        == len(read_experiments(tmp_path))
    )


@pytest.mark.parametrize("field", [field.name for field in fields(PROFILES["tiny"])])
def test_every_setting_of_a_profile_makes_another_run(field):
    value = getattr(PROFILES["tiny"], field)
    other = value + 1 if isinstance(value, int | float) else "다른 값"
    assert experiments._run_id(row()) != experiments._run_id(row(**{field: other}))


def test_a_rerun_leaves_damaged_lines_as_they_are(tmp_path, capsys):
    log_experiment(tmp_path, row())
    with (tmp_path / "experiments.jsonl").open("a") as file:
        file.write("{torn\n")
    with pytest.warns(UserWarning, match="2번째 줄"):
        log_experiment(tmp_path, row())
    lines = (tmp_path / "experiments.jsonl").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 3 and lines[1] == "{torn"


def test_data_is_known_by_its_contents(tmp_path):
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    a.write_text("하나"), b.write_text("하나")
    assert describe_data(a)["sha256"] == describe_data(b)["sha256"] and describe_data(a)["files"] == "a.csv"
    assert describe_data(a)["bytes"] == 6
    b.write_text("둘")
    assert describe_data(a)["sha256"] != describe_data(b)["sha256"] != describe_data(a, b)["sha256"]
    assert describe_data(a, b) != describe_data(b, a)


def test_a_row_has_what_the_next_reader_needs():
    made = row()
    assert made["lora"].pop("targets").startswith("q_proj, k_proj, v_proj, o_proj")
    assert made["lora"] == {"r": 16, "alpha": 32, "dropout": 0.0} and made["metrics"] == {"eval_loss": 0.5}
    assert made["minutes"] == 0.1 and made["peak_memory_gib"] == 1.5 and made["steps"] == 4
    assert (
        made["training"]["learning_rate"] == PROFILES["tiny"].learning_rate and made["training"]["batch"] == 8
    )


def test_what_a_person_writes_makes_no_other_run_and_is_kept(tmp_path, capsys):
    seen = row() | {"observation": "검증 손실이 다시 오릅니다", "next": "에폭을 줄입니다"}
    first, again = log_experiment(tmp_path, seen), log_experiment(tmp_path, row())
    assert first["run"] == again["run"] == row_id(row())
    assert (again["observation"], again["next"]) == (seen["observation"], seen["next"])
    other = log_experiment(tmp_path, row() | {"next": "데이터를 늘립니다"})
    assert (other["observation"], other["next"]) == (seen["observation"], "데이터를 늘립니다")


def row_id(made):
    return experiments._run_id({"commit": current_commit(), **made})


def test_the_rows_that_were_read_are_told_where_they_were_counted(tmp_path):
    (tmp_path / "a.csv").write_text("하나")
    assert describe_data(tmp_path / "a.csv", rows=74)["rows"] == 74
    assert "rows" not in describe_data(tmp_path / "a.csv")
