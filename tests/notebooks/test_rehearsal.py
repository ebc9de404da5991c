"""rtx4090 to its last cell, on stand-ins: a day that fetches everything, then one without a network.

The profile is ``rehearsal``: rtx4090 with its sizes scaled (src/profiles.py), in a checkout whose corpus has fewer rows
(``small_checkout``), for what the numbers show is the tiny day's business. The first day begins with an empty cache and
a hub on the loopback, and runs all seven notebooks. The second has HF_HUB_OFFLINE=1, no hub and two empty work folders,
and shows at once that a notebook alone makes what the ones before it would have left: in one folder 04, which reads the
data set, makes the records, trains, answers and scores; in the other 05, 02, which makes 01's records, and 00.01, which
tells what is in the cache. Data set, tokenizer, model and embedder are opened once more; the cells of 00, 01 and 03 are
not run again, but what they call is.
What only a card shows (memory, paging, speed) neither day shows.

What the first rehearsal found wrong (notebook [cell] of that day), and the test that fails when its mend is undone; a
name without a folder is a test below.

    01 [3], 04 [86]   data set streamed, absent offline    test_hub: what_came_once_opens_without_a_network
    bundle            without embedder and data set        classroom/test_bundle: it_holds_model_embedder_and_data…
    runner            FROM without the profile             classroom/test_run: what_to_type_next_names_the_profile
    02 [76]           other people's rows removed          quality/test_cleaning: rows_of_another_origin_are_shown…
    02 [89]           unknown rows as false alarms         rows_that_the_key_does_not_know_are_no_false_alarms
    02 [46]           a sentence about the histogram       scores_are_counted_for_every_origin
    01 [87]–[98]      budgets change nothing, empty table  smaller_budgets_change_the_records, no_table_is_empty
    01 [23]           long articles called repeated        outliers_of_every_origin_are_called_what_they_are
    02 [57], 04 [56]  a topic without a name               data/test_corpus: rows_of_a_dataset_without_topics…
    03 [82]           results said to be missing           classroom/test_drills: practice_makes_its_own_few…,
                                                           nothing_that_was_made_is_said_to_be_missing
    03 [112]–[114]    no licence, no plan of an upload     qlora/test_loading: the_licence_goes_beside_the_adapter,
                                                           test_hub: downloaded_once_then_loaded…
    05 [56], [60]     the card's data, the chat's profile  own_data_claims_nothing_of_the_profiles_data_set
    04 [99], [113]    "small model", "invented data"       the_verdict_names_model_and_data_as_they_are
    02 [11], 04 [25]  English lines of the embedder        scoring/test_embedding: e5_gets_its_prefix_and_says…
    00, 03, 04, 05    a warning about clean-up             no_page_holds_a_warning_or_a_librarys_english
    README, 00.01     the download half as large           hub/test_cache: a_download_is_as_large_as_what_is_…
    preflight         disk, half a download                classroom/test_preflight: disk_is_needed_for_what_is…,
                                                           hub/test_cache: a_missing_shard_is_not_whole
    embedder          not pinned                           hub/test_cache: what_a_profile_takes_from_the_hub
    preflight         no line for embedder and data set,   hub/test_fetching: the_preflight_says_it_too,
                      retries for minutes                  a_name_server_that_is_silent…

And on a card:

    answering         in fp32, batches by rows             generation/test_generate: 16_bit_from_first_to_last,
                                                           batches_hold_as_many_tokens_as_they_may
    04 [86], 05       what is trained stays alive          no_cell_holds_two_bases, experiments/test_sweeps: a_sweep…,
                                                           qlora/test_loading: what_nobody_uses_any_more…
    03 [98]           variables hold the layers            no_cell_holds_two_bases
    advice            blames training for answering        training/test_trainer: out_of_memory_while_answering…
    parity            six logits in memory                 qlora/test_adapters: parity_keeps_the_two_logits…
    fingerprint       of the base, at each call            generation/test_answer_cache: a_base_is_hashed_once…
    estimate          logits that nobody computes          qlora/test_memory: estimate_is_what_a_step…,
                                                           classroom/test_preflight: vram_against_the_estimate
    00.01 [11]        timed without waiting                a_card_is_waited_for_before_the_time_is_read
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from day import NAMES, assert_no_warning, run_workshop
from live_models import bases_of, counting_kernels
from local_hub import hub_env, serve_hub
from small_checkout import small_checkout
from stand_ins import EXAONE, MARK, build_hub

from src.data import load_samples
from src.profiles import KORQUAD, REHEARSAL, ROOT

OFFLINE = {"offline": ("04",), "alone": ("05", "02", "00.01")}  # each folder's, in this order


@pytest.fixture(scope="module")
def days(tmp_path_factory) -> dict[str, dict]:
    """What each run left: its folder, run.json, and (the first one) what the hub was asked for and the bases in memory."""
    root, home = tmp_path_factory.mktemp("rehearsal"), tmp_path_factory.mktemp("home")
    hub, place = build_hub(root / "hub"), {"checkout": small_checkout(root / "checkout")}
    with serve_hub(hub) as server:
        env = hub_env(home, server.url, **counting_kernels(root / "kernels"))
        run = run_workshop(root / "online", "--jobs", "2", profile=REHEARSAL.name, env=env, **place)
    bases = bases_of(root / "kernels")
    days = {"online": {"run": run, "requests": server.requests, "mark": root / "hub" / MARK, "bases": bases}}
    env = hub_env(home, server.url, HF_HUB_OFFLINE="1")  # nobody listens there any more

    def without_network(name: str) -> dict:
        for key in OFFLINE[name]:
            run = run_workshop(root / name, "--only", key, profile=REHEARSAL.name, env=env, **place)
        return {"run": run}

    with ThreadPoolExecutor(len(OFFLINE)) as side_by_side:
        days |= zip(OFFLINE, side_by_side.map(without_network, OFFLINE), strict=True)
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


@pytest.mark.parametrize("name", ["online", *OFFLINE])
def test_every_notebook_runs(days, name):
    run = days[name]["run"]
    expected = [n for n in NAMES if name == "online" or re.split("[_-]", n)[0] in OFFLINE[name]]
    assert run["profile"] == REHEARSAL.name
    assert [entry["name"] for entry in run["notebooks"] if entry["status"] == "ok"] == expected


@pytest.mark.parametrize("name", ["online", *OFFLINE])
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


@pytest.mark.parametrize("name", ["online", *OFFLINE])
def test_no_table_is_empty(days, name):
    tables = [
        (place, table)
        for place, cell in cells(days[name]["folder"])
        for output in cell.outputs
        for table in BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser").select("table")
    ]
    assert len(tables) > 10
    assert [place for place, table in tables if not table.select("td")] == []


def test_the_models_own_code_never_ran(days):
    """test_hub.py shows that it leaves the mark when it does."""
    assert any(EXAONE.source in path for path in days["online"]["requests"])
    assert not days["online"]["mark"].exists()


@pytest.mark.parametrize("key", ["03", "04", "05"])
def test_no_cell_holds_two_bases(days, key):
    """What is trained is freed before the next is loaded, and no variable of an earlier cell holds a layer of it."""
    online = days["online"]
    assert max(online["bases"][cell.source] for _, cell in cells(online["folder"], key)) == 1


def test_both_days_give_the_same_numbers(days):
    """Notebook 04, without a network and without 01, 02 and 03, makes data, adapter and answers again."""
    online, offline = (
        json.loads((days[name]["folder"] / "comparison.json").read_text()) for name in ("online", "offline")
    )
    assert online == offline and online["n"] == REHEARSAL.max_test_records
    assert any(entry["base"] != entry["tuned"] for entry in online["metrics"].values())  # it was trained


def test_the_hubs_rows_are_in_the_records(days):
    rows = (days["online"]["folder"] / "artifacts" / "records_train.jsonl").read_text(encoding="utf-8")
    assert re.search(r'"id": ?"\d+-\d-\d"', rows)


def test_nothing_that_was_made_is_said_to_be_missing(days):
    """03's practice makes records of the tiny profile, which says nothing of this day's 01 and 02."""
    assert [place for place, cell in cells(days["online"]["folder"]) if "결과가 없어" in shown(cell)] == []


def test_the_licence_travels_so_that_an_upload_is_planned_and_refused_without_a_token(days):
    for name in ("online", "offline"):
        licence = (days[name]["folder"] / "artifacts" / "adapter" / "LICENSE").read_text(encoding="utf-8")
        assert EXAONE.licence in licence
    said = "\n".join(shown(cell) for _, cell in cells(days["online"]["folder"], "03"))
    assert "아직 올리지 않았습니다" in said and "거절: 허브에 로그인" in said


def test_own_data_claims_nothing_of_the_profiles_data_set(days):
    said = [(place, shown(cell)) for place, cell in cells(days["online"]["folder"], "05")]
    card = next(text for _, text in said if "base_model:" in text)
    assert KORQUAD.dataset not in card and KORQUAD.licence not in card
    (command,) = (text for _, text in said if "src.classroom.chat" in text and "--adapter" in text)
    assert f"WORKSHOP_PROFILE={REHEARSAL.name} " in command


# --- What the texts say is what the outputs show --------------------------------------------------------------------


def rows_of(days, key: str, code: str) -> list[list[str]]:
    """The rows of the first table of the one cell whose code holds ``code``, each a list of its cells' texts."""
    (cell,) = (cell for _, cell in cells(days["online"]["folder"], key) if code in cell.source)
    page = next(o.data["text/html"] for o in cell.outputs if "text/html" in o.get("data", {}))
    rows = BeautifulSoup(page, "html.parser").select("tr")
    return [[part.get_text(" ", strip=True) for part in row.select("th, td")] for row in rows]


