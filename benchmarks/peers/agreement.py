"""Whether a peer's edge scores are ours, where they are defined alike.

A peer keeps an edge into the key and value of every query head, Wheatstone one into the KV group that they share: a
group's score is the sum over its heads, since each head's copy of the input takes its own part of the gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy.stats import spearmanr

from wheatstone.circuits._interop import _own_name
from wheatstone.models import Graph

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Agreement:
    """Two sets of scores of the same edges.

    Args:
        edges: compared.
        rank: Spearman's correlation of the signed scores.
        factor: least-squares `peer = factor x ours`.
        residual: largest difference from that line, over the largest peer's score.
    """

    edges: int
    rank: float
    factor: float
    residual: float


def by_group(scores: Scores, graph: Graph) -> dict[str, float]:
    """A peer's scores on Wheatstone's edges."""
    own: dict[str, float] = {}
    for name, value in scores.items():
        sender, receiver = name.split("->")
        edge = f"{sender}->{_own_name(graph, receiver)}"
        own[edge] = own.get(edge, 0.0) + value
    return own


def on_the_papers_points(left: Scores, at_corrupt: Scores, at_clean: Scores, steps: int) -> dict[str, float]:
    """EAP-IG at k/m for k = 1 … m, as published, out of the same peer's scores at k = 0 … m − 1.

    Args:
        left: its mean over k = 0 … m − 1.
        at_corrupt: its score with the gradient on the corrupt prompt alone (k = 0): its EAP-IG of one step.
        at_clean: with the gradient on the clean prompt (k = m): its EAP.
        steps: m.
    """
    return {edge: left[edge] + (at_clean[edge] - at_corrupt[edge]) / steps for edge in left}


def agreement(ours: Scores, theirs: Scores) -> Agreement:
    """Compares; both must name the same edges."""
    assert ours.keys() == theirs.keys(), sorted(ours.keys() ^ theirs.keys())[:5]
    a, b = (np.array([scores[edge] for edge in ours]) for scores in (ours, theirs))
    factor = float(a @ b / (a @ a))
    residual = float(np.abs(b - factor * a).max() / np.abs(b).max())
    rank, _ = cast(tuple[float, float], spearmanr(a, b))
    return Agreement(len(a), rank, factor, residual)
