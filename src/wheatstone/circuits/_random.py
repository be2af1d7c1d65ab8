"""Random circuits, which any circuit must be compared with."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._bounds import DRAWS
from wheatstone._errors import CircuitError
from wheatstone.models import Graph, SpannedGraph


def random_circuits(graph: Graph, size: int, draws: int, seed: int) -> Bool[Tensor, "circuit channel node"]:
    """Circuits of `size` edges drawn evenly from the graph."""
    DRAWS.check("a number of random circuits", draws)
    generator = torch.Generator().manual_seed(seed)
    valid = torch.from_numpy(graph.valid).flatten().nonzero()[:, 0]
    keep = torch.zeros(draws, graph.valid.size, dtype=torch.bool)
    for row in keep:
        row[valid[torch.randperm(len(valid), generator=generator)[:size]]] = True
    return keep.unflatten(1, graph.valid.shape)


def exchanged_heads(
    graph: Graph, keep: Bool[Tensor, "channel node"], draws: int, seed: int
) -> Bool[Tensor, "circuit channel node"]:
    """Copies of a circuit in which the heads of each layer have changed places: the same wiring between other heads.

    A KV group goes as a whole, its heads in any order, so that keys and values stay with the heads that read them.
    Size, depth, input, MLPs and the way edges hang together are the circuit's own: a harder control than edges drawn
    evenly, which rarely join input and logits at all.

    Args:
        graph: of the circuit.
        keep: the circuit.
        draws: how many copies.
        seed: of the draws.

    Raises:
        CircuitError: edges are distinguished by position.

    When this misleads: MLPs stay in place, so that what they do alone is in the copies too. With few heads, a copy
    has many of the circuit's own edges.
    """
    if isinstance(graph, SpannedGraph):
        raise CircuitError(
            expected="a circuit whose edges are kept at all positions",
            got="a circuit whose edges are distinguished by position",
            do="find it without positions",
        )
    generator = torch.Generator().manual_seed(seed)
    each = graph.heads // graph.kv_groups
    copies: list[Tensor] = []
    for _ in range(draws):
        nodes, channels = torch.arange(len(graph.nodes)), torch.arange(len(graph.channels))
        for layer in range(graph.layers):
            groups = torch.randperm(graph.kv_groups, generator=generator)
            inside = torch.stack([torch.randperm(each, generator=generator) for _ in range(graph.kv_groups)])
            heads = (groups[:, None] * each + inside).flatten()
            start = graph.attention_channels(layer).start
            nodes[graph.head_nodes(layer)] = graph.head_nodes(layer).start + heads
            order = torch.cat((heads, graph.heads + groups, graph.heads + graph.kv_groups + groups))
            channels[graph.attention_channels(layer)] = start + order
        copies.append(keep[channels][:, nodes])
    return torch.stack(copies)