def test_outliers_of_every_origin_are_called_what_they_are(days):
    """Of a text by people that is long or rare nothing is claimed; of the corpus, what was planted in it."""
    said: dict[str, set[str]] = {}
    for source, *_, opened in rows_of(days, "01", "what_is_odd(")[1:]:
        said.setdefault(source, set()).add(opened)
    assert said.pop(f"{KORQUAD.dataset}:{KORQUAD.split}") == {"이상한 글자나 되풀이는 없음"}
    assert len(said) == 3 and all("같은 문장이 되풀이됨" in reasons for reasons in said.values())


def test_smaller_budgets_change_the_records(days):
    head, *rows = (row for row in rows_of(days, "01", "by_budget =") if any(row))
    tokens = [int(row[head.index("평균 토큰")]) for row in rows if row[1:] and row[1].isdigit()]
    assert len(tokens) == 5 and tokens == sorted(set(tokens), reverse=True)


def test_every_topic_has_a_name(days):
    """In 02's balance and in 04's parts."""
    topics = [row[0] for row in rows_of(days, "02", 'sizes = {"그대로"')[1:]]
    assert all(topics) and KORQUAD.dataset in topics
    assert all(row[0] for row in rows_of(days, "04", '"주제별"')[1:])


def test_rows_that_the_key_does_not_know_are_no_false_alarms(days):
    head, *rows = rows_of(days, "02", "grade(found_records)")
    precision = {row[0]: row[head.index("정밀도")] for row in rows}
    assert precision.pop("개인정보") != "1.00"  # what the text explains: documents beside the golden one
    assert set(precision.values()) == {"1.00"} and len(precision) == 4


