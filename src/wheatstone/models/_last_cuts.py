"""Attention knocked out from the last token alone, many ways at once: only the last token is run again.

A causal model's earlier tokens never look at the last one, so that they are the plain run's for any cut. Each
way of cutting is one more stream at the last position; its queries meet the plain run's keys and values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone.models._block import QKV
from wheatstone.models._decoder import Decoder
from wheatstone.models._edits import without_attention
from wheatstone.models._tokens import Tokens

_ROWS = 512
"""Streams that are run together."""


@torch.no_grad()
def last_cut_logits(
    model: Decoder,
    tokens: Tokens,
    cuts: Bool[Tensor, "cut layer batch key"],
    done: Callable[[int], None],
) -> Float[Tensor, "cut batch vocab"]:
    """See `ResidualModel.last_cut_logits`."""
    together, parts = max(1, _ROWS // tokens.batch), list[Tensor]()
    for start in range(0, len(cuts), together):
        parts.append(_run(model, tokens, cuts[start : start + together]))
        done(min(len(cuts), start + together))
    return torch.cat(parts)


def _run(model: Decoder, tokens: Tokens, cuts: Bool[Tensor, "cut layer batch key"]) -> Tensor:
    many, batch = len(cuts), tokens.batch
    cut_layers = cuts.any(-1).any(-1).any(0).nonzero()
    first = int(cut_layers[0]) if len(cut_layers) else 0
    last, every = tokens.lengths - 1, torch.arange(batch, device=tokens.ids.device)
    places, rows = last.repeat(many), torch.arange(many * batch, device=tokens.ids.device)
    lasts: Tensor | None = None

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        nonlocal lasts
        block = model.blocks[index]
        x = x[:batch]
        qkv = block.qkv(block.attention_norm(x))
        if index >= first:
            if lasts is None:
                lasts = x[every, last].repeat(many, 1)[:, None]
            own = block.qkv(block.attention_norm(lasts))
            both = QKV(*(_with_last(plain, ours, many, rows, places) for plain, ours in zip(qkv, own, strict=True)))
            cut = torch.zeros(many * batch, 1, tokens.width, tokens.width, dtype=torch.bool, device=x.device)
            cut[rows, 0, places] = cuts[:, index].flatten(0, 1).to(x.device)
            z = block.attend(both, without_attention(call, index, cut))[rows, places][:, None]
            middle = lasts + block.attention_output(z)
            lasts = middle + block.mlp_output(block.mlp_norm(lasts if model.graph.parallel else middle))
        if index == model.graph.layers - 1:
            return lasts.expand(-1, tokens.width, -1)  # pyright: ignore[reportOptionalMemberAccess]
        plain = {name: _of_plain(value, many * batch, batch) for name, value in call.items()}
        middle = x + block.attention_output(block.attend(qkv, plain))
        return middle + block.mlp_output(block.mlp_norm(x if model.graph.parallel else middle))

    return model.run(tokens.repeat(many), layer).unflatten(0, (many, batch))


def _with_last(plain: Tensor, own: Tensor, many: int, rows: Tensor, places: Tensor) -> Tensor:
    """The plain run's queries, keys or values, once for each cut, with the cut's own at the last position."""
    both = plain.repeat(many, *(1,) * (plain.ndim - 1))
    both[rows, places] = own[:, 0]
    return both


def _of_plain(value: Any, rows: int, batch: int) -> Any:
    """An argument of the layer for the plain run alone."""
    if isinstance(value, tuple):
        return tuple(_of_plain(part, rows, batch) for part in value)
    return value[:batch] if isinstance(value, Tensor) and value.shape[:1] == (rows,) else value
