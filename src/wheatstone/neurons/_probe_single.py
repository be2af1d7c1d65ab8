"""Every neuron by itself as a detector of a concept, tested with documents kept apart and false discoveries controlled.

Whether a neuron's activations differ between rows with and without the concept is asked of ranks (Mann-Whitney), within
documents: with R the sum of the ranks of rows with the concept, under exchange of the labels inside each document

    z = (R − E R) / √Var R      E R = Σ m r̄     Var R = Σ m (n − m) s² / (n − 1)

summed over documents of n rows, m of them with the concept, r̄ and s² mean and variance of the ranks there (a stratified
test as van Elteren's, with ranks over all rows). Where the concept is a property of whole documents, such as their
language, most have one class only; then each document counts once, by its mean activation, and documents are exchanged.
p is two-sided from the normal distribution, q from Benjamini and Hochberg over the neurons of the layer.

When this misleads: inside a document neighbouring rows are alike, and exchange takes them for independent: q is
optimistic where one excerpt has many rows. With few documents the normal distribution is rough. A neuron that differs
need not be good at telling: that is its AUROC on held-out documents.

Source: van Elteren 1960; Benjamini and Hochberg 1995; Gurnee et al. 2023 (arXiv 2305.01610) for neurons as detectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import false_discovery_control, norm, rankdata

from wheatstone._view import Brief

LEVEL = 0.05
"""Share of false discoveries allowed."""
DETECTS = 0.75
"""AUROC on held-out documents from which a neuron counts as a detector."""


@dataclass(frozen=True, eq=False)
class NeuronTests(Brief):
    """All neurons of a layer against one concept.

    Args:
        z: of the ranks; positive where activations are higher with the concept.
        q: after Benjamini-Hochberg over the layer.
        auroc: on the training rows, above 0.5 where z may be positive.
        held_out: AUROC on the test rows.
    """

    z: Float[np.ndarray, " neuron"]
    q: Float[np.ndarray, " neuron"]
    auroc: Float[np.ndarray, " neuron"]
    held_out: Float[np.ndarray, " neuron"]

    @property
    def significant(self) -> Bool[np.ndarray, " neuron"]:
        """Which survive the control of false discoveries."""
        return self.q < LEVEL

    @property
    def detectors(self) -> Bool[np.ndarray, " neuron"]:
        """Which are significant and tell the concept on held-out documents, on the same side."""
        towards = np.where(self.auroc >= 0.5, self.held_out, 1 - self.held_out)
        return self.significant & (towards >= DETECTS)


def neuron_tests(
    x: Float[np.ndarray, "row neuron"],
    labels: Bool[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
    training: Bool[np.ndarray, " row"],
    testing: Bool[np.ndarray, " row"],
) -> NeuronTests:
    """Tests every neuron on the training rows and measures it on the test rows.

    Args:
        x: activations.
        labels: whether the concept is there.
        documents: that the rows are in.
        training: which rows are tested.
        testing: which rows the held-out AUROC is of.
    """
    ranks = np.asarray(rankdata(x[training], axis=0))
    y = labels[training]
    z = _z(x[training], ranks, y, np.unique(documents[training], return_inverse=True)[1])
    p = 2 * norm.sf(np.abs(z))
    held = np.asarray(rankdata(x[testing], axis=0))
    return NeuronTests(z, np.asarray(false_discovery_control(p)), _auroc(ranks, y), _auroc(held, labels[testing]))


def exchanged(
    labels: Bool[np.ndarray, " row"], documents: Int[np.ndarray, " row"], *, seed: int = 0
) -> Bool[np.ndarray, " row"]:
    """Labels shuffled as the test's null has it: inside documents, or among documents where most have one class.

    Args:
        labels: whether the concept is there.
        documents: that the rows are in.
        seed: of the shuffle.
    """
    draw, at = np.random.default_rng(seed), np.unique(documents, return_inverse=True)[1]
    n, m = np.bincount(at), np.bincount(at, weights=labels)
    if n[(m > 0) & (m < n)].sum() < n.sum() / 2:
        return draw.permutation(m > n / 2)[at]
    shuffled = labels.copy()
    for document in range(len(n)):
        shuffled[at == document] = draw.permutation(labels[at == document])
    return shuffled


def explained(activations: Float[np.ndarray, " row"], labels: Bool[np.ndarray, " row"], *, top: int = 50) -> float:
    """Share of a neuron's strongest activations that have the concept.

    Of activations that equal the weakest of these, each counts in part: none is chosen by where it is in the rows.

    Args:
        activations: of the neuron; times −1 for a neuron that signals the concept by negative activations.
        labels: whether the concept is there.
        top: how many are the strongest.
    """
    top = min(top, len(activations))
    last = np.sort(activations)[-top]
    above, level = activations > last, activations == last
    return float((labels[above].sum() + (top - above.sum()) * labels[level].mean()) / top)


def _auroc(ranks: Float[np.ndarray, "row neuron"], y: Bool[np.ndarray, " row"]) -> Float[np.ndarray, " neuron"]:
    positives = int(y.sum())
    return (ranks[y].sum(0) - positives * (positives + 1) / 2) / (positives * (len(y) - positives))


def _z(
    x: Float[np.ndarray, "row neuron"],
    ranks: Float[np.ndarray, "row neuron"],
    y: Bool[np.ndarray, " row"],
    documents: Int[np.ndarray, " row"],
) -> Float[np.ndarray, " neuron"]:
    n, m = np.bincount(documents), np.bincount(documents, weights=y)
    mixed = (m > 0) & (m < n)
    if n[mixed].sum() < n.sum() / 2:
        means = _sums(x, documents) / n[:, None]
        ranks, y = np.asarray(rankdata(means, axis=0)), m > n / 2
        documents = np.zeros(len(n), dtype=np.int64)
        n, m = np.bincount(documents), np.bincount(documents, weights=y)
    mean = _sums(ranks, documents) / n[:, None]
    squares = _sums((ranks - mean[documents]) ** 2, documents)
    share = np.where(n > 1, m * (n - m) / (n * np.maximum(n - 1, 1)), 0)
    variance = share @ squares
    excess = ranks[y].sum(0) - m @ mean
    return np.where(variance > 0, excess / np.sqrt(np.where(variance > 0, variance, 1)), 0)


def _sums(
    values: Float[np.ndarray, "row neuron"], groups: Int[np.ndarray, " row"]
) -> Float[np.ndarray, "group neuron"]:
    """Sums of rows by group."""
    order = np.argsort(groups, kind="stable")
    return np.add.reduceat(values[order], np.flatnonzero(np.r_[True, np.diff(groups[order]) > 0]), axis=0)
