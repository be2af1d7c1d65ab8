"""Intervals of a ratio of two means over the same units: faithfulness, and means over clusters of unequal size.

    R = mean(a) / mean(b)

Fieller's interval holds the ratios ρ for which the t interval of mean(a − ρ b) holds 0. With variances and covariance
of the means its ends are the roots of

    (mean(b)² − q² var b) ρ² − 2 (mean(a) mean(b) − q² cov) ρ + (mean(a)² − q² var a) = 0

Each end has its own q: the t statistic's quantile at the skewness of a − R b, as for means. Where the t interval of
mean(b) holds 0, the denominator may be 0 and there is no interval. Where a root does not exist at the larger q that
skewness asks for, the end is that of the mean of (a − R b) / mean(b), around R.

Sources: Fieller 1954, "Some problems in interval estimation"; Cochran 1977, "Sampling Techniques", chapter 6.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from wheatstone._intervals._mean import Bounds, is_flat, mean_interval, skewed_quantiles, t_quantile
from wheatstone._intervals._words import MINIMUM


def ratio_interval(
    numerator: Float[np.ndarray, " unit"], denominator: Float[np.ndarray, " unit"]
) -> tuple[float, float] | None:
    """95% interval of mean(numerator) / mean(denominator).

    Args:
        numerator: one value for each independent unit.
        denominator: of the same units.

    Returns:
        The lower and upper end; None for fewer than `MINIMUM` units, where the denominator's mean may be 0, or where
        all units have one and the same ratio.
    """
    a, b = (np.asarray(values, dtype=np.float64) for values in (numerator, denominator))
    n = len(a)
    if n < MINIMUM or not np.isfinite([a, b]).all():
        return None
    if abs(b.mean()) <= t_quantile(n) * b.std(ddof=1) / n**0.5:
        return None
    rest = a - a.mean() / b.mean() * b
    # Shifted by the scale of b, so that only differences beyond the rounding of the two terms count as spread.
    if is_flat((rest + np.abs(b).max())[None])[0]:
        return None
    return _ends(a, b) if b.mean() > 0 else _ends(-a, -b)


def cluster_mean_interval(
    values: Float[np.ndarray, " row"], clusters: Int[np.ndarray, " row"], *, bounds: Bounds | None = None
) -> tuple[float, float] | None:
    """95% interval of a mean over rows that come in clusters, such as positions in documents.

    Args:
        values: of the rows.
        clusters: that the rows lie in; these are the independent units.
        bounds: that values cannot exceed, such as `SHARE`.

    Returns:
        The lower and upper end; None where `mean_interval` of the clusters gives None.
    """
    own = np.unique(clusters, return_inverse=True)[1]
    counts, sums = np.bincount(own).astype(float), np.bincount(own, weights=values)
    means = sums / counts
    if len(means) < MINIMUM or np.ptp(counts) == 0 or is_flat(means[None])[0]:
        return mean_interval(means, bounds=bounds)
    if not np.isfinite(sums).all():
        return None
    low, high = _ends(sums, counts)
    least, most = bounds or (-np.inf, np.inf)
    return max(low, least), min(high, most)


def _ends(a: Float[np.ndarray, " unit"], b: Float[np.ndarray, " unit"]) -> tuple[float, float]:
    """Both ends, for a denominator of positive mean."""
    ratio = a.mean() / b.mean()
    rest = (a - ratio * b) / b.mean()
    covariance, error = np.cov(a, b) / len(a), rest.std(ddof=1) / len(a) ** 0.5
    ends: list[float] = []
    for q, side in zip(skewed_quantiles(rest[None])[0], (-1, 1), strict=True):
        leading = b.mean() ** 2 - q**2 * covariance[1, 1]
        if leading <= 0:
            ends.append(float(ratio - q * error))
            continue
        middle = a.mean() * b.mean() - q**2 * covariance[0, 1]
        last = a.mean() ** 2 - q**2 * covariance[0, 0]
        ends.append(float((middle + side * max(middle**2 - leading * last, 0.0) ** 0.5) / leading))
    return ends[0], ends[1]
