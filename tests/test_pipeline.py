"""Reading, splitting and converting as one call, with and without rows of a hub dataset."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace

import pytest

from src import pipeline
from src.data.corpus import read_corpus
from src.data.schemas import RaftRecord
from src.data.splitting import LeakageError
from src.profiles import KORQUAD, PROFILES, ROOT, HubData


@pytest.fixture(scope="module")
def articles(tmp_path_factory):
    """A local dataset in KorQuAD's columns: 12 articles of 5 questions."""
    folder = tmp_path_factory.mktemp("korquad")
    things = [
        "다리",
        "성벽",
        "우물",
        "정원",
        "누각",
        "서고",
        "창고",
        "사당",
        "시장",
        "나루",
        "제방",
        "봉수대",
    ]
    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for number, thing in enumerate(things):
            for part in range(5):
                year = f"{1400 + 37 * number + part}년"
                context = (
                    f"{thing}의 {part}번째 이야기이다. {thing} {part}호는 {year}에 세워졌다. 돌로 지었다."
                )
                row = {
                    "id": f"kq-{number}-{part}", "title": thing, "context": context,
                    "question": f"{thing} {part}호가 세워진 해는 언제인가?",
                    "answers": {"text": [year], "answer_start": [context.index(year)]},
                }  # fmt: skip
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return folder


@pytest.fixture
def hub_profile(tiny_profile, articles, monkeypatch, tmp_path):
    monkeypatch.setenv("WORKSHOP_OUTPUTS", str(tmp_path / "outputs"))
    data = HubData(dataset=str(articles), revision=None, split="train", rows=38, licence="시험용")
    return replace(
        tiny_profile, hub_data=data, data_files=(), num_distractors=1, validation_ratio=0.2, test_ratio=0.2
    )


def test_tiny_needs_no_network_and_rtx4090_names_its_licence(monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("the tiny profile asked for a dataset")

    monkeypatch.setattr("datasets.load_dataset", no_network)
    assert PROFILES["tiny"].hub_data is None
    accepted, rejects = read_corpus(PROFILES["tiny"])
    assert len(accepted) > 4000 and rejects
    assert PROFILES["rtx4090"].hub_data is KORQUAD and "ND" in KORQUAD.licence


def test_hub_rows_are_drawn_by_whole_articles(hub_profile):
    accepted, rejects = read_corpus(hub_profile)
    titles = {sample.group_id for sample in accepted}
    assert not rejects and len(accepted) == 40 == 5 * len(titles)  # 38 rows need 8 whole articles
    assert read_corpus(hub_profile) == (accepted, rejects)
    others = {s.group_id for seed in range(5) for s in read_corpus(replace(hub_profile, seed=seed))[0]}
    assert len(others) > len(titles)


def test_build_records_keeps_to_the_outputs_folder(hub_profile, tmp_path):
    before = {path for folder in ("data", "src", "docs") for path in (ROOT / folder).rglob("*.json*")}
    records = pipeline.build_records(hub_profile)
    assert sum(map(len, records.values())) == 40
    assert all(isinstance(record, RaftRecord) for side in records.values() for record in side)
    assert {path for folder in ("data", "src", "docs") for path in (ROOT / folder).rglob("*.json*")} == before
    written = {path.name for path in (tmp_path / "outputs").rglob("*") if path.is_file()}
    assert written == {
        "records_train.jsonl",
        "records_validation.jsonl",
        "records_test.jsonl",
        "rejects.jsonl",
    }


def test_outputs_are_never_committed(monkeypatch):
    monkeypatch.delenv("WORKSHOP_OUTPUTS", raising=False)
    assert "outputs/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    for profile in PROFILES.values():
        assert profile.output_dir.parent == ROOT / "outputs"
    if not (shutil.which("git") and (ROOT / ".git").exists()):
        pytest.skip("not a git checkout")
    path = "outputs/rtx4090/artifacts/records_train.jsonl"
    assert subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0
    tracked = subprocess.run(["git", "ls-files", "outputs"], cwd=ROOT, capture_output=True, text=True)
    assert tracked.stdout == ""


def test_a_leak_stops_the_conversion(hub_profile, monkeypatch):
    def leaky(samples, **kwargs):
        return {"train": samples, "validation": samples[:3], "test": []}

    monkeypatch.setattr(pipeline, "split_by_group", leaky)
    with pytest.raises(LeakageError, match="같은 문서 3건"):
        pipeline.build_records(hub_profile)


def test_the_profile_says_how_long_a_document_may_be(hub_profile):
    accepted, rejects = read_corpus(replace(hub_profile, max_context_length=20))
    assert not accepted and {reject.field for reject in rejects} == {"context"} and len(rejects) == 40


def test_the_profiles_hard_share_reaches_the_conversion(hub_profile, monkeypatch):
    seen = []
    monkeypatch.setattr(
        pipeline, "convert_to_raft", lambda samples, **kwargs: (seen.append(kwargs), ([], []))[1]
    )
    pipeline.convert_splits({"train": []}, replace(hub_profile, hard_share=0.25), tokenizer=None)
    assert seen[0]["hard_share"] == 0.25
