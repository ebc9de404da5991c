"""Label errors: what is planted is known, and confident learning gives what the paper's formulas give."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data import ANSWERABLE, NLI
from src.profiles import ROOT
from src.quality import cleanlab_counts, confident_counts, find_label_errors, plant_errors

LABELS = [0, 1] * 20


@given(st.integers(2, 4), st.floats(0, 1), st.integers(0, 5))
def test_so_many_labels_are_wrong_and_the_key_says_which(classes, rate, seed):
    labels = np.arange(40) % classes
    given_labels, wrong = plant_errors(labels, rate, seed, classes=classes)
    assert wrong.sum() == round(rate * 40)
    assert ((given_labels != labels) == wrong).all() and set(given_labels) <= set(range(classes))
    assert (plant_errors(labels, rate, seed, classes=classes).given == given_labels).all()


def test_errors_stay_where_they_are_sent():
    where = np.array(LABELS) == 0
    planted = plant_errors(LABELS, 0.25, 0, where=where)
    assert planted.wrong.sum() == 10 and not planted.wrong[~where].any()
    assert plant_errors(LABELS, 0.25, 1, where=where).wrong.tolist() != planted.wrong.tolist()
    with pytest.raises(ValueError, match="21개가 고를 수 있는 행 20개보다"):
        plant_errors(LABELS, 21 / 40, 0, where=where)


def test_known_thresholds_and_counts():
    """Two labels: a doubted row of each, and one (the third of the second label) that reaches no threshold."""
    labels = [1, 1, 1, 0, 0, 0]
    sure = np.array([0.90, 0.40, 0.80, 0.60, 0.85, 0.05])  # of label 1
    thresholds, counts = confident_counts(labels, np.column_stack([1 - sure, sure]))
    assert thresholds == pytest.approx([0.5, 0.7])
    assert counts.tolist() == [[1, 1], [1, 2]]


def test_known_counts_of_three_labels():
    """The likeliest counts among the labels that are reached, not the likeliest of all."""
    p = np.array([[0.9, 0.05, 0.05], [0.1, 0.3, 0.6], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    thresholds, counts = confident_counts([0, 1, 1, 2], p)
    assert thresholds == pytest.approx([0.9, 0.275, 0.8])
    assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99)), min_size=4, max_size=40))
def test_two_labels_are_counted_as_cleanlab_counts_them(rows):
    labels, sure = np.array([0, 1, *(row[0] for row in rows)]), np.array([0.2, 0.7, *(r[1] for r in rows)])
    p = np.column_stack([1 - sure, sure])
    theirs = cleanlab_counts(labels, p)
    assert confident_counts(labels, p)[1].tolist() == theirs.tolist()


def test_what_is_planted_is_found_where_the_probabilities_are_good():
    truth = np.array([0, 1] * 100)
    labels, wrong = plant_errors(truth, 0.05, 0)
    sure = np.where(truth == 1, 0.95, 0.05) + np.random.default_rng(0).uniform(-0.04, 0.04, 200)
    good = find_label_errors(labels, np.column_stack([1 - sure, sure]), ANSWERABLE)
    assert good.sum() > 5 and not good[~wrong].any()  # most of ten, and nothing else
    blind = np.random.default_rng(1).uniform(0.3, 0.7, 200)
    found = find_label_errors(labels, np.column_stack([1 - blind, blind]), ANSWERABLE)
    assert (found & wrong).sum() / max(1, found.sum()) < 0.2  # a list that is not worth reading


@pytest.mark.parametrize(
    ("labels", "p", "names", "said"),
    [
        ([0, 1], np.full((2, 2), 0.5), ANSWERABLE, "2개뿐"),
        ([*LABELS, 2], np.full((41, 2), 0.5), ANSWERABLE, "41번째 쌍의 라벨 2"),
        ([1] * 40, np.full((40, 2), 0.5), ANSWERABLE, "답 있음 하나뿐"),
        (LABELS, np.full((40, 2), 0.5), NLI, "40행 3칸이어야"),
        (LABELS, np.full(40, 0.5), ANSWERABLE, "40행 2칸"),
        (LABELS, np.full((40, 2), 0.6), ANSWERABLE, "1번째 행의 확률"),
        (LABELS, np.array([[0.5, 0.5]] * 39 + [[np.nan, 1]]), ANSWERABLE, "40번째 행의 확률"),
        (LABELS, np.array([[0.5, 0.5], [-0.2, 1.2]] * 20), ANSWERABLE, "2번째 행의 확률"),
    ],
)
def test_bad_input_is_refused_in_words(labels, p, names, said):
    with pytest.raises(ValueError, match=said):
        find_label_errors(labels, p, names)


def test_without_cleanlab_the_command_that_brings_it_is_named(monkeypatch):
    for part in ("filter", "count"):
        monkeypatch.setitem(sys.modules, f"cleanlab.{part}", None)
    for ask in (lambda p: find_label_errors(LABELS, p, ANSWERABLE), lambda p: cleanlab_counts(LABELS, p)):
        with pytest.raises(ImportError, match="make electives"):
            ask(np.full((40, 2), 0.5))


def test_the_notebook_leaves_the_import_to_where_that_is_said():
    notebook = (ROOT / "main-practice" / "electives" / "12_label_errors.ipynb").read_text(encoding="utf-8")
    assert "import cleanlab" not in notebook and "from cleanlab" not in notebook
