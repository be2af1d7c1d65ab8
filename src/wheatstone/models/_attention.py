"""Attention patterns: how much each position looks at each earlier one, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.models._decoder import Decoder
from wheatstone.models._interventions import Intervention, chosen
from wheatstone.models._record import record
from wheatstone.models._tokens import Tokens


def attention_patterns(
    model: Decoder, tokens: Tokens, layers: Sequence[int] | None, interventions: Sequence[Intervention]
) -> Float[Tensor, "layer batch head query key"]:
    """See `ResidualModel.attention`."""
    every = range(model.graph.layers)
    wanted = list(every if layers is None else layers)
    if unknown := [layer for layer in wanted if layer not in every]:
        raise RequestError(
            expected=f"layers from 0 to {len(every) - 1}", got=str(unknown[0]), do="choose layers that the model has"
        )
    keep = [("pattern", layer) for layer in wanted]
    kept = record(model, tokens, cache=False, all_positions=False, interventions=interventions, keep=keep).kept
    inside = chosen(None, tokens)[:, None, :, None]
    return torch.stack([kept["pattern", layer].to(inside.device) * inside for layer in wanted])


@torch.no_grad()
def attention_values(model: Decoder, tokens: Tokens) -> list[Float[Tensor, "batch pos group d_head"]]:
    """See `ResidualModel.attention_values`."""
    values: list[Tensor] = []

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        qkv = block.qkv(block.attention_norm(x))
        clip = model.module.config.clip_qkv if model.family.clamps_in_place else None
        values.append(qkv.v if clip is None else qkv.v.clamp(-clip, clip))
        middle = x + block.attention_output(block.attend(qkv, call))
        return middle + block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle))

    model.run(tokens, layer)
    return values
