"""Intervals of means over two kinds of units at once: cases, and the orders in which a sequence holds them.

With values x of O orders and C cases, every case in every order, and s² the variance (n − 1) of the means of each kind,

    var = s²(order means) / O + s²(case means) / C

and the interval is the mean ± t · √var, t with the degrees of freedom of Satterthwaite. A bootstrap over both kinds
(Owen's pigeonhole bootstrap) has the same variance but for a factor of (n − 1) / n of each, which at three orders is a
third too little: it covers 77 to 80 times in 100 where the orders decide. Both are in docs/results/intervals.md.

When this misleads: three orders say little of orders. Where they differ much, the interval is wide for that reason, and
covers 92 times in 100.

Sources: Owen 2007, "The pigeonhole bootstrap"; Satterthwaite 1946.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from wheatstone._intervals._mean import Bounds, mean_interval
from wheatstone._intervals._words import MINIMUM

MINIMUM_ORDERS = 3
"""Orders below which an interval is not one over orders."""


def crossed_interval(
    values: Float[np.ndarray, "order case"], *, bounds: Bounds | None = None
) -> tuple[float, float] | None:
    """95% interval of a mean over orders and cases.

    Args:
        values: of every case in every order.
        bounds: that values cannot exceed, such as `SHARE`.

    Returns:
        The lower and upper end; None for fewer than `MINIMUM_ORDERS` orders, fewer than `MINIMUM` cases, or values that
        are not finite. Where all orders agree, the interval over cases.
    """
    values = np.asarray(values, dtype=np.float64)
    orders, cases = values.shape
    if orders < MINIMUM_ORDERS or cases < MINIMUM or not np.isfinite(values).all():
        return None
    by_order = values.mean(1).var(ddof=1) / orders
    by_case = values.mean(0).var(ddof=1) / cases
    over_cases = mean_interval(values.mean(0), bounds=bounds)
    if by_order == 0:
        return over_cases
    variance = by_order + by_case
    freedom = variance**2 / (by_order**2 / (orders - 1) + by_case**2 / (cases - 1))
    half = float(t.ppf(0.975, freedom) * variance**0.5)
    least, most = bounds or (-np.inf, np.inf)
    low, high = float(values.mean()) - half, float(values.mean()) + half
    if over_cases is not None:  # it corrects for skewness; orders can only add to it
        low, high = min(low, over_cases[0]), max(high, over_cases[1])
    return max(low, least), min(high, most)
