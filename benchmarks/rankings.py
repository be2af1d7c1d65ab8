"""Every method as an order of all edges, with the circuit that it finds for a goal: what `quality.py` measures.

A method that only ranks gives the smallest circuit along its ranking that meets the goal. `verified` and `acdc` give a
circuit, and their order is its edges first, by exact effect where they have one, then all others by EAP-IG. ACDC has no
goal but a threshold, here a share of the metric's gap between the model and the ablated model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import wheatstone as ws
from wheatstone.discovery import DiscoverySettings, EdgeScores, acdc, attribute, discover_in

GOAL = 0.9
"""A circuit meets it within 1 ± (1 − GOAL), as in the search."""


@dataclass(frozen=True)
class Ranked:
    """What a method made of some training prompts.

    Args:
        scores: the order of all edges.
        edges: of its circuit.
        faithfulness: of that circuit.
        threshold: of `acdc`, in the metric's units.
    """

    scores: EdgeScores
    edges: int
    faithfulness: float
    threshold: float | None = None


def ranked(experiment: ws.Experiment, method: str, *, seed: int, goal: float, share: float) -> Ranked:
    """Ranks all edges.

    Args:
        experiment: the training prompts.
        method: `verified`, `acdc` or a scoring method.
        seed: of what is drawn.
        goal: faithfulness to reach; `acdc` has none.
        share: of the gap, ACDC's threshold.
    """
    if method == "acdc":
        threshold = share * abs(float(experiment.clean.mean() - experiment.corrupt.mean()))
        kept, scores = acdc(experiment, threshold), attribute(experiment)
        scores = _first(scores, kept.keep, scores.values[kept.keep].abs())
        return Ranked(scores, int(kept.keep.sum()), kept.faithfulness, threshold)
    found = discover_in(experiment, DiscoverySettings(goal, method=method, seed=seed), curve=False)
    assert found.circuit.evaluation is not None
    scores = found.scores
    if method == "verified":
        scores = _first(scores, found.circuit.mask(), torch.tensor(found.circuit.effects).abs())
    return Ranked(scores, len(found.circuit), found.circuit.evaluation.faithfulness)


def _first(scores: EdgeScores, keep: Tensor, weights: Tensor) -> EdgeScores:
    """A circuit's edges before all others."""
    values = scores.values.abs() / (1 + scores.values.abs().max())
    values[keep] = 1 + weights.to(values.dtype)
    return EdgeScores(scores.graph, values, scores.method, scores.steps)
