"""Does a neuron's activation predict a token? Probability and first choices by activation, with the causal effect.

Observations are put into bins of the activation. For each bin b with observations i:

    probability   mean of P(token | i)
    first         share of i at which the token is the model's first choice
    effect        mean of P(token | i) − P(token | i, neuron set): what the neuron's activation there is worth

Intervals are over texts, since neighbouring positions are not independent.

When this misleads: an activation that goes with a prediction need not make it: read `effect` beside `probability`. A
bin with few observations has a wide interval, one whose observations lie in fewer than four texts has none.

Source: Miller and Neo 2023, for activation against prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr

from wheatstone._errors import RequestError
from wheatstone._intervals import DIFFERENCE, SHARE, cluster_mean_interval
from wheatstone._view import Brief
from wheatstone.neurons._observed import Observations


class Estimate(NamedTuple):
    """A mean with its 95% interval, whose ends are None where the observations lie in fewer than four texts."""

    mean: float
    low: float | None
    high: float | None


class CalibrationBin(NamedTuple):
    """What happens where the activation is between two values.

    Args:
        low: least activation, included.
        high: largest, excluded (included in the last bin).
        places: observations.
        texts: that they lie in.
        activation: their mean.
        probability: of the token, mean.
        first: share at which it is the first choice.
        effect: probability that is lost when the neuron is set; None where no observation was run so.
    """

    low: float
    high: float
    places: int
    texts: int
    activation: float
    probability: Estimate
    first: Estimate
    effect: Estimate | None


@dataclass(frozen=True)
class Calibration(Brief):
    """A neuron's activation against a token's prediction.

    Args:
        bins: those with observations, by activation.
        places: observations in all.
        correlation: Spearman's, of activation and probability over all observations; NaN where one does not vary.
        base: mean probability over all observations.
    """

    bins: tuple[CalibrationBin, ...]
    places: int
    correlation: float
    base: float


def calibrate(seen: Observations, *, bins: int = 12, edges: Sequence[float] | None = None) -> Calibration:
    """Puts observations into bins.

    Args:
        seen: at least one observation.
        bins: of equal width, from the least to the largest activation.
        edges: the bins' ends, instead; what lies outside is left out.

    Raises:
        RequestError: no observation, or ends that do not rise.
    """
    activations = seen.activations.double().numpy()
    if not len(activations):
        raise RequestError(expected="at least one observation", got="none", do="give a text of a token or more")
    ends = np.histogram_bin_edges(activations, bins=bins) if edges is None else np.asarray(edges, dtype=float)
    if len(ends) < 2 or (np.diff(ends) <= 0).any():
        raise RequestError(expected="ends of bins that rise", got=str(list(ends)), do="sort them and leave doubles out")
    place = np.searchsorted(ends, activations, side="right") - 1
    place[activations == ends[-1]] = len(ends) - 2
    probabilities, first = seen.probabilities.double().numpy(), seen.first.numpy().astype(float)
    effects = probabilities - seen.changed.double().numpy()
    texts = np.unique(seen.texts.numpy(), return_inverse=True)[1]
    found: list[CalibrationBin] = []
    for at in range(len(ends) - 1):
        inside = place == at
        if not inside.any():
            continue
        measured = inside & ~np.isnan(effects)
        found.append(
            CalibrationBin(
                low=float(ends[at]),
                high=float(ends[at + 1]),
                places=int(inside.sum()),
                texts=len(np.unique(texts[inside])),
                activation=float(activations[inside].mean()),
                probability=_estimate(probabilities, inside, texts, SHARE),
                first=_estimate(first, inside, texts, SHARE),
                effect=_estimate(effects, measured, texts, DIFFERENCE) if measured.any() else None,
            )
        )
    varied = activations.min() < activations.max() and probabilities.min() < probabilities.max()
    correlation = float(spearmanr(activations, probabilities)[0]) if varied else float("nan")  # pyright: ignore[reportArgumentType]
    return Calibration(tuple(found), len(activations), correlation, float(probabilities.mean()))


def _estimate(
    values: Float[np.ndarray, " place"],
    inside: Bool[np.ndarray, " place"],
    texts: Int[np.ndarray, " place"],
    bounds: tuple[float, float],
) -> Estimate:
    """The mean of some values, and its interval over texts."""
    low, high = cluster_mean_interval(values[inside], texts[inside], bounds=bounds) or (None, None)
    return Estimate(float(values[inside].mean()), low, high)
