"""The report names what is wrong, with a remedy, and never stumbles over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from dataclasses import fields
from pathlib import Path

import pytest
from local_hub import hub_env

from src.classroom.preflight import gpu, hub, machine
from src.classroom.preflight.lines import GIB
from src.profiles import PROFILES, ROOT
from src.qlora.fitting import _ladder
from src.qlora.memory import needed_vram
from src.qlora.registry import hub_items

TINY, BIG = PROFILES["tiny"], PROFILES["rtx4090"]


def report(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, dict]:
    """Run it as a learner does, in a process whose environment is damaged by ``environment``."""
    env = {**os.environ, "WORKSHOP_OUTPUTS": str(tmp_path / "outputs"), **environment}
    command = [sys.executable, "-m", "src.classroom.preflight", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, encoding="utf-8")
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def lines_of(found: dict, check: str) -> list[dict]:
    return [line for line in found["lines"] if line["check"] == check]


def fake_package(folder: Path, name: str, code: str) -> str:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    return str(folder)


def without_probe(tmp_path: Path) -> str:
    """A torch that fails at once: for tests that look at other lines."""
    return fake_package(tmp_path / "fake", "torch", "raise OSError('quick')")


def test_a_healthy_machine_is_ready(tmp_path):
    code, found = report(tmp_path)
    assert code == 0 and found["ready"] and found["profile"] == "tiny"
    assert {line["status"] for line in found["lines"]} <= {"ok", "warning", "skipped"}
    # What was not looked at is never reported as passed.
    assert lines_of(found, "허브")[0]["status"] == "skipped"
    assert lines_of(found, "4비트 계산")[0]["status"] == "ok"


def test_broken_cuda_libraries_are_named(tmp_path):
    broken = fake_package(
        tmp_path / "fake", "torch", "raise OSError('libcudart.so.13: cannot open shared object')"
    )
    code, found = report(tmp_path, PYTHONPATH=broken)
    assert code == 1
    line = lines_of(found, "torch")[0]
    assert (
        line["status"] == "error"
        and "libcudart.so.13" in line["message"]
        and "make workshop" in line["remedy"]
    )
    assert lines_of(found, "4비트 계산")[0]["status"] == "error"
    assert lines_of(found, "파이썬")[0]["status"] == "ok"  # the rest goes on


def test_a_process_that_dies_is_a_line(tmp_path):
    killed = fake_package(
        tmp_path / "fake", "torch", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    )
    code, found = report(tmp_path, PYTHONPATH=killed)
    assert code == 1 and lines_of(found, "torch")[0]["status"] == "error"


def test_bitsandbytes_that_cannot_be_imported_is_named(tmp_path):
    broken = fake_package(tmp_path / "fake", "bitsandbytes", "raise ImportError('no binary')")
    code, found = report(tmp_path, PYTHONPATH=broken)
    line = lines_of(found, "4비트 계산")[0]
    assert code == 1 and line["status"] == "error" and "no binary" in line["message"] and line["remedy"]


def test_missing_psutil_breaks_one_line_only(tmp_path):
    without_probe(tmp_path)
    broken = fake_package(tmp_path / "fake", "psutil", "raise ModuleNotFoundError('psutil')")
    code, found = report(tmp_path, PYTHONPATH=broken)
    assert code == 1 and "psutil" in lines_of(found, "RAM")[0]["message"]
    assert lines_of(found, "저장소")[0]["status"] == "ok"


def test_wrong_locale_is_told_and_does_not_stop_the_report(tmp_path):
    env = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}
    env["PYTHONPATH"] = without_probe(tmp_path)
    _, found = report(tmp_path, **env)
    line = lines_of(found, "글자 인코딩")[0]
    assert line["status"] == "warning" and "PYTHONUTF8" in line["remedy"]


def test_unwritable_outputs_are_named(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    code, found = report(tmp_path, WORKSHOP_OUTPUTS=str(blocked), PYTHONPATH=without_probe(tmp_path))
    line = lines_of(found, "결과 폴더")[0]
    assert code == 1 and line["status"] == "error" and "WORKSHOP_OUTPUTS" in line["remedy"]


def test_no_network_stops_only_who_needs_it(tmp_path):
    closed = "http://127.0.0.1:9"  # nothing listens there
    damaged = {"HF_ENDPOINT": closed, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": without_probe(tmp_path)}
    code, found = report(tmp_path, "--profile", "rtx4090", **damaged)
    line = lines_of(found, "허브")[0]
    assert code == 1 and line["status"] == "error" and "tiny" in line["remedy"]
    assert lines_of(found, "모델 파일")[0]["status"] == "warning"
    assert [line.status for line in hub.check_hub(TINY)] == ["skipped"]


def test_what_the_hub_gives_can_be_fetched_ahead_of_the_class(hub, tmp_path):
    """For a class on one server and for a copied cache; a second time nothing is asked for."""
    for url in (hub.url, "http://127.0.0.1:9"):
        env = hub_env(
            tmp_path, url, WORKSHOP_PROFILE="rehearsal", PYTHONPATH=without_probe(tmp_path / url[-4:])
        )
        command = [sys.executable, "-m", "src.classroom.preflight", "--fetch"]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, encoding="utf-8")
        for check in ("모델 파일", "임베더 파일", "데이터 파일"):
            assert f"✅ {check}" in done.stdout, done.stdout + done.stderr
    assert not done.stderr


def test_fetching_ahead_says_in_one_line_why_not(tmp_path):
    env = hub_env(tmp_path, "http://127.0.0.1:9")
    command = [sys.executable, "-m", "src.classroom.preflight", "--profile", "t4", "--fetch"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, encoding="utf-8")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and line.startswith("❌") and "닿지 않아" in line and not done.stdout


def test_packages_missing_or_of_another_version(monkeypatch):
    real = machine._version
    monkeypatch.setattr(machine, "_version", lambda name: None if name == "peft" else real(name))
    missing = [line for line in machine.check_packages(TINY) if line.status == "error"]
    assert "peft" in missing[0].message and "requirements.txt" in missing[0].remedy
    monkeypatch.setattr(machine, "_version", lambda name: "4.0.0" if name == "transformers" else real(name))
    other = [line for line in machine.check_packages(TINY) if line.status == "warning"]
    assert "transformers 4.0.0" in other[0].message


def test_no_disk_space(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 10**6)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: usage)
    line = next(line for line in machine.check_disk(TINY) if line.check == "디스크")
    assert line.status == "error" and "HF_HOME" in line.remedy


def test_disk_of_a_hub_model_counts_its_download(monkeypatch, tmp_path):
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    free = namedtuple("usage", "total used free")(10**12, 0, 5 * GIB)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: free)
    assert [line.status for line in machine.check_disk(TINY)] == ["ok", "ok"]
    (_, line) = machine.check_disk(BIG)
    assert (
        line.status == "error"
        and f"{sum(i.size or 0 for i in hub_items(BIG)) / 1e9 + machine.output_gb(BIG):.1f} GB"
        in line.message
    )


@pytest.mark.parametrize("had", [0.5, 0.99])
def test_disk_is_needed_for_what_is_still_missing(monkeypatch, tmp_path, had):
    """Two shards of three with 4 GB free beside what the day leaves: not enough after a half, enough for the last percent."""
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    model = hub_items(BIG)[0]
    folder = tmp_path / model.folder / "snapshots" / "c0ffee"
    folder.mkdir(parents=True)
    (tmp_path / model.folder / "refs").mkdir()
    (tmp_path / model.folder / "refs" / "main").write_text("c0ffee")
    with (folder / "model-00001-of-00003.safetensors").open("wb") as file:
        file.truncate(int(model.size * had))  # no disk is used for zeros
    free = namedtuple("usage", "total used free")(10**12, 0, (4 + machine.output_gb(BIG)) * 10**9)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: free)
    (_, line) = machine.check_disk(BIG)
    assert line.status == ("error" if had == 0.5 else "ok")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = next(line for line in hub.check_hub(BIG) if line.check == "모델 파일")
    assert line.status == "warning" and "끝나지 않았습니다" in line.message


@pytest.mark.parametrize(
    ("free", "total", "status", "told"),
    [
        (23, 23.5, "ok", ""),
        (15, 15.8, "ok", ""),
        (5, 23.5, "error", "nvidia-smi"),
        (10, 10.5, "error", "PROFILE=t4"),
        (6, 6, "error", "model을"),
    ],
)
def test_vram_against_the_estimate(monkeypatch, free, total, status, told):
    facts = {"torch": "2.13.0", "cuda_build": "13.0", "cuda": True, "device": "GPU", "capability": [8, 9],
             "bf16": True, "free": free * GIB, "total": total * GIB}  # fmt: skip
    monkeypatch.setattr(gpu, "_probe", lambda: facts)
    line = next(line for line in gpu.check_gpu(BIG) if line.check == "VRAM")
    assert line.status == status and told in line.remedy


def test_old_gpu_cannot_bf16(monkeypatch):
    facts = {"torch": "2.13.0", "cuda_build": "13.0", "cuda": True, "device": "T4", "capability": [7, 5],
             "bf16": True, "free": 40 * GIB, "total": 40 * GIB}  # fmt: skip
    monkeypatch.setattr(gpu, "_probe", lambda: facts)
    assert [line.status for line in gpu.check_gpu(BIG) if line.check == "bf16"] == ["error"]


def card(monkeypatch, total, capability):
    facts = {"torch": "2.13.0", "cuda_build": "13.0", "cuda": True, "device": "GPU", "capability": capability,
             "bf16": True, "free": total * GIB, "total": total * GIB}  # fmt: skip
    monkeypatch.setattr(gpu, "_probe", lambda: facts)


@pytest.mark.parametrize(
    ("total", "capability", "name"),
    [
        (24, [8, 9], "rtx4090"),
        (24, [7, 5], "t4"),  # large, but without bf16
        (16, [7, 5], "t4"),
        (14.5, [7, 5], "t4"),  # what torch says of a T4
        (16, [8, 9], "rtx4090"),
        (10, [8, 9], "t4"),
        (8, [8, 9], "tiny"),
    ],
)
def test_a_profile_is_suggested_by_what_is_found(monkeypatch, total, capability, name):
    card(monkeypatch, total, capability)
    suggested, reasons = gpu.suggest_profile()
    assert suggested == name and (reasons == []) == (name == "rtx4090")
    if name == "tiny":
        return
    lines = list(gpu.check_gpu(PROFILES[name]))
    assert {line.status for line in lines if line.check != "bf16"} == {"ok"}
    assert [line.status for line in lines if line.check == "bf16"] in ([], ["warning"])
    if name == "t4":  # what is too large here names what is not
        wrong = [line for line in gpu.check_gpu(BIG) if line.status == "error"]
        assert wrong and all("PROFILE=t4" in line.remedy for line in wrong)


def test_a_machine_without_a_card_is_told_why(monkeypatch):
    monkeypatch.setattr(gpu, "_probe", lambda: {"torch": "2.13.0", "cuda": False})
    assert gpu.suggest_profile() == ("tiny", ["쓸 수 있는 GPU가 없습니다."])
    (line,) = gpu.check_choice(BIG)
    assert "tiny" in line.message and BIG.name in line.message


def test_a_card_too_small_for_every_model_is_a_line(monkeypatch):
    card(monkeypatch, 1, [8, 9])
    line = next(line for line in gpu.check_gpu(BIG) if line.check == "VRAM")
    assert line.status == "error" and "tiny" in line.remedy


def test_t4_is_the_ladders_first_step_for_16_gb():
    t4 = PROFILES["t4"]
    changed = {f.name for f in fields(BIG) if getattr(t4, f.name) != getattr(BIG, f.name)}
    assert changed == {
        "name",
        "compute_dtype",
        "batch_size",
        "gradient_accumulation_steps",
        "eval_batch_size",
    }
    assert t4.batch_size * t4.gradient_accumulation_steps == BIG.batch_size * BIG.gradient_accumulation_steps
    smaller = [step for step in _ladder(BIG) if step.batch_size < BIG.batch_size]
    assert (t4.batch_size, t4.eval_batch_size) == (smaller[0].batch_size, smaller[0].eval_batch_size)
    assert needed_vram(t4)[1] < needed_vram(BIG)[1] < 16


def test_wrong_gradients_are_an_error(monkeypatch):
    monkeypatch.setattr(gpu, "_probe", lambda: {"gradient_error": 0.94})
    assert [line.status for line in gpu.check_four_bit(TINY)] == ["error"]


def test_a_damaged_checkout_is_named(monkeypatch, tmp_path):
    folder = tmp_path / "data" / "tiny" / "base"
    folder.mkdir(parents=True)
    (folder / "SHA256SUMS").write_text("0" * 64 + "  model.safetensors\n", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"half")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    line = next(machine.check_checkout(TINY))
    assert line.status == "error" and "data/tiny/base/model.safetensors" in line.message
