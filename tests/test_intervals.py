"""Intervals: hand-computed cases, what has none, and coverage by seeded simulation."""

from __future__ import annotations

import intervals as simulation
import numpy as np
import pytest
from scipy.stats import norm, t

from wheatstone._intervals import (
    DIFFERENCE,
    MINIMUM_RANKED,
    SHARE,
    cluster_mean_interval,
    crossed_interval,
    interval_note,
    interval_text,
    jackknife_interval,
    mean_interval,
    mean_intervals,
    median_interval,
    rank_correlation,
    ratio_interval,
)

SAMPLES, FEW = 10_000, 1_500


def noise(samples: int) -> float:
    """Three standard errors of a simulated coverage of 95%."""
    return 3 * (0.05 * 0.95 / samples) ** 0.5


def test_without_skewness_a_mean_has_student_s_interval() -> None:
    values = np.array([1.0, 3.0, 1.0, 3.0, 1.0, 3.0, 1.0, 3.0])
    half = float(t.ppf(0.975, 7)) * (1 + 9 / 8**3) * values.std(ddof=1) / 8**0.5
    assert mean_interval(values) == pytest.approx((2 - half, 2 + half))


def test_the_long_tail_gets_the_longer_side() -> None:
    values = np.array([0.0, 0.0, 1.0, 1.0, 2.0, 9.0])
    low, high = mean_interval(values) or (np.nan, np.nan)
    mean = values.mean()
    assert high - mean > mean - low > 0
    assert mean_interval(-values) == pytest.approx((-high, -low))
    assert mean_interval(3 * values + 5) == pytest.approx((3 * low + 5, 3 * high + 5))


def test_four_of_four_is_no_certainty() -> None:
    z = norm.ppf(0.975)
    middle, total = (4 + z**2 / 2) / (4 + z**2), 4 + z**2
    low = middle - z * (middle * (1 - middle) / total) ** 0.5
    assert mean_interval(np.ones(4), bounds=SHARE) == pytest.approx((low, 1.0))
    assert mean_interval(np.zeros(4), bounds=SHARE) == pytest.approx((0.0, 1 - low))
    # Agresti and Min: variance (0.5 + 0.5) / 36 of no difference in four pairs.
    assert mean_interval(np.zeros(4), bounds=DIFFERENCE) == pytest.approx((-z / 6, z / 6))
    low, high = mean_interval(np.full(6, 0.5), bounds=SHARE) or (0.5, 0.5)
    assert 0 < low < 0.5 < high < 1


def test_what_has_no_interval() -> None:
    few = np.array([0.2, 0.4, 0.9])
    assert mean_interval(few) is mean_interval(few, bounds=SHARE) is None
    assert mean_interval(np.full(10, 3.7)) is None  # nothing varies
    assert mean_interval(1 + np.arange(10) * 1e-8) is None  # but for float32's rounding
    assert mean_interval(np.array([1.0, 2.0, np.nan, 4.0])) is None
    assert ratio_interval(few, few + 1) is None
    gap = np.array([1.0, 2.0, 3.0, 4.0])
    assert ratio_interval(0.5 * gap, gap) is None  # one ratio on all
    assert ratio_interval(gap, np.array([-3.0, 2.0, -1.0, 4.0])) is None  # the denominator may be 0
    assert jackknife_interval(1.0, np.ones(8)) is None
    assert jackknife_interval(0.8, np.array([0.7, 0.8, np.nan, 0.9])) is None
    assert median_interval(np.arange(4.0)) is median_interval(np.ones(9)) is None
    assert rank_correlation(np.arange(2.0), np.arange(2.0)) is rank_correlation(np.ones(9), np.arange(9.0)) is None


def test_rows_are_taken_one_by_one() -> None:
    rows = np.array([[0.0, 1.0, 1.0, 1.0], [0.1, 0.5, 0.4, 0.3], [np.inf, 1.0, 2.0, 3.0], [7.0, 7.0, 7.0, 7.0]])
    bounds = (SHARE, SHARE, None, None)
    expected = [mean_interval(row, bounds=of) or (None, None) for row, of in zip(rows, bounds, strict=True)]
    assert mean_intervals(rows, bounds=bounds) == expected
    assert expected[2:] == [(None, None), (None, None)]


def test_a_ratio_is_that_of_its_prompts_whatever_the_sign() -> None:
    draw = np.random.default_rng(0)
    gap = draw.normal(8, 1, 40)
    part = 0.9 * gap + draw.normal(0, 0.5, 40)
    low, high = ratio_interval(part, gap) or (np.nan, np.nan)
    ratio = part.mean() / gap.mean()
    half = 1.96 * (part - ratio * gap).std() / gap.mean() / 40**0.5
    assert (low, high) == pytest.approx((ratio - half, ratio + half), abs=0.1 * half)
    assert ratio_interval(-part, -gap) == pytest.approx((low, high))


