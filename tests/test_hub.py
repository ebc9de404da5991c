"""What rtx4090 takes from the hub: fetched once, opened without a network afterwards, its code never run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from local_hub import hub_env
from stand_ins import E5, EXAONE, MARK

from src.profiles import KORQUAD, PROFILES, REHEARSAL, ROOT, active_profile, remember_choice

# Everything of the hub that a day opens, and what came.
OPEN = """
import json
from src.data import read_hub_rows
from src.profiles import active_profile
from src.qlora import load_base_model, load_tokenizer
from src.scoring import load_embedder

profile = active_profile()
rows = read_hub_rows(profile)
weights = load_base_model(profile).state_dict()
vector = load_embedder(profile).encode("물통")
came = [len(rows), rows[0], load_tokenizer(profile)("물통")["input_ids"], len(weights), float(vector.sum())]
print("CAME", json.dumps(came))
"""


def opened(env: dict[str, str], code: str = OPEN) -> subprocess.CompletedProcess:
    env = {**env, "WORKSHOP_PROFILE": REHEARSAL.name, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)


def came(done: subprocess.CompletedProcess) -> list:
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.partition("CAME")[2])


@pytest.fixture(scope="module")
def home(hub, tmp_path_factory):
    """A cache that one run with a network has filled, and what that run saw."""
    folder = tmp_path_factory.mktemp("home")
    return folder, came(opened(hub_env(folder, hub.url)))


def test_what_came_once_opens_without_a_network(home):
    """Streamed, the data set left its card in the cache and no row."""
    folder, first = home
    nobody = hub_env(folder, "http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert came(opened(nobody)) == first
    assert first[0] >= REHEARSAL.hub_data.rows and first[1]["source"] == f"{KORQUAD.dataset}:{KORQUAD.split}"


def test_pinned_commits_are_what_is_asked_for(home, hub):
    pins = {E5: PROFILES["rtx4090"].embedder_revision, KORQUAD.dataset: KORQUAD.revision}
    for name, commit in pins.items():
        asked = [path for path in hub.requests if name in path and "auth-check" not in path]
        assert asked and all(commit in path for path in asked), asked


def test_code_of_the_model_repository_is_not_run(home, hub):
    """Run on purpose it leaves the mark, so the day's not leaving one says something."""
    mark = hub.repos["models", EXAONE.source].folder.parents[2] / MARK
    assert not mark.exists()
    load = f"from transformers import AutoConfig; AutoConfig.from_pretrained({EXAONE.source!r}, trust_remote_code=True)"
    assert "remote code was run" in opened(hub_env(home[0], hub.url), load).stderr
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
