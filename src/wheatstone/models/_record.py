"""The plain forward pass, recorded node by node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models._decoder import Decoder
from wheatstone.models._tokens import Tokens


@dataclass(frozen=True, eq=False)
class Recording:
    """What a forward pass left behind.

    Args:
        logits: [batch, vocab] at each prompt's last position, or [batch, pos, vocab].
        nodes: what each node wrote, or None where it was not asked for.
    """

    logits: Tensor
    nodes: Float[Tensor, "node batch pos d_model"] | None


@torch.no_grad()
def record(model: Decoder, tokens: Tokens, *, cache: bool, all_positions: bool) -> Recording:
    """Runs the model, splitting attention into heads where `cache` asks for node outputs."""
    graph = model.graph
    nodes: Tensor | None = None

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        nonlocal nodes
        block = model.blocks[index]
        if cache and nodes is None:
            nodes = x.new_empty(len(graph.nodes), *x.shape)
            nodes[0] = x
        z = block.attend(block.qkv(block.attention_norm(x)), call)
        middle = x + block.attention_output(z)
        mlp = block.mlp_output(block.mlp_norm(x if graph.parallel else middle))
        if nodes is not None:
            nodes[graph.head_nodes(index)] = block.head_outputs(z)
            nodes[graph.mlp_node(index)] = mlp
        return middle + mlp

    logits = model.run(tokens, layer, all_positions=all_positions)
    return Recording(logits, nodes)
