"""Contextual calibration on hand-made tables."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from src.scoring.calibration import calibrate, label_probabilities


def test_probabilities_add_up_to_one_whatever_the_likelihoods():
    np.testing.assert_allclose(
        label_probabilities(np.log([[0.2, 0.2], [0.03, 0.01]])), [[0.5, 0.5], [0.75, 0.25]]
    )
    np.testing.assert_allclose(label_probabilities([[-2000.0, -2000.0 + np.log(3)]]), [[0.25, 0.75]])


def test_known_values():
    """A model that says yes with 0.75 to nothing: 0.75 for a question is no evidence, 0.6 speaks for no."""
    asked, empty = np.log([[0.6, 0.4], [0.75, 0.25], [0.9, 0.1]]), np.log([[0.75, 0.25]])
    np.testing.assert_allclose(calibrate(asked, empty), [[1 / 3, 2 / 3], [1 / 2, 1 / 2], [3 / 4, 1 / 4]])


def test_three_labels_and_the_mean_of_two_empty_inputs():
    empty = np.log([[0.5, 0.3, 0.2], [0.3, 0.3, 0.4]])  # mean .4, .3, .3
    asked = np.log([[0.4, 0.3, 0.3], [0.4, 0.6, 1e-9]])
    result = calibrate(asked, empty)
    np.testing.assert_allclose(result[0], [1 / 3] * 3)
    np.testing.assert_allclose(result[1], [1 / 3, 2 / 3, 0], atol=1e-6)


def test_an_even_model_is_left_as_it_is():
    asked = np.log([[0.6, 0.4], [0.1, 0.9]])
    np.testing.assert_allclose(calibrate(asked, np.log([[0.01, 0.01]])), label_probabilities(asked))


def test_two_labels_keep_their_order_and_move_by_one_amount():
    rng = np.random.default_rng(0)
    asked, positive = rng.normal(size=(40, 2)), rng.random(40) > 0.5
    before, after = label_probabilities(asked), calibrate(asked, [[0.0, -3.0]])
    moved = np.log(after[:, 0] / after[:, 1]) - np.log(before[:, 0] / before[:, 1])
    np.testing.assert_allclose(moved, -3.0)
    assert roc_auc_score(positive, before[:, 0]) == roc_auc_score(positive, after[:, 0])


@pytest.mark.parametrize("empty", [np.empty((0, 2)), [[0.0, 0.0, 0.0]], [0.0, 0.0], [[0.0, np.nan]]])
def test_bad_content_free_rows_are_refused_in_korean(empty):
    with pytest.raises(ValueError, match=r"보정하려면|숫자가 아닌"):
        calibrate([[0.0, -1.0]], empty)
