"""One head at one query position, taken apart by who writes what it reads.

The residual stream is a sum over nodes and biases. With the scales of the norms held at what they are in the run, a
head's query, its keys and its values are linear in the stream, so each is a sum over the same senders, and

    score[key] = scaling · Σ_i Σ_j q[i]·k[j, key]        write = Σ_key weight[key] Σ_j v[j, key] W_O

What each layer writes is projected onto the head at once and then forgotten, so that memory grows with
senders x positions x d_head, not x d_model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models._attention_core import core_map, core_of
from wheatstone.models._block import QKV
from wheatstone.models._decoder import Decoder
from wheatstone.models._tokens import Tokens
from wheatstone.models._wide import wide

BIASES = ("bias.output", "bias.norm", "bias.qkv", "bias.qknorm", "clip")
"""What enters a query, key or value without being a node's write.

Output biases of earlier layers, the bias of the norm before attention, the biases of the q, k and v projections, the
bias of a norm on queries or keys, and what clipping takes away.
"""


@dataclass(frozen=True, eq=False, repr=False)
class HeadSplit(Brief):
    """A head's query, and its keys and values up to there, each as a sum over senders. In float64, on the CPU.

    Args:
        senders: names: the nodes before the layer in order, then `BIASES`.
        nodes: how many of them are nodes.
        q: what each adds to the query as it meets the keys, after norms and rotary embedding.
        k: what each adds to the key of every position up to the query's.
        v: what each adds to the values.
        scaling: of the products q·k.
        softcap: bounds the scores, as softcap · tanh(score / softcap); None where nothing does.
        added: what is added to the scores after that, such as ALiBi; 0 in most models.
        visible: which keys the query sees; a sliding window hides the others.
        scores: the model's own products q·k scaling, before the softcap.
        output: what the head writes per unit of its value; an output norm's scale is that of the run.
        stream: the final residual stream at the query's position.
    """

    senders: tuple[str, ...]
    nodes: int
    q: Float[Tensor, "sender d_head"]
    k: Float[Tensor, "sender key d_head"]
    v: Float[Tensor, "sender key d_head"]
    scaling: float
    softcap: float | None
    added: Float[Tensor, " key"]
    visible: Bool[Tensor, " key"]
    scores: Float[Tensor, " key"]
    output: Float[Tensor, "d_head d_model"]
    stream: Float[Tensor, " d_model"]

    def capped(self, scores: Float[Tensor, "*n key"]) -> Float[Tensor, "*n key"]:
        """What the softmax is given for products q·k scaling: bounded, and with `added`; −∞ at hidden keys."""
        scores = scores if self.softcap is None else self.softcap * (scores / self.softcap).tanh()
        return (scores + self.added).masked_fill(~self.visible, -torch.inf)

    def weights(self, scores: Float[Tensor, "*n key"]) -> Float[Tensor, "*n key"]:
        """Attention weights for products q·k scaling."""
        return self.capped(scores).softmax(-1)


class Look(NamedTuple):
    """A head that looks from a position.

    Args:
        layer: of the head.
        head: its number in the layer.
        query: position that looks, from 0.
    """

    layer: int
    head: int
    query: int


@torch.no_grad()
def split_heads(model: Decoder, tokens: Tokens, looks: Sequence[Look]) -> list[HeadSplit]:
    """See `ResidualModel.head_splits`."""
    splits = [_Split(model, look) for look in looks]
    stream = tokens.ids.new_zeros(0)

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        """Runs a layer, and lets every head keep what it reads of what is written."""
        nonlocal stream
        block, later = model.blocks[index], [split for split in splits if split.layer > index]
        if index == 0:
            for split in splits:
                split.add(x[None])
        qkv = block.qkv(block.attention_norm(x))
        z = block.attend(qkv, call)
        for split in splits:
            if split.layer == index:
                split.arrive(x, qkv, z, call)
        middle = x + block.attention_output(z)
        normed = block.mlp_norm(x if model.graph.parallel else middle)
        mlp = block.mlp_output(normed)
        if later:
            written = [block.head_outputs(z), mlp[None] if block.parts is None else block.mlp_outputs(normed)]
            for split in later:
                for part in written:
                    split.add(part)
                split.add_biases(block.output_bias, block.mlp_bias)
        stream = middle + mlp
        return stream

    model.run(tokens, layer)
    return [split.result(stream) for split in splits]


class _Split:
    """What a pass over one prompt leaves of one head at one query position."""

    def __init__(self, model: Decoder, look: Look) -> None:
        self.layer, head, self._query = look
        self._model, self._block = model, model.blocks[self.layer]
        group = model.graph.group_of(head)
        self._rows = (head, group, group)
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []
        norm = self._block.attention_norm
        with self._block.present():
            biases = self._block.qkv_biases
            weights = [wide(part[row]).clone() for part, row in zip(self._block.qkv_weights, self._rows, strict=True)]
            self._folded = [norm.folded(weight) for weight in weights]
            self._output = wide(self._block.head_weights[head]).clone()
            # What reaches the projections without being in the stream: the norm's bias, then their own biases.
            self._constant: list[Tensor] = []
            for kind, (weight, row) in enumerate(zip(weights, self._rows, strict=True)):
                zero = weight.new_zeros(len(weight))
                of_norm = zero if norm.bias is None else weight @ wide(norm.bias)
                own = zero if biases is None else wide(biases[kind][row])
                self._constant.append(_exact(torch.stack([of_norm, own])))
        self._output_biases = weights[0].new_zeros(model.d_model)

    def add(self, written: Float[Tensor, "node 1 pos d_model"]) -> None:
        """Projects what nodes write onto the head's query, keys and values; the norm's scale is yet to come."""
        upto = wide(written[:, 0, : self._query + 1].to(self._block.device))
        q, k, v = self._folded
        self._parts.append((_exact(upto[:, -1] @ q.T), _exact(upto @ k.T), _exact(upto @ v.T)))

    def add_biases(self, *biases: Float[Tensor, " d_model"] | None) -> None:
        """Adds the output biases of a layer before the head's."""
        for bias in biases:
            if bias is not None:
                self._output_biases = self._output_biases + bias.to(self._output_biases)

    def arrive(self, x: Tensor, qkv: QKV, z: Tensor, call: dict[str, Any]) -> None:
        """At the head's own layer: the scales of its norms are known, and what reaches its scores."""
        block, (head, group, _), keys = self._block, self._rows, slice(self._query + 1)
        self.add(self._output_biases.expand(1, *x.shape))
        self._core = core_of(block, qkv, call)
        self._output_scale = wide(block.output_scale(z[:, self._query, None])).item()
        scale = _exact(block.attention_norm.scale(wide(x))[0, keys])
        projected = [
            torch.cat(parts) * at
            for parts, at in zip(zip(*self._parts, strict=True), (scale[-1], scale, scale), strict=True)
        ]
        own = [row if kind == 0 else row[:, None].expand(-1, len(scale), -1) for kind, row in enumerate(self._constant)]
        q, k, v = (torch.cat(both) for both in zip(projected, own, strict=True))
        # The attention code's own part: norms on queries and keys, rotary embedding, and at last what it clips.
        maps = core_map(block, qkv, call, head, group)
        free = core_of(block, qkv, call, clipped=False) if block.family.clamps_in_place else self._core
        q = q @ _exact(maps.q[self._query]).T
        k = torch.einsum("skd,ked->ske", k, _exact(maps.k[keys]))
        clipped = [
            _exact(with_clip[0, row, keys] - without[0, row, keys])
            for with_clip, without, row in zip(self._core.qkv, free.qkv, self._rows, strict=True)
        ]
        self._q = torch.stack([*q, _exact(maps.q_bias[self._query]), clipped[0][-1]])
        self._k = torch.stack([*k, _exact(maps.k_bias[keys]), clipped[1]])
        self._v = torch.stack([*v, torch.zeros_like(clipped[2]), clipped[2]])

    def result(self, stream: Float[Tensor, "1 pos d_model"]) -> HeadSplit:
        """The head, given the final residual stream."""
        core, senders = self._core, self._model.graph.nodes[: len(self._q) - len(BIASES)]
        visible, added = _mask_row(core.mask, self._rows[0], self._query)
        q, k = core.q[0, self._rows[0], self._query], core.k[0, self._rows[1], : self._query + 1]
        return HeadSplit(
            senders=(*senders, *BIASES),
            nodes=len(senders),
            q=self._q,
            k=self._k,
            v=self._v,
            scaling=core.scaling,
            softcap=core.softcap,
            added=added,
            visible=visible,
            scores=_exact(k) @ _exact(q) * core.scaling,
            output=_exact(self._output * self._output_scale),
            stream=_exact(stream[0, self._query]),
        )


def _exact(values: Tensor) -> Tensor:
    """In float64, on the CPU: some devices have none."""
    return values.cpu().double()


def _mask_row(mask: Tensor | None, head: int, query: int) -> tuple[Tensor, Tensor]:
    """Which keys up to the query one head sees, and what is added to their scores."""
    keys = query + 1
    if mask is None:
        return torch.ones(keys, dtype=torch.bool), torch.zeros(keys, dtype=torch.double)
    row = mask[0, head % mask.shape[1], query, :keys].cpu()
    visible = row if row.dtype == torch.bool else row > torch.finfo(row.dtype).min / 2
    added = torch.zeros(keys) if row.dtype == torch.bool else row.masked_fill(~visible, 0)
    return visible, added.double()
