"""Scores and faithfulness over any number of prompts, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mib_parts.areas import Areas, areas
from mib_parts.choose import top
from wheatstone import Experiment, PromptPair
from wheatstone.discovery import attribute
from wheatstone.models import Graph, ResidualModel

_MOST = 32
"""Prompts of one experiment."""


@dataclass(frozen=True)
class Curve:
    """What MIB's evaluation gives for one way of choosing edges.

    Args:
        edges: of each circuit after pruning, what does not lie between input and logits left out.
        faithfulness: of each circuit.
    """

    edges: tuple[int, ...]
    faithfulness: tuple[float, ...]

    def areas(self, *, log: bool = False) -> Areas:
        """CPR and CMD."""
        return areas(self.faithfulness, log=log)


def _experiments(model: ResidualModel, pairs: Sequence[PromptPair]) -> Iterator[Experiment]:
    for first in range(0, len(pairs), _MOST):
        yield Experiment(model, pairs[first : first + _MOST], allow_weak=True)


def scores(
    model: ResidualModel, pairs: Sequence[PromptPair], method: str, *, steps: int | None = None
) -> Float[Tensor, "channel node"]:
    """A score for every edge, averaged over the prompts.

    Args:
        model: the model.
        pairs: the prompts.
        method: a scoring method; one that learns, such as `edge-pruning`, learns from each 32 prompts alone.
        steps: of the method.
    """
    total = torch.zeros(model.graph.valid.shape)
    for experiment in _experiments(model, pairs):
        total += attribute(experiment, method=method, steps=steps).values * (
            experiment.encoded.clean.batch / len(pairs)
        )
    return total


def faithfulness(
    model: ResidualModel, pairs: Sequence[PromptPair], keep: Bool[Tensor, "circuit channel node"]
) -> list[float]:
    """Of each circuit, every metric averaged over all prompts before dividing, as MIB does."""
    circuit, clean, corrupt = torch.zeros(len(keep), dtype=torch.float64), 0.0, 0.0
    for experiment in _experiments(model, pairs):
        circuit += experiment.values(keep).double().sum(-1).cpu()
        clean += float(experiment.clean.double().sum())
        corrupt += float(experiment.corrupt.double().sum())
    return ((circuit - corrupt) / (clean - corrupt)).tolist()


def curves(
    model: ResidualModel, pairs: Sequence[PromptPair], values: Float[Tensor, "channel node"]
) -> dict[str, Curve]:
    """The curves along a ranking: by `score`, of which MIB reports the CPR, and by `size` of the score, the CMD."""
    graph = model.graph
    keep = {name: top(graph, values, absolute=name == "size") for name in ("score", "size")}
    found = faithfulness(model, pairs, torch.cat(list(keep.values())))
    half = len(found) // 2
    return {
        name: Curve(tuple(counted(graph, mask) for mask in masks), tuple(part))
        for (name, masks), part in zip(keep.items(), (found[:half], found[half:]), strict=True)
    }


def counted(graph: Graph, keep: Bool[Tensor, "channel node"]) -> int:
    """Edges of a circuit as MIB counts them: those on a path from input to logits."""
    return int(graph.working_edges(keep.numpy()).sum())
