"""The plain forward pass, recorded node by node and place by place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import Cache

from wheatstone._view import Brief
from wheatstone.models._decoder import Decoder
from wheatstone.models._edits import Edits
from wheatstone.models._interventions import Intervention
from wheatstone.models._patterns import eager
from wheatstone.models._tokens import Tokens


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Brief):
    """What a forward pass left behind.

    Args:
        logits: [batch, vocab] at each prompt's last position, or [batch, pos, vocab].
        nodes: what each node wrote, or None where it was not kept.
        kept: what was at other places, by kind and layer.
    """

    logits: Tensor
    nodes: Float[Tensor, "node batch pos d_model"] | None
    kept: Mapping[tuple[str, int], Tensor] = field(default_factory=dict)


@torch.no_grad()
def record(
    model: Decoder,
    tokens: Tokens,
    *,
    cache: bool,
    all_positions: bool,
    interventions: Sequence[Intervention] = (),
    keep: Collection[tuple[str, int]] = (),
    prompt: Tokens | None = None,
    past: Cache | None = None,
) -> Recording:
    """Runs the model, taking sublayers apart where `cache` or an intervention needs what their nodes write.

    Args:
        model: the model.
        tokens: the prompts.
        cache: whether to keep what each node writes.
        all_positions: logits at every position.
        interventions: in the order they act.
        keep: kinds of place, with the layer, to keep too.
        prompt: what the interventions' positions are counted in; by default the tokens.
        past: keys and values of earlier positions, which are not run again; those of this run are added to it.
    """
    start = 0 if past is None else past.get_seq_length()
    graph = model.graph
    edits = Edits(model, tokens, interventions, keep=keep, prompt=prompt, start=start)
    nodes: Tensor | None = None

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        nonlocal nodes
        block = model.blocks[index]
        if index == 0:
            x = edits.visit("input", 0, x)
        if cache and nodes is None:
            nodes = x.new_empty(len(graph.nodes), *x.shape)
            nodes[0] = x
        x = edits.visit("pre", index, x)
        heads_at, mlp_at = graph.head_nodes(index), graph.mlp_nodes(index)
        z = edits.attend(block, edits.qkv(index, block.qkv(block.attention_norm(x))), call)
        attention = block.attention_output(z)
        if cache or edits.visits("h", index):
            bank = None if nodes is None else nodes[heads_at]
            heads = block.head_outputs(z, out=bank)
            edited = edits.parts("h", index, heads)
            if edits.on("h", index):
                attention = attention + (edited - heads).sum(0).to(attention.device)
                if bank is not None:
                    bank.copy_(edited)
        attention = edits.visit("a", index, attention)
        middle = edits.visit("mid", index, x + attention)
        normed = block.mlp_norm(x if graph.parallel else middle)
        with edits.neurons(block):
            mlp = block.mlp_output(normed)
            split = block.parts is not None and (cache or edits.visits("e", index))
            parts = block.mlp_outputs(normed) if split else mlp[None]
        written = edits.parts("e", index, parts) if split else parts
        if edits.on("e", index):
            mlp = mlp + (written - parts).sum(0).to(mlp.device)
        mlp = edits.visit("m", index, mlp)
        if nodes is not None:
            nodes[mlp_at] = written if split else mlp[None]
        return edits.visit("post", index, middle + mlp)

    with eager(model) if edits.weights else nullcontext():
        logits = model.run(tokens, layer, all_positions=all_positions, past=past)
    return Recording(logits, nodes, edits.kept)
