"""Sparse probes: linear classifiers that read a concept off a few neurons of one layer.

Activations are standardised by the training rows, z = (a − mean) / std, and a probe is

    decision = b + Σ over k neurons of w · z        yes where it is above 0

with w and b of a logistic regression with a ridge (C = 1), classes weighted to be equal. A probe of one neuron is a
side and a threshold, the one of the best F1 on the training rows, whichever method chose the neuron: so one neuron has
one F1. The methods differ in how the k neurons are chosen:

    ranking   the k with the largest |mean z with the concept − mean z without|
    l1        those that a lasso-penalised logistic regression leaves, along its path; then fitted again without lasso
    pursuit   one at a time, the neuron on which the loss of the probe so far has the steepest slope: a greedy stand-in
              for the best k-subset (L0), which cannot be searched

When this misleads: the k best found are not the k best there are. Neurons that go together are interchangeable, and
which of them a method takes is chance.

Source: Gurnee, Nanda, Pauly, Harvey, Troitskii and Bertsimas 2023, "Finding Neurons in a Haystack: Case Studies with
Sparse Probing" (arXiv 2305.01610), section 3 and appendix A; our pursuit replaces their optimal sparse probing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

from wheatstone._view import Brief

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Neurons of the probes."""
_PATH = tuple(float(value) for value in np.geomspace(3e-3, 1, 8))
"""C of the lasso, strongest penalty first."""


@dataclass(frozen=True, eq=False)
class Probe(Brief):
    """A linear classifier on a few neurons of a layer.

    Args:
        neurons: which; the strongest reason to choose first.
        weights: per standard deviation of each neuron.
        bias: added to all.
    """

    neurons: Int[np.ndarray, " k"]
    weights: Float[np.ndarray, " k"]
    bias: float

    def decisions(self, z: Float[np.ndarray, "row neuron"]) -> Float[np.ndarray, " row"]:
        """Its decision values on standardised activations."""
        return z[:, self.neurons] @ self.weights + self.bias


def standardised(
    x: Float[np.ndarray, "row neuron"], training: Bool[np.ndarray, " row"]
) -> Float[np.ndarray, "row neuron"]:
    """(x − mean) / std by the training rows; 0 where a neuron does not vary there."""
    mean, std = x[training].mean(0), x[training].std(0)
    return np.where(std > 0, (x - mean) / np.where(std > 0, std, 1), 0)


def differences(z: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"]) -> Float[np.ndarray, " neuron"]:
    """Mean with the concept less mean without, in standard deviations."""
    return z[y].mean(0) - z[~y].mean(0)


def fit_on(z: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"], neurons: Int[np.ndarray, " k"]) -> Probe:
    """The probe on given neurons: a threshold on one, a logistic regression on several.

    Args:
        z: training rows.
        y: their labels, of both classes.
        neurons: which.
    """
    if len(neurons) > 1:
        return _regression(z, y, neurons)
    sign, threshold = fit_threshold(z[:, neurons[0]], y)
    return Probe(neurons, np.array([sign]), -threshold)


def _regression(
    z: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"], neurons: Int[np.ndarray, " k"]
) -> Probe:
    from sklearn.linear_model import LogisticRegression  # takes as long to import as the rest of the room

    found = LogisticRegression(class_weight="balanced", max_iter=500).fit(z[:, neurons], y)
    return Probe(neurons, found.coef_[0].astype(float), float(found.intercept_[0]))


def probes_by_ranking(
    z: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"], sizes: Sequence[int] = SIZES
) -> list[Probe]:
    """Probes on the neurons whose means differ most; sizes above the number of neurons are left out."""
    order = np.argsort(-np.abs(differences(z, y)), kind="stable")
    return [fit_on(z, y, order[:size]) for size in sizes if size <= len(order)]


def probes_by_l1(
    z: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"], path: Sequence[float] = _PATH
) -> list[Probe]:
    """Probes on the neurons that a lasso leaves, one for each number of neurons up to 128 along the path.

    Args:
        z: training rows.
        y: their labels.
        path: inverse strengths C of the penalty, scikit-learn's, strongest penalty first.
    """
    from sklearn.linear_model import LogisticRegression

    found: dict[int, Probe] = {}
    for strength in path:
        # liblinear would penalise the intercept like a weight; 10 keeps that small.
        lasso = LogisticRegression(
            l1_ratio=1, solver="liblinear", C=strength, class_weight="balanced", intercept_scaling=10, random_state=0
        )
        weights = lasso.fit(z, y).coef_[0]
        kept = np.flatnonzero(weights)
        if len(kept) > SIZES[-1]:
            break
        if len(kept) and len(kept) not in found:
            found[len(kept)] = fit_on(z, y, kept[np.argsort(-np.abs(weights[kept]), kind="stable")])
    return [found[size] for size in sorted(found)]


def probes_by_pursuit(z: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"], most: int = 16) -> list[Probe]:
    """Probes of 1, 2, … neurons, each the last one with the neuron of the steepest slope added, fitted again.

    Args:
        z: training rows.
        y: their labels.
        most: neurons of the largest.
    """
    balance = np.where(y, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    decisions, chosen = np.zeros(len(y)), list[int]()
    probes: list[Probe] = []
    for _ in range(min(most, z.shape[1])):
        slopes = np.abs((balance * (y - expit(decisions))) @ z)
        slopes[chosen] = -1
        chosen.append(int(slopes.argmax()))
        probes.append(fit_on(z, y, np.array(chosen)))
        decisions = _regression(z, y, np.array(chosen)).decisions(z)  # also of one neuron: the loss needs log odds
    return probes


def fit_threshold(z: Float[np.ndarray, " row"], y: Bool[np.ndarray, " row"]) -> tuple[float, float]:
    """The threshold on a single neuron with the best F1 on the training rows, and which side of it says yes.

    Returns:
        sign and threshold: yes where sign · z > threshold. The sign is that of the difference in means.
    """
    sign = 1.0 if z[y].mean() >= z[~y].mean() else -1.0
    order = np.argsort(-sign * z, kind="stable")
    values, hits = sign * z[order], np.cumsum(y[order])
    f1s = 2 * hits / (np.arange(1, len(y) + 1) + y.sum())
    ends = np.r_[values[1:] < values[:-1], True]  # a threshold cannot part equal values
    best = int(np.where(ends, f1s, -1).argmax())
    after = values[best + 1] if best + 1 < len(values) else values[best] - 1
    middle = float((values[best] + after) / 2)
    return sign, middle if middle < values[best] else float(after)  # between neighbouring floats there is none
