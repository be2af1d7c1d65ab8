"""Random circuits, which any circuit must be compared with."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone.models import Graph


def random_circuits(graph: Graph, size: int, draws: int, seed: int) -> Bool[Tensor, "circuit channel node"]:
    """Circuits of `size` edges drawn evenly from the graph."""
    generator = torch.Generator().manual_seed(seed)
    valid = torch.from_numpy(graph.valid).flatten().nonzero()[:, 0]
    keep = torch.zeros(draws, graph.valid.size, dtype=torch.bool)
    for row in keep:
        row[valid[torch.randperm(len(valid), generator=generator)[:size]]] = True
    return keep.unflatten(1, graph.valid.shape)
