"""Every method as an order of all edges, with the circuit that it finds for a goal: what `quality.py` measures.

A method that only ranks gives the smallest circuit along its ranking that meets the goal. `verified` and `acdc` give a
circuit, and their order is its edges first, by exact effect where they have one, then all others by EAP-IG. ACDC's
threshold does not say what circuit comes of it: it is looked for by bisection in a few whole runs, and the smallest
circuit that meets the goal counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import wheatstone as ws
from wheatstone.discovery import AcdcResult, DiscoverySettings, EdgeScores, acdc, attribute, discover_in

GOAL = 0.9
"""A circuit meets it within 1 ± (1 − GOAL), as in the search."""
FIRST, APART = 0.06, 2.0
"""ACDC's first threshold, as a share of the metric's gap, and the factor to the next until one side is found."""


@dataclass(frozen=True)
class Ranked:
    """What a method made of some training prompts.

    Args:
        scores: the order of all edges.
        edges: of its circuit; None where none met the goal.
        faithfulness: of that circuit.
        threshold: of `acdc`, in the metric's units.
    """

    scores: EdgeScores
    edges: int | None
    faithfulness: float
    threshold: float | None = None


def ranked(experiment: ws.Experiment, method: str, seed: int, runs: int) -> Ranked:
    """Ranks all edges.

    Args:
        experiment: the training prompts.
        method: `verified`, `acdc` or a scoring method.
        seed: of what is drawn.
        runs: of `acdc`, one threshold each.
    """
    if method == "acdc":
        return _fitted(experiment, runs)
    found = discover_in(experiment, DiscoverySettings(GOAL, method=method, seed=seed), curve=False)
    assert found.circuit.evaluation is not None
    scores = found.scores
    if method == "verified":
        scores = _first(scores, found.circuit.mask(), torch.tensor(found.circuit.effects).abs())
    return Ranked(scores, len(found.circuit), found.circuit.evaluation.faithfulness)


def _fitted(experiment: ws.Experiment, runs: int) -> Ranked:
    """ACDC at the thresholds of a bisection; the smallest circuit that meets the goal."""
    gap = abs(float(experiment.clean.mean() - experiment.corrupt.mean()))
    met: list[tuple[float, AcdcResult]] = []
    missed: list[float] = []
    threshold = FIRST * gap
    for _ in range(runs):
        found = acdc(experiment, threshold)
        print(f"  τ {threshold:.4f}: {int(found.keep.sum()):,} edges, f {found.faithfulness:.3f}", flush=True)
        if abs(1 - found.faithfulness) <= 1 - GOAL:
            met.append((threshold, found))
            above = [tau for tau in missed if tau > threshold]
            threshold = (threshold * min(above)) ** 0.5 if above else threshold * APART
        else:
            missed.append(threshold)
            below = [tau for tau, _ in met if tau < threshold]
            threshold = (threshold * max(below)) ** 0.5 if below else threshold / APART
    scores = attribute(experiment)
    if not met:
        return Ranked(scores, None, float("nan"))
    tau, best = min(met, key=lambda item: int(item[1].keep.sum()))
    return Ranked(
        _first(scores, best.keep, scores.values[best.keep].abs()), int(best.keep.sum()), best.faithfulness, tau
    )


def _first(scores: EdgeScores, keep: Tensor, weights: Tensor) -> EdgeScores:
    """A circuit's edges before all others."""
    values = scores.values.abs() / (1 + scores.values.abs().max())
    values[keep] = 1 + weights.to(values.dtype)
    return EdgeScores(scores.graph, values, scores.method, scores.steps)