def test_scores_are_counted_for_every_origin(days):
    """And of our own documents what the text says of them: nearly all at 1, next to nothing between it and the limit."""
    head, *rows = rows_of(days, "02", "by_source =")
    between, whole = head.index("문턱과 1 사이"), head.index("1")
    counts = {row[0]: (int(row[between]), int(row[whole])) for row in rows}
    assert counts.pop(f"{KORQUAD.dataset}:{KORQUAD.split}")
    assert len(counts) == 3 and all(some < 0.02 * most for some, most in counts.values())


def test_the_verdict_names_model_and_data_as_they_are(days):
    said = [shown(cell) for _, cell in cells(days["online"]["folder"], "04") if "about_model(" in cell.source]
    assert len(said) == 2
    for text in said:
        assert EXAONE.source in text and "공개된 모델" in text
        assert re.search(rf"가전 회사 자료 \d+개\(\d+%\) \+ {KORQUAD.dataset} \d+개", text)


def test_fewer_rows_still_hold_every_planted_one(tmp_path):
    place = small_checkout(tmp_path / "checkout")
    planted = json.loads((ROOT / "tests" / "corpus_manifest.json").read_text(encoding="utf-8"))
    for file in REHEARSAL.data_files:
        whole, few = ([row.get("id") for row in load_samples(folder / file)] for folder in (ROOT, place))
        assert {row["id"] for row in planted if file.endswith(row["file"])} <= set(few) <= set(whole)
        assert 0.2 < len(few) / len(whole) < 0.5


def test_a_card_is_waited_for_before_the_time_is_read():
    """It takes its work and returns at once."""
    cells = nbformat.read(ROOT / "prerequisites" / "00.01-prerequisites.ipynb", as_version=4).cells
    (timed,) = (c.source for c in cells if "perf_counter" in c.source and "backward()" in c.source)
    assert (
        timed.index("backward()") < timed.index("torch.cuda.synchronize()") < timed.rindex("perf_counter()")
    )


def test_no_line_that_was_printed_is_english(days):
    """Beside the messages of transformers that 03 shows on purpose."""
    english = re.compile(r"(?:\b[A-Za-z]{2,}\b[ ,.:;'\"()-]+){4,}[A-Za-z]{2,}")
    printed = [
        (place, line)
        for day in days.values()
        for place, cell in cells(day["folder"])
        for output in cell.outputs
        if output.output_type == "stream"
        for line in output.text.splitlines()
    ]
    found = [(p, line) for p, line in printed if english.search(line) and not re.search("[가-힣]", line)]
    kept = ("TrainingArguments.__init__()", "JSONL :", "license_name:")
    assert [(p, line) for p, line in found if not line.startswith(kept)] == []


# --- The pages' words -----------------------------------------------------------------------------------------------


def test_tables_are_labelled_in_korean(days):
    """Neither pandas' words for a column's measures nor the code's names of the splits."""
    english = re.compile(r"(?:mean|std|min|max|count|train|validation|test)(?: .*)?")
    labels = {
        place: [part.get_text(" ", strip=True) for part in page.select("th, td:first-child")]
        for place, cell in cells(days["online"]["folder"])
        for output in cell.outputs
        for page in [BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser")]
    }
    assert {p: found for p, texts in labels.items() if (found := [*filter(english.fullmatch, texts)])} == {}


def test_no_particle_is_guessed_behind_a_number(days):
    """Its form hangs on how the number is read aloud: a line that fills in a number is worded without one, or has both."""
    guessed = re.compile(r"[\w-]*\d[와과을를은이](?![가-힣(])")
    found = [
        (place, word)
        for place, cell in cells(days["online"]["folder"])
        for output in cell.outputs
        for word in guessed.findall(output.get("text") or output.get("data", {}).get("text/html", ""))
    ]
    assert [pair for pair in found if pair[1] not in ("NormalFloat4를", "UTF-8이")] == []
