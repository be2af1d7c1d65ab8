"""Interference between features: how far the directions that represent them are from orthogonal.

A space of d dimensions holds d directions without interference. Features in superposition share it: their directions
have cosines away from 0 by more than chance, and reading one picks up some of another. Chance is not 0 either:

* random directions of the same space (or of the same space written through the same matrix) have cosines of about
  1/√d, more where the matrix is far from a rotation;
* directions of the same kind found with shuffled labels lie where activations vary most, and so have larger ones.

The cosine of two features is shown with the 95% quantile of |cosine| under such a null.

When this misleads: features that occur together, or exclude each other as labels do (-ing against -ed), have cosines
away from 0 because the data are so, without superposition. Only a planted model knows the features; see
`train_planted`.

Source: Elhage et al. 2022, "Toy Models of Superposition"; Gurnee et al. 2023 (arXiv 2305.01610), section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from wheatstone._view import Brief

_QUANTILE = 0.95


@dataclass(frozen=True, eq=False)
class Interference(Brief):
    """Cosines of all pairs of features.

    Args:
        names: of the features.
        cosines: of each pair.
        null: |cosine| that 5% of pairs of the null's directions exceed.
    """

    names: tuple[str, ...]
    cosines: Float[np.ndarray, "feature feature"]
    null: float

    @property
    def beyond(self) -> float:
        """Share of pairs with a larger |cosine| than the null's; 0.05 by chance."""
        return float((_pairs(self.cosines) > self.null).mean())


def interference(
    names: Sequence[str], directions: Float[np.ndarray, "feature d"], null: Float[np.ndarray, "draw other"]
) -> Interference:
    """Compares features' directions with random directions.

    Args:
        names: of the features, two or more.
        directions: of the features.
        null: the others, three or more; usually of the same space.
    """
    return Interference(tuple(names), cosines(directions), float(np.quantile(_pairs(cosines(null)), _QUANTILE)))


def random_directions(
    d: int, *, draws: int = 64, seed: int = 0, written: Float[np.ndarray, "d out"] | None = None
) -> Float[np.ndarray, "draw out"]:
    """Directions without preference, as the null.

    Args:
        d: dimensions.
        draws: how many.
        seed: of the draw.
        written: what they are multiplied with, such as a layer's output weights.
    """
    drawn = np.random.default_rng(seed).normal(size=(draws, d))
    return drawn if written is None else drawn @ written


def cosines(directions: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Cosines of all pairs; 0 with a direction of length 0."""
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    units = np.where(lengths > 0, directions / np.where(lengths > 0, lengths, 1), 0).astype(float)
    return units @ units.T


def _pairs(values: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " pair"]:
    return np.abs(values[np.triu_indices(len(values), 1)])
