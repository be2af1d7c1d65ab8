"""A plain run's residual stream at every place where it changes: where runs of patched models leave from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models._decoder import Decoder
from wheatstone.models._tokens import Tokens


@dataclass(frozen=True, eq=False, repr=False)
class Streams(Brief):
    """What a plain run wrote, and what it had added up to.

    Args:
        tokens: the prompts.
        nodes: what each node writes.
        stream: the residual stream of the input alone, then after each layer's attention and after each layer:
            entry 2·layer is what the layer reads, 2·layer + 1 what it has after its attention.

    Memory: pos · d_model · (nodes + 2 layers + 1) numbers a prompt.
    """

    tokens: Tokens
    nodes: Float[Tensor, "node batch pos d_model"]
    stream: Float[Tensor, "place batch pos d_model"]

    def rows(self, which: slice) -> Streams:
        """Some of the prompts."""
        return Streams(self.tokens.rows(which), self.nodes[:, which], self.stream[:, which])

    def last(self, values: Float[Tensor, "*many batch pos d_model"]) -> Float[Tensor, "*many batch 1 d_model"]:
        """Of values at all positions, those at each prompt's last."""
        return values[..., torch.arange(self.tokens.batch), self.tokens.lengths - 1, :].unsqueeze(-2)


@torch.no_grad()
def record_streams(model: Decoder, tokens: Tokens) -> Streams:
    """Runs the model and notes everything that its nodes and layers leave behind."""
    graph = model.graph
    nodes: list[Tensor] = []
    stream: list[Tensor] = []

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        if index == 0:
            nodes.append(x.new_empty(len(graph.nodes), *x.shape))
            stream.append(x.new_empty(2 * graph.layers + 1, *x.shape))
            nodes[0][0] = stream[0][0] = x
        z = block.attend(block.qkv(block.attention_norm(x)), call)
        block.head_outputs(z, out=nodes[0][graph.head_nodes(index)])
        middle = x + block.attention_output(z)
        normed = block.mlp_norm(x if graph.parallel else middle)
        mlp = block.mlp_output(normed)
        nodes[0][graph.mlp_nodes(index)] = mlp[None] if block.parts is None else block.mlp_outputs(normed)
        stream[0][2 * index + 1] = middle
        stream[0][2 * index + 2] = middle + mlp
        return middle + mlp

    model.run(tokens, layer)
    return Streams(tokens, nodes[0], stream[0])
