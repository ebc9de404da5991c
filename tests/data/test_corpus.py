"""The shipped corpus is what its card says, can be rebuilt, and shares no product with pre-training."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from data.build import corpus, language, wording
from src.data.corpus import read_corpus, read_hub_rows
from src.data.reading import load_samples
from src.profiles import PROFILES, RAW_FILES, ROOT, HubData
from src.raft.evidence import find_answer

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


def test_card_tells_how_many_questions_carry_a_slip():
    rows = corpus.make_rows(Random(7))
    words = [w for kind in language.KINDS for attribute in kind.attributes for w in attribute.questions]
    slipped = 0
    for row in rows:
        names = (row["product"], language.short_name(row["product"]))
        slipped += row["question"] not in {w.format(e=name) for w in words for name in names}
    told = float(re.search(r"질문의 ([\d.]+)%에는 오타", CARD).group(1)) / 100
    assert told == pytest.approx(slipped / len(rows), abs=0.0005)
    assert told == pytest.approx(wording.SLIP_SHARE, abs=0.015)


def test_slips_change_the_question_and_spare_the_name():
    rng = Random(1)
    for asked in {w for kind in language.KINDS for a in kind.attributes for w in a.questions}:
        for slip in (wording.slip(rng, asked) for _ in range(20)):
            assert slip != asked and slip.startswith(asked[: len("{e}") + 1])


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


@pytest.fixture(scope="module")
def likely_documents() -> list[language.Document]:
    rng, kinds = Random(4), list(language.KINDS)
    products = [language.product_name(rng, corpus=False) for _ in range(1500)]
    return [language.make_document(rng, product, rng.choice(kinds), 4) for product in products]


def _figures(documents, key, kind=""):
    facts = [fact for d in documents if kind in d.product for fact in d.facts if fact.attribute.key == key]
    return [float(re.sub(r"[^\d.]", "", fact.value)) for fact in facts]


def test_every_fact_stands_in_its_document_word_for_word(likely_documents):
    for document in likely_documents:
        assert 3 <= len(document.facts) <= 4
        for fact in document.facts:
            assert fact.value in document.text and fact.attribute.fits(document.product)
            assert all(find_answer(document.text, fact.answer)), document.text


def test_figures_are_those_of_such_a_product(likely_documents):
    litres = _figures(likely_documents, "용량", "전기밥솥")
    assert litres and max(litres) < 2
    assert min(_figures(likely_documents, "용량", "냉장고")) > 100
    assert max(_figures(likely_documents, "무게", "가습기")) < min(
        _figures(likely_documents, "무게", "안마의자")
    )
    assert not _figures(likely_documents, "용량", "선풍기") and not _figures(
        likely_documents, "필터 교체 주기", "전자레인지"
    )
    prices = _figures(likely_documents, "판매 가격")
    assert all(price % 100 == 0 for price in prices)
    assert sum(price % 1000 == 900 or price % 10_000 == 9000 for price in prices) > 0.6 * len(prices)


def test_rules_agree_with_each_other(likely_documents):
    warranty, parts = (_figures(likely_documents, key) for key in ("무상 보증 기간", "부품 보유 기간"))
    assert max(warranty) <= 12 * min(parts)
    assert 0.3 < sum(months in (12, 24) for months in warranty) / len(warranty) < 0.6


def test_no_value_can_be_guessed(likely_documents):
    """A model that answers without reading must not be right often."""
    values: dict[str, Counter[str]] = {}
    for document in likely_documents:
        for fact in document.facts:
            values.setdefault(fact.attribute.key, Counter())[fact.value] += 1
    for key, counts in values.items():
        assert counts.most_common(1)[0][1] <= 0.3 * counts.total(), key


def test_any_numbers_are_written_where_they_are_asked_for():
    rng, documents = Random(5), []
    for _ in range(600):
        product = language.product_name(rng, corpus=False)
        documents.append(language.make_document(rng, product, language.SHEET, 4, any_numbers=True))
    assert all(fact.value in d.text for d in documents for fact in d.facts)
    assert max(_figures(documents, "용량", "전기밥솥")) > 5
    assert len({price % 1000 for price in _figures(documents, "판매 가격")}) > 50
    assert wording.any_digits(rng, "눈꽃 흰색") == "눈꽃 흰색"
    assert re.fullmatch(r"\d{1,2}\.\d\.\d", wording.any_digits(rng, "3.0.7"))


def test_particles_follow_what_is_read_aloud():
    assert (wording.with_topic("무게"), wording.with_topic("용량")) == ("무게는", "용량은")
    assert (wording.with_subject("무게"), wording.with_subject("용량")) == ("무게가", "용량이")
    spoken = (
        "5.2kg이에요",
        "310W예요",
        "7L예요",
        "43dB이에요",
        "2m예요",
        "E12예요",
        "H46이에요",
        "3.1.7이에요",
        "30일이에요",
    )
    assert tuple(wording.with_copula(said.rstrip("이에예요")) for said in spoken) == spoken
    directed = ("5.2kg으로", "310W로", "43dB로", "H47로", "12개월로", "흰색으로")
    assert tuple(wording.with_direction(said.rstrip("으로")) for said in directed) == directed


def test_documents_come_in_every_manner(likely_documents):
    assert sum(manner.share for manner in language.MANNERS.values()) == pytest.approx(1)
    signs = {
        "list": r": ",
        "friendly": r"(이에요|예요)\.",
        "noun": r"^(?!.*: ).*[^다요]\. ",
        "manual": r"되어 있|정해져|본 제품",
        "formal": r"^[^.]*입니다\.(?!.*(되어 있|정해져|본 제품))",
    }
    for name, sign in signs.items():
        count = sum(bool(re.search(sign, d.text)) for d in likely_documents)
        assert count >= 0.08 * len(likely_documents), name
