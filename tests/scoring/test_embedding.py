"""The offline embedder saves, loads and encodes like any sentence-transformers model."""

from __future__ import annotations

import hashlib
import logging
import shutil

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from data.build.embedder import build, corpus_texts
from src.profiles import PROFILES
from src.scoring import embedding
from src.scoring.char_ngrams import CharNgramTfidf
from src.scoring.embedding import OVERLAP_LABEL, embedder_label, load_embedder

TEXTS = [
    "소비 전력은 310W입니다.",
    "보증 기간은 2년입니다.",
    "필터는 물로 헹굽니다.",
    "환불은 7일 안에 됩니다.",
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(TEXTS, tmp_path_factory.mktemp("embedder"), n_features=4096)


@pytest.fixture
def in_checkout(built, tmp_path, monkeypatch):
    """A checkout whose data/tiny/embedder is the one just built."""
    shutil.copytree(built, tmp_path / "data" / "tiny" / "embedder")
    monkeypatch.setattr(embedding, "ROOT", tmp_path)
    return tmp_path


def test_loads_by_import_path_and_encodes(in_checkout):
    model = load_embedder(PROFILES["tiny"])
    assert isinstance(model[0], CharNgramTfidf)
    vectors = model.encode(TEXTS)
    assert vectors.shape == (4, 4096) and vectors.dtype == np.float32
    assert model.get_embedding_dimension() == 4096
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    fitted = SentenceTransformer(modules=[CharNgramTfidf().fit(TEXTS)], device="cpu")
    np.testing.assert_array_equal(vectors, fitted.encode(TEXTS))


def test_is_close_to_unhashed_tfidf():
    from sklearn.feature_extraction.text import TfidfVectorizer

    exact = TfidfVectorizer(analyzer="char", ngram_range=(1, 3)).fit(TEXTS).transform(TEXTS)
    model = SentenceTransformer(modules=[CharNgramTfidf(n_features=2**20).fit(TEXTS)], device="cpu")
    vectors = model.encode(TEXTS)
    np.testing.assert_allclose(vectors @ vectors.T, (exact @ exact.T).toarray(), atol=1e-5)


def test_measures_overlap_and_says_so(in_checkout):
    model = load_embedder("data/tiny/embedder")
    same, negated, paraphrase = model.encode(
        ["환불은 7일 안에 됩니다.", "환불은 7일 안에 안 됩니다.", "일주일 이내라면 돈을 돌려드려요."]
    )[[0, 1, 2]]
    assert same @ negated > 0.8 > 0.2 > same @ paraphrase
    assert embedder_label(PROFILES["tiny"]) == OVERLAP_LABEL
    assert "의미가 아닙니다" in embedder_label("data/tiny/embedder")
    assert "의미가 아닙니다" not in embedder_label(PROFILES["rtx4090"])


def test_empty_and_odd_texts(in_checkout):
    vectors = load_embedder("data/tiny/embedder").encode(["", "  ", "🙂🙂", "가" * 50_000])
    assert np.isfinite(vectors).all()
    np.testing.assert_array_equal(np.linalg.norm(vectors, axis=1).round(5), [0, 0, 1, 1])


def test_fit_needs_text():
    with pytest.raises(ValueError, match="글이 없습니다"):
        CharNgramTfidf().fit([])


def test_foreign_classes_are_not_trusted(in_checkout):
    modules = in_checkout / "data" / "tiny" / "embedder" / "modules.json"
    modules.write_text(modules.read_text().replace("src.scoring.char_ngrams.CharNgramTfidf", "os.system"))
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_embedder("data/tiny/embedder")


def test_e5_gets_its_prefix_and_says_nothing_about_it(monkeypatch, caplog):
    def downloaded(name, **options):
        options = {key: value for key, value in options.items() if "prompt" in key}
        return SentenceTransformer(modules=[CharNgramTfidf().fit(TEXTS)], device="cpu", **options)

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", downloaded)
    monkeypatch.setattr(logging.getLogger("sentence_transformers"), "propagate", True)
    model = load_embedder(PROFILES["rtx4090"])
    np.testing.assert_allclose(model.encode("보증"), model.encode("query: 보증", prompt=""), atol=1e-6)
    assert caplog.text == ""
    other = load_embedder("nlpai-lab/KURE-v1")
    np.testing.assert_allclose(other.encode("보증"), other.encode("보증", prompt=""), atol=1e-6)


def test_missing_embedder_names_the_remedy(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr(embedding, "ROOT", tmp_path)
    monkeypatch.setattr("sentence_transformers.SentenceTransformer", offline)
    with pytest.raises(OSError, match=r"data\.build\.embedder"):
        load_embedder("data/tiny/embedder")


def test_build_is_deterministic_and_complete(built, tmp_path):
    again = build(reversed(TEXTS), tmp_path / "again")
    sums = (built / "SHA256SUMS").read_text()
    assert sums == (again / "SHA256SUMS").read_text()
    for line in sums.splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest
    card = (built / "README.md").read_text(encoding="utf-8")
    assert "의미가 아니라" in card and "Apache-2.0" in card and "python -m data.build.embedder" in card


def test_corpus_texts_reads_documents_and_questions(tmp_path):
    (tmp_path / "a.json").write_text(
        '[{"id": "1", "q": "소비 전력은?", "doc": "소비 전력은 310W입니다.", "a": "310W입니다."}, {"id": 2, "q": null}]',
        encoding="utf-8",
    )
    (tmp_path / "b.csv").write_bytes(
        "번호,질문,본문,답변\n1,보증은?,보증은 2년입니다.,2년입니다.\n".encode("cp949")
    )
    assert corpus_texts(tmp_path) == [
        "보증은 2년입니다.",
        "보증은?",
        "소비 전력은 310W입니다.",
        "소비 전력은?",
    ]
