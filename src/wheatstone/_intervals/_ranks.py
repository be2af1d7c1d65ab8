"""Intervals of rank statistics: Spearman's correlation, and the median.

* Spearman's ρ of n pairs: tanh(atanh ρ ± z √((1 + ρ² / 2) / (n − 3))). In a perfect order, ρ = ±1, the end towards 0 is
  that of the next value that n pairs can have, 1 − 12 / (n (n² − 1)), and the other end is ±1.
* The median: between two order statistics, interpolated to 95%. For n = 5 it is the least to the largest value (94%).

Sources: Bonett & Wright 2000, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations";
Hettmansperger & Sheather 1986, "Confidence intervals based on interpolated order statistics".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import binom, spearmanr

from wheatstone._intervals._mean import NORMAL

MINIMUM_RANKED = 8
"""Pairs below which a rank correlation has no interval."""
_MINIMUM_MEDIAN = 5


class RankCorrelation(NamedTuple):
    """Spearman's rank correlation.

    Args:
        value: −1 to 1.
        low: lower end of its 95% interval; None for fewer than `MINIMUM_RANKED` pairs.
        high: upper end.
        n: pairs.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def rank_correlation(first: Float[np.ndarray, " pair"], second: Float[np.ndarray, " pair"]) -> RankCorrelation | None:
    """Spearman's rank correlation with its 95% interval; None for fewer than three pairs or a constant side."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    n = len(first)
    if n < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    value = float(spearmanr(first, second)[0])  # pyright: ignore[reportArgumentType]
    if n < MINIMUM_RANKED:
        return RankCorrelation(value, None, None, n)
    most = 1 - 12 / (n * (n**2 - 1))
    inner = max(-most, min(most, value))
    reach = NORMAL * ((1 + inner**2 / 2) / (n - 3)) ** 0.5
    low, high = (float(np.tanh(np.arctanh(inner) + side)) for side in (-reach, reach))
    return RankCorrelation(value, -1.0 if value < -most else low, 1.0 if value > most else high, n)


def median_interval(values: Float[np.ndarray, " unit"]) -> tuple[float, float] | None:
    """95% interval of a median; None for fewer than five units or values that do not vary."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    n = len(ordered)
    if n < _MINIMUM_MEDIAN or not np.isfinite(ordered).all() or ordered[0] == ordered[-1]:
        return None
    # The depth-th smallest and largest value cover the median with probability `within`; one step further in, less.
    within = 1 - 2 * binom.cdf(np.arange(n // 2 + 1) - 1, n, 0.5)
    depth = max(int((within[1:] >= 0.95).sum()), 1)
    low, high = float(ordered[depth - 1]), float(ordered[-depth])
    if within[depth] < 0.95 or depth >= n // 2:
        return low, high
    share = (within[depth] - 0.95) / (within[depth] - within[depth + 1])
    inwards = float((n - depth) * share / (depth + (n - 2 * depth) * share))
    low += inwards * (float(ordered[depth]) - low)
    high += inwards * (float(ordered[-depth - 1]) - high)
    return low, high
