"""The exact effect of single edges: what a circuit loses without one of them, with an interval over prompts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wheatstone.circuits import Experiment
from wheatstone.verification._card import Estimate
from wheatstone.verification._carried import carried, carried_without, ratio_estimate


def exact_effects(
    experiments: Iterable[Experiment],
    keep: Bool[Tensor, "channel node"],
    edges: Int[Tensor, "edge 2"],
    *,
    complete: bool = False,
) -> list[Estimate]:
    """Removes edges from a circuit, one at a time.

    Args:
        experiments: with the prompts, see `Experiment.over`.
        keep: the circuit.
        edges: (channel, node) of edges of the circuit.
        complete: whether the circuit is judged by what is lost without it.

    Returns:
        Of each edge the share of the behaviour that the circuit loses without it, (circuit − circuit without the edge)
        / (model − empty), each averaged over prompts before dividing.

    When this misleads: effects of single edges do not add up, and an edge with a backup has none.
    """
    if complete:
        without = keep.repeat(len(edges) + 1, 1, 1)
        without[torch.arange(1, len(edges) + 1), edges[:, 0], edges[:, 1]] = False
        found = carried(experiments, without, complete=True)
    else:
        found = carried_without(experiments, keep, edges)
    lost = found.part[:1] - found.part[1:]
    return [ratio_estimate(row, found.whole) for row in lost]
