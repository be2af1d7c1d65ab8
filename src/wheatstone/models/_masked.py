"""The gradient of a loss by every entry of a dense mask: one forward and one backward pass over a shared bank.

Channel r reads x[r] = a[r] + sum over nodes w of mask[r, w] · (current[w] − ablated[w]), as in a rewired run, but with
real shares, which may be each prompt's own. What nodes write is kept once, prompt by prompt, in a bank. Each sublayer
is differentiated alone, from what its channels read to what its nodes write; through the bank the way back is two
matrix products for each prompt,

    d mask[r]  = d x[r] · bankᵀ        d bank += mask[r]ᵀ · d x[r]

so no concatenation is ever saved. A prompt takes at most this many numbers of the model's precision (from four
bytes on):

    pos · (3 nodes d_model + layers (6 channels d_model + 6 heads d_head + 6 (d_model + d_mlp)))

with `channels` those of one layer; prompts are run in pieces, whose gradients add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone.models._block import QKV, Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._node_outputs import Ablated, ablated_rows, part_of
from wheatstone.models._tokens import Tokens

PieceLoss = Callable[[Float[Tensor, "batch vocab"], slice], Float[Tensor, ""]]
"""A loss that is a sum over prompts: (logits of some prompts, which prompts) -> their part of it."""


@dataclass(frozen=True, eq=False)
class _Sublayer:
    """What channels read and what nodes made of it."""

    channels: slice
    senders: int
    read: Tensor
    nodes: slice
    wrote: Tensor


class Masked:
    """One pass; call `run` once.

    Args:
        model: the model.
        tokens: the prompts.
        ablated: what each node writes where an edge's share is 0.
        mask: shares, of all prompts or of each; no gradient is recorded through it.
        start: positions before it are the same in the clean and the ablated run, and none is computed there.
    """

    def __init__(
        self,
        model: Decoder,
        tokens: Tokens,
        ablated: Ablated,
        mask: Float[Tensor, "*batch channel node"],
        start: int = 0,
    ) -> None:
        graph = model.graph
        self.model, self.tokens, self.start = model, tokens, start
        self.ablated = part_of(ablated)
        valid = torch.from_numpy(graph.valid)
        mask = mask.cpu() * valid
        each = mask.view(-1, *valid.shape) != 0
        live = np.stack([graph.live_nodes(one.numpy()) for one in each])
        self.mask = mask.to(model.device, model.dtype).expand(tokens.batch, *valid.shape)
        self.live = torch.from_numpy(live).to(model.device, model.dtype)[:, :, None, None]
        self.run_nodes = live.any(0) | each.flatten(0, 1).any(0).numpy()
        """Nodes whose output can matter: those that the input reaches, and those that an edge with a share leaves."""
        shape = (tokens.batch, len(graph.nodes), tokens.width - start, model.d_model)
        self.bank = torch.empty(shape, device=model.device, dtype=model.dtype)
        """What each node writes, less its ablated output; 0 where no edge with a share leads to it from the input."""
        self.sublayers: list[_Sublayer] = []

    def run(self, loss: Callable[[Tensor], Float[Tensor, ""]]) -> tuple[float, Float[Tensor, "batch channel node"]]:
        """The loss and its gradient by each prompt's mask."""
        with torch.enable_grad():
            value = loss(self.model.run(self.tokens, self._layer))
        graph = self.model.graph
        logits = slice(graph.logits_channel, graph.logits_channel + 1)
        d_mask, d_bank = self.mask.new_zeros(self.mask.shape), torch.zeros_like(self.bank)
        bank, d_bank_rows = self.bank.flatten(2), d_bank.flatten(2)

        def through(channels: slice, senders: int, d_read: Tensor) -> None:
            rows = d_read.movedim(1, 0).flatten(2)  # [batch, channel, pos · d_model]
            d_mask[:, channels, :senders] = rows @ bank[:, :senders].mT
            d_bank_rows[:, :senders].baddbmm_(self.mask[:, channels, :senders].mT, rows)

        through(logits, len(graph.nodes), torch.autograd.grad(value, self.final)[0])
        while self.sublayers:
            part = self.sublayers.pop()
            d_wrote = d_bank[:, part.nodes].movedim(0, 1)
            through(part.channels, part.senders, torch.autograd.grad(part.wrote, part.read, d_wrote)[0])
        return float(value.detach()), d_mask.cpu()

    def _layer(self, index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        graph, block = self.model.graph, self.model.blocks[index]
        if index == 0:
            self.base = self.ablated(slice(0, 1))[0]
            self.bank[:, 0] = (x.detach() - self.base)[:, self.start :] * self.live[:, 0]
        before, heads, mlp = self.base, graph.head_nodes(index), graph.mlp_nodes(index)
        ablated = self.ablated(heads)
        if self.run_nodes[heads].any():
            channels = graph.attention_channels(index)
            read = self._read(channels, before)
            z = block.attend(self._qkv(block, read, before), call)[:, self.start :]
            self._wrote(channels, read, heads, block.head_outputs(z), ablated)
        else:
            self.bank[:, heads] = 0
        self.base = self.base + ablated.sum(0)
        if block.output_bias is not None:
            self.base = self.base + block.output_bias.to(self.base.device)
        ablated = self.ablated(mlp)
        if self.run_nodes[mlp].any():
            channels = slice(graph.mlp_channel(index), graph.mlp_channel(index) + 1)
            read = self._read(channels, before if graph.parallel else self.base)
            self._wrote(channels, read, mlp, block.mlp_outputs(block.mlp_norm(read[0].to(block.device))), ablated)
        else:
            self.bank[:, mlp] = 0
        self.base = self.base + ablated.sum(0)
        if block.mlp_bias is not None:
            self.base = self.base + block.mlp_bias.to(self.base.device)
        if index < graph.layers - 1:
            return x
        self.final = self._read(slice(graph.logits_channel, graph.logits_channel + 1), self.base)
        return torch.cat((self.base[:, : self.start], self.final[0]), dim=1)

    def _read(
        self, channels: slice, base: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "channel batch changed d_model"]:
        """What channels of one sublayer read from `start` on, as the leaf that their gradient is taken at."""
        base = base[:, self.start :]
        senders = int(self.model.graph.senders[channels.start])
        kept = self.mask[:, channels, :senders] @ self.bank[:, :senders].flatten(2)
        return (kept.unflatten(2, base.shape[1:]).movedim(1, 0) + base).requires_grad_()

    def _wrote(self, channels: slice, read: Tensor, nodes: slice, wrote: Tensor, ablated: Tensor) -> None:
        wrote = wrote.to(self.bank.device)
        new = (wrote.detach() - ablated[:, :, self.start :]).movedim(1, 0)
        self.bank[:, nodes] = new * self.live[:, nodes]
        self.sublayers.append(_Sublayer(channels, int(self.model.graph.senders[channels.start]), read, nodes, wrote))

    def _qkv(
        self,
        block: Block,
        read: Float[Tensor, "channel batch changed d_model"],
        base: Float[Tensor, "batch pos d_model"],
    ) -> QKV:
        """Each head's query and each group's key and value from its own read; before `start`, from the base."""
        normed = block.attention_norm(read.to(block.device)).flatten(1, 2)
        parts: list[Tensor] = []
        for kind, count in enumerate((block.heads, block.kv_groups, block.kv_groups)):
            mine, normed = normed[:count], normed[count:]
            parts.append(block.project(kind, mine, list(range(count))).unflatten(1, read.shape[1:3]).movedim(0, 2))
        if self.start:
            before = block.qkv(block.attention_norm(base[:, : self.start].to(block.device)))
            parts = [torch.cat(both, dim=1) for both in zip(before, parts, strict=True)]
        return QKV(*parts)


def mask_gradients(
    model: Decoder,
    tokens: Tokens,
    ablated: Ablated,
    mask: Float[Tensor, "*batch channel node"],
    loss: PieceLoss,
    budget: int,
    start: int = 0,
) -> tuple[float, Float[Tensor, "*batch channel node"]]:
    """See `ResidualModel.mask_gradients`."""
    together = max(1, budget // mask_gradient_bytes(model, tokens))
    value, gradient = 0.0, torch.zeros_like(mask)
    each = mask.dim() == 3
    for first in range(0, tokens.batch, together):
        rows = slice(first, first + together)
        masked = Masked(model, tokens.rows(rows), ablated_rows(ablated, rows), mask[rows] if each else mask, start)
        part, d_mask = masked.run(lambda x, rows=rows: loss(x, rows))
        value += part
        if each:
            gradient[rows] = d_mask
        else:
            gradient += d_mask.sum(0)
    return value, gradient


def mask_gradient_bytes(model: Decoder, tokens: Tokens) -> int:
    """Most that one prompt takes, in bytes: the module's formula, and its logits."""
    graph, block = model.graph, model.blocks[0]
    d_mlp = max(max(weight.shape) for weight in block.mlp.parameters())
    layer = 6 * ((graph.layer_channels - 1) * model.d_model + block.output_weight.shape[:2].numel())
    numbers = 3 * len(graph.nodes) * model.d_model + graph.layers * (layer + 6 * (model.d_model + d_mlp))
    logits = 4 * model.vocabulary
    return (tokens.width * numbers + logits) * max(model.dtype.itemsize, 4)
