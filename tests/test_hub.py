"""What rtx4090 takes from the hub: fetched once, opened without a network afterwards, its code never run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from local_hub import hub_env
from stand_ins import E5, EXAONE, MARK

from src.profiles import KORQUAD, PROFILES, REHEARSAL, ROOT, active_profile, remember_choice

# Everything of the hub that a day opens, what came, and what travels with an adapter.
OPEN = """
import json
from pathlib import Path
from src.data import read_hub_rows
from src.profiles import active_profile
from src.qlora import attach_adapter, load_base_model, load_tokenizer
from src.qlora.loading import copy_licence
from src.scoring import load_embedder

profile, folder = active_profile(), Path("adapter").resolve()
rows = read_hub_rows(profile)
base = load_base_model(profile)
vector = load_embedder(profile).encode("물통")
ids = load_tokenizer(profile)("물통")["input_ids"]
print("CAME", json.dumps([len(rows), rows[0], ids, len(base.state_dict()), float(vector.sum())]))
attach_adapter(base, profile).save_pretrained(folder)
copy_licence(profile, folder)
"""
NOBODY = "http://127.0.0.1:9"  # nothing listens there


def opened(home: Path, url: str, code: str = OPEN, **more: str) -> subprocess.CompletedProcess:
    env = hub_env(home, url, WORKSHOP_PROFILE=REHEARSAL.name, PYTHONPATH=str(ROOT), PYTHONWARNINGS="ignore")
    return subprocess.run(
        [sys.executable, "-c", code], cwd=home, env=env | more, capture_output=True, text=True
    )


def came(done: subprocess.CompletedProcess) -> list:
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.partition("CAME")[2].splitlines()[0])


def said(stderr: str) -> list[str]:
    """Lines on stderr, without transformers' bar while it reads the weights."""
    return [line for line in stderr.splitlines() if line.strip() and "Loading weights" not in line]


@pytest.fixture(scope="module")
def home(hub, tmp_path_factory) -> Path:
    """A cache that one run with a network fills (``first``)."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(home, hub) -> subprocess.CompletedProcess:
    before = len(hub.requests)
    done = opened(home, hub.url)
    done.asked = hub.requests[before:]
    return done


def test_what_came_once_opens_without_a_network(home, first):
    """Streamed, the data set left its card in the cache and no row."""
    seen = came(first)
    assert came(opened(home, NOBODY, HF_HUB_OFFLINE="1")) == seen
    assert seen[0] >= REHEARSAL.hub_data.rows and seen[1]["source"] == f"{KORQUAD.dataset}:{KORQUAD.split}"


def test_downloaded_once_then_loaded_without_a_question(home, first):
    """Online first; then, with the hub gone and without HF_HUB_OFFLINE, from what that left."""
    assert first.stdout.count("[내려받기]") == 3 and said(first.stderr) == []
    assert first.asked and not any(".py" in path for path in first.asked)  # not even fetched
    assert "a stand-in" in (home / "adapter" / "LICENSE").read_text()
    started = time.monotonic()
    again = opened(home, NOBODY)
    assert came(again) == came(first) and time.monotonic() - started < 60
    assert "[내려받기]" not in again.stdout and said(again.stderr) == []


def test_pinned_commits_are_what_is_asked_for(first, hub):
    pins = {E5: PROFILES["rtx4090"].embedder_revision, KORQUAD.dataset: KORQUAD.revision}
    for name, commit in pins.items():
        asked = [path for path in hub.requests if name in path and "auth-check" not in path]
        assert asked and all(commit in path for path in asked), asked


def test_code_of_the_model_repository_is_not_run(home, first, hub):
    """Run on purpose it leaves the mark, so the day's not leaving one says something."""
    mark = hub.repos["models", EXAONE.source].folder.parents[2] / MARK
    assert not mark.exists()
    load = f"from transformers import AutoConfig; AutoConfig.from_pretrained({EXAONE.source!r}, trust_remote_code=True)"
    assert "remote code was run" in opened(home, hub.url, load).stderr
    assert mark.exists()
    mark.unlink()


def test_the_rehearsal_is_rtx4090_scaled_in_one_place_and_no_choice_of_a_learners():
    scaled = {"name", "hub_data", "max_new_tokens", "epochs", "learning_rate", "logging_steps", "eval_steps"}
    scaled |= {"compute_dtype", "own_data_epochs", "gradient_accumulation_steps", "practice_records"}
    scaled |= {
        "max_validation_records",
        "bleu_records",
        "max_test_records",
        "open_book_questions",
        "bootstrap_samples",
    }
    both = asdict(REHEARSAL), asdict(PROFILES["rtx4090"])
    assert {name for name, value in both[0].items() if value != both[1][name]} == scaled
    assert REHEARSAL.hub_data == replace(KORQUAD, rows=REHEARSAL.hub_data.rows)
    assert REHEARSAL.name not in PROFILES
    with pytest.raises(ValueError, match="tiny"):
        remember_choice(REHEARSAL.name)


def test_only_the_environment_leads_to_the_rehearsal(monkeypatch):
    monkeypatch.setenv("WORKSHOP_PROFILE", REHEARSAL.name)
    assert active_profile() is REHEARSAL
    monkeypatch.setenv("WORKSHOP_PROFILE", "rehearsals")
    with pytest.raises(ValueError) as refused:
        active_profile()
    assert REHEARSAL.name not in str(refused.value).partition("WORKSHOP_PROFILE")[2]
