"""Confidence sequences: intervals of a bounded mean that hold at every number of units at once.

An ordinary 95% interval covers the mean 95 times in 100 at one number of units that was fixed before. Who looks after
every unit, and stops when the answer is clear, is wrong more often than that. A confidence sequence is wrong at *any*
time, of all times together, in at most 5 of 100 experiments, so that one may look, stop or continue as one likes.

For values x₁, x₂, … in [0, 1] and a candidate mean m, two gamblers bet on values above and below m:

    K⁺ₜ(m) = Π (1 + λ⁺ᵢ (xᵢ − m))        K⁻ₜ(m) = Π (1 − λ⁻ᵢ (xᵢ − m))

If the mean is m, no bet gains on average, and the capital ½ K⁺ + ½ K⁻ reaches 1 / α with probability at most α (Ville's
inequality). The interval holds every m at which max(K⁺, K⁻) / 2 has never reached 1 / α. The stakes are the predictable
plug-in bets, with mean and variance of the values before,

    λᵢ = √( 2 ln(2 / α) / (σ²ᵢ₋₁ i ln(1 + i)) ),        λ⁺ᵢ ≤ ¾ / m,        λ⁻ᵢ ≤ ¾ / (1 − m)

The guarantee holds for any distribution on the interval and any number of units; nothing is approximated.

When this misleads: it is wider than an ordinary interval, by about a half at 30 units. Units must be independent, and
in an order that does not depend on their values.

Source: Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting", Journal of the Royal
Statistical Society B 86 (arXiv 2010.09686), section 4.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from wheatstone._intervals._mean import SHARE, Bounds

BOUND = "hedged betting confidence sequence (Waudby-Smith & Ramdas 2023)"
"""Which bound it is, for a reader."""
_ALPHA = 0.05
_MOST = 0.75
"""Share of a gambler's capital that one value can take."""
_CANDIDATES = 2000
"""Candidate means; the ends are moved outwards by one, so that rounding to them costs no coverage."""


def mean_sequence(values: Float[np.ndarray, " unit"], *, bounds: Bounds = SHARE) -> Float[np.ndarray, "unit 2"]:
    """The 95% confidence sequence of a mean.

    Args:
        values: one for each independent unit, in the order in which they were measured.
        bounds: that values cannot exceed.

    Returns:
        The lower and upper end after each unit; an interval never grows from one unit to the next.
    """
    low, high = bounds
    x = (np.asarray(values, dtype=np.float64) - low) / (high - low)
    if not len(x):
        return np.empty((0, 2))
    if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise ValueError(f"values outside {low} to {high}")
    step = 1 / _CANDIDATES
    m = np.linspace(step / 2, 1 - step / 2, _CANDIDATES)
    above, below = np.cumsum(np.stack(_log_gains(x, m)), axis=1)
    lost = np.maximum.accumulate(np.maximum(above, below), axis=0) - np.log(2) >= np.log(1 / _ALPHA)
    ends = np.empty((len(x), 2))
    for row, gone in enumerate(lost):
        left = m[~gone]
        if not len(left):  # every candidate is refuted, which happens in at most 5 of 100 experiments
            ends[row] = ends[row - 1] if row else (0.0, 1.0)
            continue
        ends[row] = max(0.0, left[0] - 1.5 * step), min(1.0, left[-1] + 1.5 * step)
    return low + ends * (high - low)


def _log_gains(x: Float[np.ndarray, " unit"], m: Float[np.ndarray, " mean"]) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of what each value multiplies the two gamblers' capital by, [unit, mean]."""
    at = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (at + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (at + 1)
    before = np.concatenate([[0.25], variances[:-1]])  # a bet must not know the value it is placed on
    stakes = np.sqrt(2 * np.log(2 / _ALPHA) / (before * at * np.log1p(at)))[:, None]
    difference = x[:, None] - m
    up = np.log1p(np.minimum(stakes, _MOST / m) * difference)
    down = np.log1p(-np.minimum(stakes, _MOST / (1 - m)) * difference)
    return up, down
