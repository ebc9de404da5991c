"""Learning from shares: the sum that is minimized is the cross-entropy against them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from src.training import fit_shares, one_hot


def test_without_anything_to_go_by_the_mean_share_is_learned():
    shares = np.array([[0.2, 0.8], [0.6, 0.4], [1.0, 0.0]])
    model = fit_shares(np.zeros((3, 1)), shares)
    assert model.predict_proba([[0.0]])[0] == pytest.approx([0.6, 0.4], abs=1e-3)


def test_a_share_that_a_feature_tells_is_learned():
    features = np.repeat([[0.0], [1.0]], 100, axis=0)
    shares = np.repeat([[0.9, 0.1], [0.3, 0.7]], 100, axis=0)
    model = fit_shares(features, shares, strength=1e4)
    assert model.predict_proba([[0.0], [1.0]]) == pytest.approx(np.array([[0.9, 0.1], [0.3, 0.7]]), abs=1e-3)


def test_hard_labels_are_ordinary_training():
    draw = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = draw.normal(size=(60, 4)) + labels[:, None]
    ours = fit_shares(features, one_hot(labels, 3)).predict_proba(features)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    theirs = LogisticRegression(C=0.1, max_iter=1000).fit(scaled, labels).predict_proba(scaled)
    assert ours == pytest.approx(theirs, abs=1e-3)


def test_what_cannot_be_learned_is_refused_in_words():
    with pytest.raises(ValueError, match="특징은 3행인데 라벨의 몫은 2행"):
        fit_shares(np.zeros((3, 1)), np.eye(2))
    with pytest.raises(ValueError, match="몫이 있는 라벨이 하나뿐"):
        fit_shares(np.zeros((2, 1)), np.array([[1.0, 0.0], [1.0, 0.0]]))
