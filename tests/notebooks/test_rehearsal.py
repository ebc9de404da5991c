"""rtx4090 to its last cell, on stand-ins: a day that fetches everything, then one without a network.

The profile is ``rehearsal``: rtx4090 with its sizes scaled (src/profiles.py). The first day begins with an empty cache and
a hub on the loopback, and runs all seven notebooks. The second begins with an empty work folder, HF_HUB_OFFLINE=1 and no
hub, and runs 00.01, which tells what is in the cache, and 04, which by itself reads the data set, makes the records,
trains, answers and scores: data set, tokenizer, model and embedder are opened once more, the cells of 00, 01, 02, 03 and
05 are not run again. What only a card shows (memory, paging, speed) neither day shows.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from day import NAMES, assert_no_warning, run_workshop
from local_hub import hub_env, serve_hub
from stand_ins import EXAONE, MARK, build_hub

from src.profiles import KORQUAD, REHEARSAL

OFFLINE = ("00.01", "04")


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> dict[str, dict]:
    """What each day left: its folder, run.json, and (the first one) what the hub was asked for."""
    root, home = tmp_path_factory.mktemp("rehearsal"), tmp_path_factory.mktemp("home")
    hub = build_hub(root / "hub")
    with serve_hub(hub) as server:
        env = hub_env(home, server.url)
        run = run_workshop(root / "online", "--jobs", "2", profile=REHEARSAL.name, env=env)
    days = {"online": {"run": run, "requests": server.requests, "mark": root / "hub" / MARK}}
    env = hub_env(home, server.url, HF_HUB_OFFLINE="1")  # nobody listens there any more
    for key in OFFLINE:
        run = run_workshop(root / "offline", "--only", key, profile=REHEARSAL.name, env=env)
    days["offline"] = {"run": run}
    for name, day in days.items():
        day["folder"] = root / name / REHEARSAL.name
    return days


def cells(folder: Path, key: str | None = None) -> list[tuple[str, nbformat.NotebookNode]]:
    """(place, cell) of every code cell that ran, of one notebook or of all."""
    found = []
    for path in sorted((folder / "notebooks").glob("*.ipynb")):
        if key is None or path.stem.startswith(key):
            notebook = nbformat.read(path, as_version=4)
            found += [
                (f"{path.stem} [{i}]", c) for i, c in enumerate(notebook.cells) if c.cell_type == "code"
            ]
    return found


def shown(cell: nbformat.NotebookNode) -> str:
    """What a cell says in plain text."""
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in cell.get("outputs", [])]
    return "\n".join(texts)


@pytest.mark.parametrize("name", ["online", "offline"])
def test_every_notebook_runs(days, name):
    run = days[name]["run"]
    expected = NAMES if name == "online" else [n for n in NAMES if re.split("[_-]", n)[0] in OFFLINE]
    assert run["profile"] == REHEARSAL.name
    assert [entry["name"] for entry in run["notebooks"] if entry["status"] == "ok"] == expected


@pytest.mark.parametrize("name", ["online", "offline"])
def test_no_page_holds_a_warning_or_a_librarys_english(days, name):
    entries = days[name]["run"]["notebooks"]
    assert {e["name"]: e["warnings"] for e in entries if e["stderr"]} == {}
    for page in (days[name]["folder"] / "html").glob("*.html"):
        assert_no_warning(page)
    said = {
        place: [line for line in output.text.splitlines() if line.strip() and not re.search("[가-힣]", line)]
        for place, cell in cells(days[name]["folder"])
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
    }
    assert {place: lines for place, lines in said.items() if lines} == {}


@pytest.mark.parametrize("name", ["online", "offline"])
def test_no_table_is_empty(days, name):
    tables = [
        (place, table)
        for place, cell in cells(days[name]["folder"])
        for output in cell.outputs
        for table in BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser").select("table")
    ]
    assert len(tables) > 20
    assert [place for place, table in tables if not table.select("td")] == []


def test_the_models_own_code_never_ran(days):
    """test_hub.py shows that it leaves the mark when it does."""
    assert any(EXAONE.source in path for path in days["online"]["requests"])
    assert not days["online"]["mark"].exists()


def test_both_days_give_the_same_numbers(days):
    """Notebook 04 alone, without a network, makes data, adapter and answers again."""
    online, offline = (json.loads((day["folder"] / "comparison.json").read_text()) for day in days.values())
    assert online == offline and online["n"] == REHEARSAL.max_test_records


def test_the_hubs_rows_are_in_the_records(days):
    rows = (days["online"]["folder"] / "artifacts" / "records_train.jsonl").read_text(encoding="utf-8")
    assert re.search(r'"id": ?"\d+-\d-\d"', rows)


def test_nothing_that_was_made_is_said_to_be_missing(days):
    """03's practice takes the tiny profile's records, which says nothing of this day's 01 and 02."""
    missing = [place for place, cell in cells(days["online"]["folder"]) if "결과가 없어" in shown(cell)]
    assert [place for place in missing if not place.startswith("05")] == []


def test_own_data_claims_nothing_of_the_profiles_data_set(days):
    said = [(place, shown(cell)) for place, cell in cells(days["online"]["folder"], "05")]
    card = next(text for _, text in said if "base_model:" in text)
    assert KORQUAD.dataset not in card and KORQUAD.licence not in card
    (command,) = (text for _, text in said if "src.classroom.chat" in text and "--adapter" in text)
    assert f"WORKSHOP_PROFILE={REHEARSAL.name} " in command
