"""Faithfulness by size: how much of the behaviour the first N edges of a ranking keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment, random_circuits
from wheatstone.discovery._scores import EdgeScores
from wheatstone.tasks import METRICS, hits

_BATCH = 16


@dataclass(frozen=True)
class CurvePoint:
    """One circuit of a curve.

    Args:
        size: edges.
        kind: `ranking` (the highest-ranked edges), `complement` (all edges but these) or `random` (as many edges,
            drawn evenly).
        draw: which random draw; 0 for a ranking.
        faithfulness: of the metric, mean over prompts before dividing.
        kl: KL(model ‖ circuit) of the next token, nats, mean over prompts.
        hit_at_1: share of prompts whose top token is an answer.
    """

    size: int
    kind: str
    draw: int
    faithfulness: float
    kl: float
    hit_at_1: float


def default_sizes(edges: int, *, steps: Sequence[int] = (1, 2, 5)) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50 … up to the whole graph; `steps` are the sizes of a decade."""
    return (*(m * 10**p for p in range(9) for m in steps if m * 10**p < edges), edges)


def size_curve(
    experiment: Experiment,
    scores: EdgeScores,
    *,
    sizes: Sequence[int] | None = None,
    draws: int = 3,
    seed: int = 0,
    report: Reporter = silent,
) -> tuple[CurvePoint, ...]:
    """Evaluates circuits of many sizes along a ranking, what is left without them, and random circuits of their sizes.

    Args:
        experiment: model, prompts, ablation and metric.
        scores: the ranking.
        sizes: edges of each circuit; by default 1, 2, 5, 10 … all.
        draws: random circuits per size.
        seed: of the draws.
        report: progress callback.
    """
    sizes = default_sizes(experiment.graph.edges) if sizes is None else sizes
    todo = [(size, kind, 0) for kind in ("ranking", "complement") for size in sizes]
    todo += [(size, "random", draw) for draw in range(draws) for size in sizes if size < experiment.graph.edges]
    points: list[CurvePoint] = []
    for first in range(0, len(todo), _BATCH):
        report("size curve", first, len(todo))
        batch = todo[first : first + _BATCH]
        keep = torch.stack([_circuit(scores, *row, seed) for row in batch])
        logits = experiment.logits(keep)
        columns = (
            experiment.faithfulness_of(experiment.values_of(logits)),
            METRICS["kl"](logits, experiment.targets).mean(-1),
            hits(logits, experiment.encoded, 1).mean(-1),
        )
        points += [
            CurvePoint(*row, *values)
            for row, values in zip(batch, zip(*(c.tolist() for c in columns), strict=True), strict=True)
        ]
    report("size curve", len(todo), len(todo))
    return tuple(points)


def _circuit(scores: EdgeScores, size: int, kind: str, draw: int, seed: int) -> Bool[Tensor, "channel node"]:
    if kind == "random":
        return random_circuits(scores.graph, size, 1, seed + draw * 1_000_003 + size)[0]
    (top,) = scores.top([size])
    return top if kind == "ranking" else torch.from_numpy(scores.graph.valid) & ~top
