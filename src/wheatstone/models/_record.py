"""The plain forward pass, recorded node by node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models._decoder import Decoder
from wheatstone.models._edits import Edits
from wheatstone.models._interventions import Intervention
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
def record(
    model: Decoder, tokens: Tokens, *, cache: bool, all_positions: bool, interventions: Sequence[Intervention] = ()
) -> Recording:
    """Runs the model, taking sublayers apart where `cache` or an intervention asks for what their nodes write."""
    graph, edits = model.graph, Edits(model, tokens, interventions)
    nodes: Tensor | None = None

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        nonlocal nodes
        block = model.blocks[index]
        if index == 0:
            x = edits.node(0, x)
        if cache and nodes is None:
            nodes = x.new_empty(len(graph.nodes), *x.shape)
            nodes[0] = x
        heads_at, mlp_at = graph.head_nodes(index), graph.mlp_nodes(index)
        z = block.attend(block.qkv(block.attention_norm(x)), edits.call(index, call))
        attention = block.attention_output(z)
        if cache or edits.on(heads_at):
            bank = None if nodes is None else nodes[heads_at]
            heads = block.head_outputs(z, out=bank)
            if edits.on(heads_at):
                edited = edits.nodes(heads_at, heads)
                attention = attention + (edited - heads).sum(0).to(attention.device)
                if bank is not None:
                    bank.copy_(edited)
        middle = x + attention
        normed = block.mlp_norm(x if graph.parallel else middle)
        with edits.neurons(block):
            mlp = block.mlp_output(normed)
            split = block.parts is not None and (cache or edits.on(mlp_at))
            parts = block.mlp_outputs(normed) if split else mlp[None]
        written = edits.nodes(mlp_at, parts)
        if edits.on(mlp_at):
            mlp = mlp + (written - parts).sum(0).to(mlp.device) if split else written[0]
        if nodes is not None:
            nodes[mlp_at] = written
        return middle + mlp

    logits = model.run(tokens, layer, all_positions=all_positions)
    return Recording(logits, nodes)