def test_rows_copied_inside_their_document_make_no_interval_narrower() -> None:
    draw = np.random.default_rng(0)
    documents = np.repeat(np.arange(12), draw.integers(1, 9, 12))
    values = draw.normal(size=len(documents))
    once = cluster_mean_interval(values, documents)
    assert once is not None
    assert cluster_mean_interval(np.tile(values, 10), np.tile(documents, 10)) == pytest.approx(once)
    same = np.arange(8)
    assert cluster_mean_interval(values[:8], same) == pytest.approx(mean_interval(values[:8]))
    assert cluster_mean_interval(np.ones(9), np.array([0, 0, 1, 1, 1, 2, 3, 3, 3]), bounds=SHARE) == pytest.approx(
        mean_interval(np.ones(4), bounds=SHARE)
    )


def test_a_perfect_order_is_no_certainty() -> None:
    found = rank_correlation(np.arange(8.0), np.arange(8.0))
    assert found is not None
    assert found.value == pytest.approx(1)
    assert found.low is not None
    assert found.low < 0.9
    seven = rank_correlation(np.arange(MINIMUM_RANKED - 1.0), np.arange(MINIMUM_RANKED - 1.0))
    assert seven is not None
    assert (seven.low, seven.high) == (None, None)


def test_the_median_of_five_lies_between_least_and_largest() -> None:
    assert median_interval(np.array([5.0, 1.0, 4.0, 2.0, 3.0])) == (1.0, 5.0)


def test_words() -> None:
    assert interval_text((-0.5, 1.0)) == "−0.50 to 1.00"
    assert interval_text((-0.004, 0.02)) == "0.00 to 0.02"
    assert interval_text(None) == interval_text((None, None)) == ""
    assert interval_note(3) == interval_note(3, "lines") == "n = 3: too few for an interval"
    assert interval_note(4, "lines") == "lines: 95% intervals"


@pytest.mark.parametrize("n", [4, 8, 20, 200])
@pytest.mark.parametrize("name", simulation.POPULATIONS)
def test_means_are_covered_95_times_in_100(name: str, n: int) -> None:
    """95 ± 2%, but for the smallest samples of the strongest skewness and of the sharpest peak."""
    off = {("exponential (skewness 2)", 4): (0.92, 0.97), ("Laplace", 4): (0.93, 0.98)}
    least, most = off.get((name, n), (0.93, 0.97))
    coverage = simulation.mean_coverage(simulation.POPULATIONS[name], n, SAMPLES)
    assert least - noise(SAMPLES) <= coverage <= most + noise(SAMPLES)


@pytest.mark.parametrize("n", [4, 5, 8, 12, 20, 50, 200])
def test_shares_are_covered_95_times_in_100(n: int) -> None:
    """Exact, on average over the true share; and near it at shares that are met."""
    ends = simulation.counted_ends(n)
    assert 0.93 <= simulation.proportion_coverage(n, ends, np.linspace(0.0005, 0.9995, 1000)).mean() <= 0.97
    assert simulation.proportion_coverage(n, ends, np.array([0.5, 0.8, 0.95])).min().round(3) >= 0.93
    assert all(low < high for low, high in zip(*ends, strict=True))


def test_differences_are_covered_95_times_in_100() -> None:
    assert all(0.93 <= simulation.difference_coverage(n).mean() <= 0.97 for n in (4, 8, 20))


@pytest.mark.parametrize("n", [4, 12])
@pytest.mark.parametrize("skewed", [False, True])
def test_faithfulness_is_covered_95_times_in_100(n: int, skewed: bool) -> None:
    coverage, known = simulation.single_coverage(simulation.faithfulness(n, skewed), FEW)
    assert known > 0.9
    assert 0.93 - noise(FEW) <= coverage <= 0.97 + noise(FEW)


def test_over_orders_and_cases_variances_add() -> None:
    """Orders and cases that add up: means of orders −2, 2 and 6, those of cases apart by 1."""
    cases = np.array([0.0, 1.0, 2.0, 3.0])
    values = np.array([[-2.0], [2.0], [6.0]]) + cases - cases.mean()
    by_order, by_case = 16 / 3, 5 / 3 / 4
    variance = by_order + by_case
    freedom = variance**2 / (by_order**2 / 2 + by_case**2 / 3)
    half = float(t.ppf(0.975, freedom)) * variance**0.5
    assert crossed_interval(values) == pytest.approx((2 - half, 2 + half))
    alone = mean_interval(values.mean(0))
    assert crossed_interval(np.tile(values.mean(0), (3, 1))) == alone
    assert crossed_interval(np.ones((3, 5)), bounds=SHARE) == mean_interval(np.ones(5), bounds=SHARE)
    low, high = crossed_interval(np.array([[1.0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]]), bounds=SHARE) or (9, 9)
    assert (low, high) == (0.0, 1.0)


@pytest.mark.parametrize("shape", [(2, 40), (1, 40), (3, 3)])
def test_few_orders_or_cases_have_no_interval_over_both(shape: tuple[int, int]) -> None:
    assert crossed_interval(np.random.default_rng(0).random(shape)) is None
    assert crossed_interval(np.full((3, 4), np.nan)) is None


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0])
def test_coverage_over_orders_and_cases(apart: float) -> None:
    """At least 95%, less three standard errors and what the page says of few orders; too wide where orders agree."""
    hit, share = simulation.single_coverage(lambda draw: simulation.crossed(3, 25, apart, draw), FEW)
    assert share == 1
    assert 0.93 - noise(FEW) <= hit <= 0.99
