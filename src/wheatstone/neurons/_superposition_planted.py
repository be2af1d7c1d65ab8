"""A model in which superposition is known: more features than dimensions, trained on the spot.

    x̂ = ReLU(Wᵀ W x + b)        W of m dimensions by n features, n > m
    loss = Σ_i I_i (x_i − x̂_i)²        I_i = decay^i, the importance of feature i

Each feature is 0 with probability 1 − density, and else uniform in [0, 1]. Dense features cannot share dimensions: the
m most important have one each and the others are given up. Sparse ones can: many more than m are kept, in directions
that interfere. Whether features are found there in the way they are found in language models can be said: the same mean
differences and AUROC are taken from the hidden activations W x and compared with W itself.

Source: Elhage et al. 2022, "Toy Models of Superposition", section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.neurons._probe_single import DETECTS
from wheatstone.neurons._superposition import cosines

_BATCH, _STEPS, _RATE = 256, 1000, 2e-2
_SAMPLES = 10_000
_KEPT = 0.5
"""Length of its column of W from which a feature counts as kept."""


@dataclass(frozen=True, eq=False)
class Planted(Brief):
    """A trained toy model.

    Args:
        weights: W.
        bias: b.
        density: probability that a feature is there.
    """

    weights: Float[Tensor, "m n"]
    bias: Float[Tensor, " n"]
    density: float

    @property
    def kept(self) -> tuple[int, ...]:
        """Features that the model represents: columns of W longer than a half."""
        return tuple(torch.nonzero(self.weights.norm(dim=0) > _KEPT).flatten().tolist())


@dataclass(frozen=True, eq=False)
class Found(Brief):
    """What probes of the hidden activations find.

    Args:
        features: that can be detected on held-out samples, AUROC of 0.75 or more.
        aurocs: of every feature.
        cosines: of the found features' directions.
        known: cosines of the same features' columns of W.
    """

    features: tuple[int, ...]
    aurocs: Float[np.ndarray, " n"]
    cosines: Float[np.ndarray, "found found"]
    known: Float[np.ndarray, "found found"]


def train_planted(
    *, features: int = 20, dimensions: int = 5, density: float, decay: float = 0.7, seed: int = 0
) -> Planted:
    """Trains the toy model, in about a second.

    Args:
        features: n.
        dimensions: m.
        density: probability that a feature is there; 1 for dense features.
        decay: importance of each feature as a share of the one before.
        seed: of weights and samples.
    """
    draw = torch.Generator().manual_seed(seed)
    weights = (torch.randn(dimensions, features, generator=draw) * dimensions**-0.5).requires_grad_()
    bias = torch.zeros(features, requires_grad=True)
    importance = decay ** torch.arange(features)
    adam = torch.optim.Adam([weights, bias], lr=_RATE)
    with torch.enable_grad():
        for step in range(_STEPS):
            adam.param_groups[0]["lr"] = _RATE * (1 - step / _STEPS)
            x = _samples(_BATCH, features, density, draw)
            loss = (importance * (x - torch.relu(x @ weights.T @ weights + bias)) ** 2).sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
    return Planted(weights.detach(), bias.detach(), density)


def find_planted(model: Planted, *, seed: int = 1) -> Found:
    """Looks for the features in the hidden activations, as probes do: mean differences, judged on held-out samples.

    A feature counts as there where it is above a half.

    Args:
        model: the toy model.
        seed: of the samples.
    """
    x = _samples(_SAMPLES, model.weights.shape[1], model.density, torch.Generator().manual_seed(seed))
    hidden, there = (x @ model.weights.T).double().numpy(), (x > 0.5).numpy()
    half = _SAMPLES // 2
    directions = np.stack([hidden[:half][y].mean(0) - hidden[:half][~y].mean(0) for y in there[:half].T])
    ranks = np.asarray(rankdata(hidden[half:] @ directions.T, axis=0))
    positives = there[half:].sum(0)
    aurocs = ((ranks * there[half:]).sum(0) - positives * (positives + 1) / 2) / (positives * (half - positives))
    found = np.flatnonzero(aurocs >= DETECTS)
    columns = model.weights.T.double().numpy()
    return Found(tuple(found.tolist()), aurocs, cosines(directions[found]), cosines(columns[found]))


def _samples(count: int, features: int, density: float, draw: torch.Generator) -> Float[Tensor, "count n"]:
    there = torch.rand(count, features, generator=draw) < density
    return torch.rand(count, features, generator=draw) * there
