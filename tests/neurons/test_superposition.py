"""Interference: cosines by hand, chance as it is, and superposition found where it was planted."""

from __future__ import annotations

import numpy as np
import pytest

from wheatstone.neurons import cosines, find_planted, interference, random_directions, train_planted


def test_cosines_by_hand() -> None:
    found = cosines(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [-2.0, 0.0]]))
    half = 0.5**0.5
    np.testing.assert_allclose(found, [[1, half, 0, -1], [half, 1, 0, -half], [0, 0, 0, 0], [-1, -half, 0, 1]])


def test_random_directions_interfere_by_chance() -> None:
    random = random_directions(100, draws=60, seed=1)
    found = interference([f"f{at}" for at in range(60)], random, random_directions(100, draws=60))
    assert found.null == pytest.approx(1.96 / 10, rel=0.1)
    assert found.beyond == pytest.approx(0.05, abs=0.02)
    flat = np.eye(100)[:, :4]  # a matrix that leaves four dimensions
    assert interference(["a", "b"], random[:2], random_directions(100, written=flat)).null > 0.7


def test_dense_features_are_not_in_superposition() -> None:
    model = train_planted(density=1.0)
    found = find_planted(model)
    assert model.kept == found.features == (0, 1, 2, 3, 4)  # as many as dimensions, the most important
    assert np.abs(found.cosines - np.eye(5)).max() < 0.1


def test_sparse_features_are_and_are_found() -> None:
    model = train_planted(density=0.1)
    found = find_planted(model)
    assert len(model.kept) > 8  # in five dimensions
    assert found.features == model.kept
    pairs = np.triu_indices(len(found.features), 1)
    assert np.abs(found.cosines[pairs]).mean() > 0.1
    assert np.corrcoef(found.cosines[pairs], found.known[pairs])[0, 1] > 0.95
