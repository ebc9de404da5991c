"""Scores of labels are scikit-learn's, and the counts that are resampled add up to them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from src.evaluation import paired_difference
from src.scoring import compute_classification, confusion_table, f1_counts, f1_from_counts

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=40)


@given(ROWS, st.integers(0, 1))
def test_every_score_is_scikit_learns(rows, positive):
    labels, called, probabilities = (list(column) for column in zip(*rows, strict=True))
    scores = compute_classification(labels, called, positive=positive)
    options = {"pos_label": positive, "zero_division": 0}
    assert scores == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(labels, called),
            "precision": metrics.precision_score(labels, called, **options),
            "recall": metrics.recall_score(labels, called, **options),
            "f1": metrics.f1_score(labels, called, **options),
        }
    )
    assert f1_from_counts(f1_counts(labels, called, positive=positive).sum(axis=0)) == pytest.approx(
        scores["f1"]
    )
    if len(set(labels)) == 2:
        ranked = compute_classification(labels, called, probabilities, positive=positive)
        is_ = np.array(labels) == positive
        assert ranked["auroc"] == pytest.approx(metrics.roc_auc_score(is_, probabilities))
        assert ranked["auprc"] == pytest.approx(metrics.average_precision_score(is_, probabilities))


def test_known_values():
    """The patients of the seed: everybody called ill, and nobody called ill where ten of a thousand are."""
    ill = [1] * 100 + [0] * 900
    everyone = compute_classification(ill, [1] * 1000)
    assert (everyone["recall"], everyone["precision"]) == (1.0, 0.1)
    assert everyone["f1"] == pytest.approx(2 * 0.1 / 1.1)
    nobody = compute_classification([1] * 10 + [0] * 990, [0] * 1000)
    assert nobody == {"accuracy": 0.99, "precision": 0.0, "recall": 0.0, "f1": 0.0}
    table = confusion_table([0, 1, 1, 1], [1, 1, 0, 1], ("없음", "있음"))
    assert table.to_numpy().tolist() == [[0, 1], [1, 2]]
    assert list(table.index) == ["실제: 없음", "실제: 있음"]


def test_one_label_cannot_be_ranked_and_lengths_are_compared():
    with pytest.raises(ValueError, match="라벨이 한 가지뿐"):
        compute_classification([1, 1], [1, 0], [0.2, 0.3])
    with pytest.raises(ValueError):
        compute_classification([1, 1], [1])


def test_f1_is_resampled_from_summed_counts():
    """Groups that are all right differ from one label for all, whatever is drawn; equal systems do not differ."""
    labels = np.array([0, 1, 1, 1] * 10)
    groups = np.repeat(range(10), 4)
    settings = {"groups": groups, "n_resamples": 200, "seed": 0}
    majority, right = (f1_counts(labels, called, positive=0) for called in (np.ones(40), labels))
    won = paired_difference(majority, right, "f1", **settings)
    assert (won.base, won.tuned, won.interval, won.title) == (0.0, 1.0, (1.0, 1.0), "F1")
    assert won.judgement == "나아짐"
    assert paired_difference(right, right, "f1", **settings).judgement == "같음"
