"""The shipped corpus is what its card says, can be rebuilt, and shares no product with pre-training."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from data.build import corpus, language
from src.data.corpus import read_corpus, read_hub_rows
from src.data.reading import load_samples
from src.profiles import PROFILES, RAW_FILES, ROOT, HubData

MANIFEST = json.loads((ROOT / "tests" / "corpus_manifest.json").read_text(encoding="utf-8"))
CARD = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
SCHEMA_DEFECTS = {"missing_field", "wrong_type", "empty", "too_short", "too_long"}


@pytest.fixture(scope="module")
def corpus_rows() -> list[dict]:
    return [row for file in RAW_FILES for row in load_samples(ROOT / file)]


@pytest.fixture(scope="module")
def validated():
    return read_corpus(PROFILES["tiny"])


def test_size_and_share_of_defects(corpus_rows):
    documents = {row["context"] for row in corpus_rows if isinstance(row.get("context"), str)}
    assert len(documents) >= 600 and len(corpus_rows) >= 3500
    assert 0.05 <= len(MANIFEST) / len(corpus_rows) <= 0.08


def test_card_tells_the_numbers(corpus_rows):
    clean = corpus.make_rows(Random(7))
    told = dict(re.findall(r"^\| (문서|문답|제품|심어 둔 결함) \| ([\d,]+)", CARD, flags=re.MULTILINE))
    counted = {
        "문서": len({row["context"] for row in clean}),
        "문답": len(corpus_rows),
        "제품": len({row["product"] for row in clean}),
        "심어 둔 결함": len(MANIFEST),
    }
    assert {key: int(value.replace(",", "")) for key, value in told.items()} == counted
    kinds = {
        kind: int(count) for kind, count in re.findall(r"^\| `(\w+)` \| (\d+) \|", CARD, flags=re.MULTILINE)
    }
    assert kinds == Counter(entry["defect"] for entry in MANIFEST)


def test_rebuilding_gives_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "RAW", tmp_path)
    monkeypatch.setattr(corpus, "MANIFEST", tmp_path / "manifest.json")
    corpus.main()
    for file in RAW_FILES:
        assert (tmp_path / file.rsplit("/", 1)[1]).read_bytes() == (ROOT / file).read_bytes()
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8")) == MANIFEST


def test_every_row_is_accepted_or_refused(corpus_rows, validated):
    accepted, refused = validated
    assert len(accepted) + len(refused) == len(corpus_rows)


def test_schema_defects_are_refused_and_clean_rows_are_not(validated):
    accepted, refused = validated
    defects = {entry["id"]: entry["defect"] for entry in MANIFEST}
    refused_ids = Counter(reject.row.get("id") for reject in refused)
    missed = {i: d for i, d in defects.items() if d in SCHEMA_DEFECTS and not refused_ids[i]}
    assert missed == {}
    wrongly = [i for i in refused_ids if defects.get(i) not in SCHEMA_DEFECTS | {"mojibake"}]
    assert len(wrongly) <= 0.005 * len(accepted)


def test_rows_of_a_dataset_without_topics_have_its_name_for_one(tmp_path):
    folder = tmp_path / "글"
    folder.mkdir()
    rows = [
        {"title": "한강", "context": "한강은 서해로 흐른다.", "question": "어디로 흐르나?", "answer": "서해"}
    ]
    rows.append({**rows[0], "question": "무엇이 흐르나?", "answer": "한강", "topic": "지리"})
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    drawn = HubData(dataset=str(folder), revision=None, split="train", rows=2, licence="")
    topics = [row["topic"] for row in read_hub_rows(replace(PROFILES["tiny"], hub_data=drawn))]
    assert topics == [str(folder), "지리"]


def test_pretraining_and_corpus_share_no_product(corpus_rows):
    ours, theirs = language.line_names()
    assert not set(ours) & set(theirs)
    lines = {row["group_id"].split()[0] for row in corpus_rows}
    assert lines <= set(ours)
