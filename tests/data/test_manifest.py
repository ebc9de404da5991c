"""What the checks find of the defects that were planted in the shipped corpus, and what they accuse wrongly."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest

from data.build import corpus as builder
from src import pipeline
from src.data.corpus import read_corpus
from src.data.splitting import split_by_group
from src.data.validation import validate_samples
from src.profiles import PROFILES, ROOT
from src.qlora.loading import load_tokenizer
from src.quality.cleaning import CHECKS, clean_records, detection_table, find_flaws

MANIFEST = json.loads((ROOT / "tests" / "corpus_manifest.json").read_text(encoding="utf-8"))
PLANTED = {entry["id"]: entry["defect"] for entry in MANIFEST}
SCHEMA_DEFECTS = {"missing_field", "wrong_type", "empty", "too_short", "too_long"}
# The manifest's word for what a check looks for.
DEFECT_OF_CHECK = {check: check for check in CHECKS} | {
    "groundedness": "ungrounded",
    "relevance": "wrong_answer",
}


@pytest.fixture(scope="module")
def corpus():
    return read_corpus(PROFILES["tiny"])


@pytest.fixture(scope="module")
def found(corpus):
    return find_flaws(corpus[0])


@pytest.fixture(scope="module")
def records(corpus):
    profile = PROFILES["tiny"]
    splits = split_by_group(
        corpus[0], validation_ratio=profile.validation_ratio, test_ratio=profile.test_ratio, seed=profile.seed
    )
    return pipeline.convert_splits(splits, profile, load_tokenizer(profile))[0]


def table(expected, findings):
    return detection_table(expected, findings).set_index("kind")


def test_schema_defects_are_all_refused(corpus):
    accepted, refused = corpus
    kept = {sample.id for sample in accepted}
    assert [i for i, defect in PLANTED.items() if defect in SCHEMA_DEFECTS and i in kept] == []
    assert len(refused) >= sum(defect in SCHEMA_DEFECTS for defect in PLANTED.values())


def test_every_kind_is_found_in_the_samples(corpus, found):
    """Samples hold all their documents, so everything planted can be judged."""
    kept = {sample.id for sample in corpus[0]}
    expected = {
        check: {i for i, defect in PLANTED.items() if defect == DEFECT_OF_CHECK[check]} for check in CHECKS
    }
    assert all(len(ids) >= 20 and ids <= kept for ids in expected.values())
    result = table(expected, found)
    print(result.drop(columns="missed").to_string())
    assert result.loc["exact_duplicate", "recall"] == 1.0
    assert (result["precision"] >= 0.9).all()
    assert (result["recall"] >= 0.8).all()


def test_another_corpus_is_judged_as_well():
    """The same defects planted in other rows, which no threshold was chosen on."""
    rng = Random(103)
    rows = builder.make_rows(rng)
    builder.plant(rows, rng)
    rng.shuffle(rows)
    expected: dict[str, set[str]] = {check: set() for check in CHECKS}
    for number, row in enumerate(rows):
        row["id"], row["group_id"] = f"r{number}", row.pop("product", "")
        defect, _ = row.pop("defect", ("", ""))
        for check, kind in DEFECT_OF_CHECK.items():
            if defect == kind:
                expected[check].add(row["id"])
    accepted, refused = validate_samples(rows)
    assert len(accepted) + len(refused) == len(rows)
    result = table(expected, find_flaws(accepted))
    print(result.drop(columns="missed").to_string())
    assert result.loc["exact_duplicate", "recall"] == 1.0
    assert (result["precision"] >= 0.9).all()
    assert (result["recall"] >= 0.8).all()


def test_clean_rows_are_hardly_ever_accused(corpus, found):
    accepted, refused = corpus
    clean = len(accepted) + len(refused) - len(PLANTED)
    names = [reject.row.get("id") or reject.row.get("번호") for reject in refused]
    wrongly = [name for name in names if name not in PLANTED]
    wrongly += [rows for findings in found.values() for rows in findings if PLANTED.keys().isdisjoint(rows)]
    assert len(wrongly) <= 0.005 * clean


def test_records_are_judged_by_what_they_show(corpus, records):
    """After the conversion a split is cleaned by itself. Groundedness and relevance can be judged only where the
    golden document is shown; personal data is in every record that shows the document, be it as a distractor."""
    samples = {sample.id: sample for sample in corpus[0]}
    personal = {samples[i].context for i, defect in PLANTED.items() if defect == "personal_data"}
    planted_sentences = {" ".join(context.rsplit(" ", 3)[1:]) for context in personal}
    expected: dict[str, set[str]] = {check: set() for check in CHECKS}
    found: dict[str, list[tuple[str, ...]]] = {check: [] for check in CHECKS}
    for rows in records.values():
        for check, findings in find_flaws(rows).items():
            found[check] += findings
        for record in rows:
            for check, defect in DEFECT_OF_CHECK.items():
                judged = record.golden_index is not None or check.endswith("duplicate")
                if check != "personal_data" and PLANTED.get(record.id) == defect and judged:
                    expected[check].add(record.id)
            if any(sentence in text for text in record.context for sentence in planted_sentences):
                expected["personal_data"].add(record.id)
    # A duplicate is one within its split; the splits keep whole groups, so none is lost.
    result = table(expected, found)
    print(result.drop(columns="missed").to_string())
    assert result.loc["exact_duplicate", "recall"] == 1.0
    assert (result["precision"] >= 0.9).all()
    assert (result["recall"] >= 0.8).all()


def test_cleaning_takes_away_what_was_planted_and_little_else(records):
    removed = Counter()
    for rows in records.values():
        kept, findings = clean_records(rows)
        gone = [finding for finding in findings if finding.action == "removed"]
        assert len(kept) + len(gone) == len(rows)
        assert clean_records(kept) == (kept, [])
        removed.update(finding.check for finding in gone)
        accused = {finding.id for finding in gone if not finding.check.endswith("duplicate")}
        assert len(accused - PLANTED.keys()) <= 0.005 * len(rows)
    assert set(removed) == set(CHECKS) - {"personal_data"}
