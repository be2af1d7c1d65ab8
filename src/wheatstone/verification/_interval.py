"""Bootstrap intervals over prompts."""

from __future__ import annotations

import numpy as np
from scipy.stats import bootstrap

_RESAMPLES = 2000


def mean_interval(values: np.ndarray, seed: int) -> list[float] | None:
    """95% percentile interval of a mean; None for a single prompt.

    Args:
        values: [draw, prompt]; draws of one prompt are averaged before prompts are resampled.
        seed: of the resampling.
    """
    rows = values.mean(0)
    if len(rows) < 2:
        return None
    found = bootstrap(
        (rows,), np.mean, n_resamples=_RESAMPLES, method="percentile", rng=np.random.default_rng(seed)
    ).confidence_interval
    return [float(found.low), float(found.high)]


def ratio_interval(circuit: np.ndarray, clean: np.ndarray, corrupt: np.ndarray, seed: int) -> list[float] | None:
    """95% percentile interval of faithfulness, prompts resampled as a whole; None for a single prompt."""
    if len(circuit) < 2:
        return None

    def recovered(circuit: np.ndarray, clean: np.ndarray, corrupt: np.ndarray, axis: int) -> np.ndarray:
        low = corrupt.mean(axis)
        return (circuit.mean(axis) - low) / (clean.mean(axis) - low)

    found = bootstrap(
        (circuit, clean, corrupt),
        recovered,
        paired=True,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return [float(found.low), float(found.high)]


def mean_intervals(values: np.ndarray, seed: int) -> list[tuple[float | None, float | None]]:
    """95% percentile intervals of many means over the same prompts, which are resampled together.

    Args:
        values: [row, prompt].
        seed: of the resampling.

    Returns:
        Of each row; (None, None) for a single prompt.
    """
    rows, prompts = values.shape
    if prompts < 2:
        return [(None, None)] * rows
    counts = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / prompts), _RESAMPLES)
    low, high = np.quantile(counts @ values.T / prompts, (0.025, 0.975), axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))
