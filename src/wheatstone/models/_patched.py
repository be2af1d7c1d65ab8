"""Runs in which one node's output is changed: many nodes in one pass, each run starting where its node writes.

Changing what a node writes is changing the residual stream at that place; before it, every run is the plain one.
So run i reads, at the place where its node writes,

    plain stream + change[i]

and is computed from there on. Runs of nearby nodes go together. What is changed at some position changes nothing at
earlier ones: there every run is the plain one, and gives no more than keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models._block import QKV
from wheatstone.models._decoder import Decoder
from wheatstone.models._graph import Graph
from wheatstone.models._streams import Streams


@torch.no_grad()
def patched_logits(
    model: Decoder, plain: Streams, nodes: Sequence[int], changes: Float[Tensor, "patch batch pos d_model"]
) -> Float[Tensor, "patch batch vocab"]:
    """Logits at each prompt's last position with changed node outputs.

    Args:
        model: the model.
        plain: its plain run.
        nodes: whose output is changed in each run. Neighbours in the graph make the fewest layers to compute.
        changes: what is added to what that node writes.
    """
    graph = model.graph
    shape = changes.shape[:2]
    writes_at = torch.tensor([_place(graph, node) for node in nodes])
    first = int(writes_at.min())
    changed = changes.flatten(0, 1).any(-1).any(0).nonzero()
    start = int(changed[0]) if len(changed) else plain.tokens.width - 1

    def arrive(place: int, x: Tensor) -> Tensor:
        """Sets the runs that begin here on their way."""
        begin = writes_at == place
        if begin.any():
            x = x.unflatten(0, shape).clone()
            x[begin] = (plain.stream[place][:, start:] + changes[begin][:, :, start:]).to(x.device)
            x = x.flatten(0, 1)
        return x

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        if index == 0:
            x = arrive(0, x[:, start:])
        if first > 2 * index + 2:
            return x
        # Where no run has begun yet, x is the embedding: what is made of it, `arrive` writes over.
        middle = x
        if first <= 2 * index:
            qkv = block.qkv(block.attention_norm(x))
            if start:
                before = block.qkv(block.attention_norm(plain.stream[2 * index][:, :start].to(x.device)))
                both = zip(before, qkv, strict=True)
                qkv = QKV(*(torch.cat((part.repeat(shape[0], 1, 1, 1), own), dim=1) for part, own in both))
            middle = x + block.attention_output(block.attend(qkv, call)[:, start:].contiguous())
        middle = arrive(2 * index + 1, middle)
        if first <= 2 * index + 1:
            middle = middle + block.mlp_output(block.mlp_norm(x if graph.parallel else middle))
        x = arrive(2 * index + 2, middle)
        if index < graph.layers - 1:
            return x
        return torch.cat((plain.stream[-1][:, :start].repeat(shape[0], 1, 1).to(x.device), x), dim=1)

    return model.run(plain.tokens.repeat(len(changes)), layer).unflatten(0, shape)


def _place(graph: Graph, node: int) -> int:
    """Where a node's output is first part of a stream that is read; counted as in `Streams.stream`."""
    if node == 0:
        return 0
    layer, inner = graph.place(node)
    return 2 * layer + (2 if graph.parallel or inner >= graph.heads else 1)
