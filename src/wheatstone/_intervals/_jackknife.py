"""Intervals of F1, AUROC and other shares without a formula, by leaving out one unit at a time.

With θ the statistic of all n units and θᵢ without unit i,

    logit(θ) ± q · √( (n − 1) / n · Σ (θᵢ − mean θ.)² ) / (θ (1 − θ))        q: t quantile, n − 1 degrees of freedom

This covers from n = 4 on, where resampled documents too often lack a class or repeat each other.

When this misleads: statistics that jump when one unit goes, such as medians, have no valid jackknife. A statistic near
1 over few documents is covered too often.

Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from wheatstone._intervals._mean import t_quantile
from wheatstone._intervals._words import MINIMUM

_ROUNDING = 1e-9
"""Standard error, relative to the statistic, that float64 rounding alone may leave."""


def jackknife_interval(whole: float, left_out: Float[np.ndarray, " unit"]) -> tuple[float, float] | None:
    """95% interval of a smooth statistic between 0 and 1.

    Args:
        whole: the statistic of all units.
        left_out: the statistic without each unit in turn.

    Returns:
        The lower and upper end; None for fewer than `MINIMUM` units, a statistic that does not exist without some unit
        or does not vary, or one of exactly 0 or 1.
    """
    n = len(left_out)
    if n < MINIMUM or not np.isfinite([whole, *left_out]).all() or not 0 < whole < 1:
        return None
    error = float(np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()))
    if error <= _ROUNDING * whole:
        return None
    middle, half = logit(whole), t_quantile(n) * error / (whole * (1 - whole))
    return float(expit(middle - half)), float(expit(middle + half))
