"""Confidence sequences: one bet by hand, and how often they miss, looking after every value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from wheatstone._intervals import mean_interval, mean_sequence

Draw = Callable[[np.random.Generator, int], np.ndarray]
KINDS: dict[str, tuple[Draw, float]] = {
    "fair coin": (lambda draw, n: draw.integers(2, size=n).astype(float), 0.5),
    "rare failures": (lambda draw, n: (draw.random(n) < 0.95).astype(float), 0.95),
    "beta": (lambda draw, n: draw.beta(2, 5, n), 2 / 7),
    "uniform": (lambda draw, n: draw.random(n), 0.5),
}


def test_the_first_bets_by_hand() -> None:
    """Two values of 1. The first stake is λ₁ = √(2 ln 40 / (¼ ln 2)) = 6.525, so that the capital is at most 7.525 and
    no candidate is refuted. Then the variance is (¼ + (1 − ¾)²) / 2 = 0.15625 and λ₂ = √(2 ln 40 / (0.15625 ·
    2 ln 3)) = 4.636: the capital 40 is reached where (1 + 6.525 (1 − m)) (1 + 4.636 (1 − m)) ≥ 40, m ≤ 0.0341."""
    first, second = mean_sequence(np.ones(2))
    assert tuple(first) == (0, 1)
    assert second[0] == pytest.approx(0.0341, abs=0.001)
    assert second[1] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_misses_in_at_most_5_of_100_experiments_looking_after_every_value(kind: str) -> None:
    draw_values, mean = KINDS[kind]
    draw = np.random.default_rng(7)
    trials, n = 200, 60
    missed = ordinary = 0
    for _ in range(trials):
        values = draw_values(draw, n)
        ends = mean_sequence(values)
        missed += bool(((ends[:, 0] > mean) | (ends[:, 1] < mean)).any())
        peeked = (mean_interval(values[:seen], bounds=(0, 1)) for seen in range(8, n + 1, 8))
        ordinary += any(found is not None and not found[0] <= mean <= found[1] for found in peeked)
    # 5% plus three standard errors of 200 trials.
    assert missed / trials <= 0.05 + 3 * (0.05 * 0.95 / trials) ** 0.5
    # An ordinary interval, looked at ten times, does not keep its promise; else nothing would be gained.
    assert ordinary / trials > 0.07


def test_it_never_grows_and_becomes_narrow() -> None:
    ends = mean_sequence(np.random.default_rng(0).beta(8, 2, 400))
    assert (np.diff(ends[:, 0]) >= 0).all()
    assert (np.diff(ends[:, 1]) <= 0).all()
    assert np.ptp(ends[-1]) < 0.1
    assert ends[-1, 0] < 0.8 < ends[-1, 1]


def test_the_order_of_the_end_and_other_bounds() -> None:
    values = np.random.default_rng(1).random(30)
    shifted = mean_sequence(values * 4 - 2, bounds=(-2, 2))
    assert shifted == pytest.approx(mean_sequence(values) * 4 - 2)
    assert mean_sequence(np.empty(0)).shape == (0, 2)


@pytest.mark.parametrize("wrong", [1.1, -0.1, float("nan")])
def test_values_outside_their_bounds_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="values outside"):
        mean_sequence(np.array([0.5, wrong]))
