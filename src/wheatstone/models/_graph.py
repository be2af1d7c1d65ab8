"""The residual-stream graph: who writes, who reads, and in which order.

A *node* writes to the residual stream: `input`, `a14.h7` (attention head), `m17` (MLP). A *channel* reads
from it: `a14.h7<q>`, `a14.g2<k>`, `a14.g2<v>`, `m17`, `logits`. An *edge* joins a node to a later channel.
With grouped-query attention k and v belong to the KV group, because the model has one of each per group.

Both axes are in the order of computation, so "everything written so far" is a prefix of the node axis:

    nodes     input, a0.h0 … a0.hH-1, m0, a1.h0 …
    channels  a0.h0<q> …, a0.g0<k> …, a0.g0<v> …, m0, a1.h0<q> …, logits

An MLP is one node, unless it is split: then its neurons `m31.n0 …` or experts `m3.e0 …` are nodes in its place,
which all read the one channel `m31`.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from wheatstone._errors import CircuitError
from wheatstone._view import Brief
from wheatstone.models._hooks import from_hook

MlpParts = Literal["neurons", "experts"]


class Split(NamedTuple):
    """An MLP whose parts are nodes.

    Args:
        layer: of the MLP.
        into: what its parts are: the inputs of its last projection, or the experts that tokens are routed to.
        parts: how many there are.
    """

    layer: int
    into: MlpParts
    parts: int


@dataclass(frozen=True)
class Graph(Brief):
    """The nodes, channels and possible edges of one architecture.

    Args:
        layers: decoder layers.
        heads: query heads per layer.
        kv_groups: key/value heads per layer; equal to `heads` without grouped-query attention.
        parallel: whether attention and MLP of a layer read the same residual (GPT-J, Pythia, Phi), so that
            a layer's heads do not feed its own MLP.
        coupled_heads: whether a norm runs across a layer's heads (Gemma 2, OLMo 2), so that what one of them
            writes depends on the queries, keys and values of all.
        split: the MLPs whose parts are nodes, by layer; all others are one node each.
    """

    layers: int
    heads: int
    kv_groups: int
    parallel: bool = False
    coupled_heads: bool = False
    split: tuple[Split, ...] = ()

    @cached_property
    def _parts(self) -> dict[int, Split]:
        return {split.layer: split for split in self.split}

    @cached_property
    def _starts(self) -> list[int]:
        """Where each layer begins on the node axis, and where the last one ends."""
        sizes = (self.heads + (self._parts[i].parts if i in self._parts else 1) for i in range(self.layers))
        return list(accumulate(sizes, initial=1))

    @property
    def layer_channels(self) -> int:
        """Channels a layer adds: queries, keys, values and the MLP's input."""
        return self.heads + 2 * self.kv_groups + 1

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names of the nodes in order of computation."""
        names = ["input"]
        for layer in range(self.layers):
            names += [f"a{layer}.h{head}" for head in range(self.heads)]
            if split := self._parts.get(layer):
                names += [f"m{layer}.{split.into[0]}{part}" for part in range(split.parts)]
            else:
                names.append(f"m{layer}")
        return tuple(names)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels in order of computation."""
        names: list[str] = []
        for layer in range(self.layers):
            names += [f"a{layer}.h{head}<q>" for head in range(self.heads)]
            names += [f"a{layer}.g{group}<{kind}>" for kind in "kv" for group in range(self.kv_groups)]
            names.append(f"m{layer}")
        return (*names, "logits")

    @cached_property
    def node_index(self) -> dict[str, int]:
        """Position of each node on the node axis."""
        return {name: index for index, name in enumerate(self.nodes)}

    @cached_property
    def channel_index(self) -> dict[str, int]:
        """Position of each channel on the channel axis."""
        return {name: index for index, name in enumerate(self.channels)}

    def head_nodes(self, layer: int) -> slice:
        """The layer's heads on the node axis."""
        start = self._starts[layer]
        return slice(start, start + self.heads)

    def mlp_nodes(self, layer: int) -> slice:
        """The layer's MLP on the node axis: one node, or its parts."""
        return slice(self._starts[layer] + self.heads, self._starts[layer + 1])

    def place(self, node: int) -> tuple[int, int]:
        """A node's layer, and how many of the layer's nodes come before it. Not for the input, which has no layer."""
        layer = bisect_right(self._starts, node) - 1
        return layer, node - self._starts[layer]

    def attention_channels(self, layer: int) -> slice:
        """The layer's q, k and v channels on the channel axis."""
        start = layer * self.layer_channels
        return slice(start, start + self.layer_channels - 1)

    def mlp_channel(self, layer: int) -> int:
        """The layer's MLP input on the channel axis."""
        return (layer + 1) * self.layer_channels - 1

    @property
    def logits_channel(self) -> int:
        """The channel that the unembedding reads."""
        return self.layers * self.layer_channels

    def group_of(self, head: int) -> int:
        """The KV group a query head reads."""
        return head * self.kv_groups // self.heads

    def channels_of(self, node: int) -> tuple[int, ...]:
        """The channels a node's output depends on: one for an MLP or a part of it, none for the input.

        Three for a head, its query and its group's key and value; those of all heads where they are coupled.
        """
        if node == 0:
            return ()
        layer, head = self.place(node)
        if head >= self.heads:
            return (self.mlp_channel(layer),)
        if self.coupled_heads:
            attention = self.attention_channels(layer)
            return tuple(range(attention.start, attention.stop))
        start = layer * self.layer_channels
        group = self.group_of(head)
        return (start + head, start + self.heads + group, start + self.heads + self.kv_groups + group)

    @cached_property
    def _siblings(self) -> list[tuple[slice, list[int]]]:
        """All nodes but the input, in order, those that read the same channels together: (nodes, channels)."""
        found: list[tuple[slice, list[int]]] = []
        for layer in range(self.layers):
            span = self.head_nodes(layer)
            step = self.heads if self.coupled_heads else 1
            nodes = [slice(node, node + step) for node in range(span.start, span.stop, step)]
            found += [(each, list(self.channels_of(each.start))) for each in (*nodes, self.mlp_nodes(layer))]
        return found

    @cached_property
    def senders(self) -> Int[np.ndarray, " channel"]:
        """How many nodes each channel can read: always the first N of the node axis."""
        counts = np.empty(len(self.channels), dtype=np.int64)
        for layer in range(self.layers):
            before = self._starts[layer]
            counts[self.attention_channels(layer)] = before
            counts[self.mlp_channel(layer)] = before if self.parallel else before + self.heads
        counts[self.logits_channel] = len(self.nodes)
        return counts

    @cached_property
    def valid(self) -> Bool[np.ndarray, "channel node"]:
        """Which (channel, node) pairs are edges."""
        return np.arange(len(self.nodes))[None, :] < self.senders[:, None]

    @property
    def edges(self) -> int:
        """How many edges the graph has."""
        return int(self.senders.sum())

    def named(self, name: str) -> str:
        """A node's or channel's name, which may also be given as TransformerLens' hook: `blocks.5.hook_mlp_out`."""
        return from_hook(name, self.layers, self.group_of)

    def edge(self, sender: str, receiver: str) -> tuple[int, int]:
        """Looks an edge up by the names of its ends, or by TransformerLens' hooks.

        Returns:
            Its position (channel, node).

        Raises:
            CircuitError: the model has no such node, channel or edge.
        """
        sender, receiver = self.named(sender), self.named(receiver)
        if sender not in self.node_index or receiver not in self.channel_index:
            missing = sender if sender not in self.node_index else receiver
            raise CircuitError(
                expected=f"nodes and channels of a model with {self.layers} layers, {self.heads} heads and "
                f"{self.kv_groups} KV groups",
                got=f"{missing!r} in the edge {sender} -> {receiver}",
                do="use the model the circuit was found in, with the same MLPs split",
            )
        channel, node = self.channel_index[receiver], self.node_index[sender]
        if node >= self.senders[channel]:
            raise CircuitError(
                expected="an edge from a node to a later channel",
                got=f"{sender} -> {receiver}",
                do="check the order of the two ends",
            )
        return channel, node

    def live_nodes(self, keep: Bool[np.ndarray, "*circuits channel node"]) -> Bool[np.ndarray, "*circuits node"]:
        """Nodes whose output can differ from its ablated value: reached from `input` by kept edges."""
        live = np.zeros((*keep.shape[:-2], len(self.nodes)), dtype=bool)
        live[..., 0] = True
        for nodes, channels in self._siblings:
            read = keep[..., channels, : nodes.start] & live[..., None, : nodes.start]
            live[..., nodes] = np.any(read, axis=(-2, -1))[..., None]
        return live

    def working_edges(self, keep: Bool[np.ndarray, "channel node"]) -> Bool[np.ndarray, "channel node"]:
        """The kept edges that lie on a path of kept edges from `input` to the logits; the others change nothing."""
        needed = self.needed_nodes(keep)
        read = np.zeros(len(self.channels), dtype=bool)
        read[self.logits_channel] = True
        for nodes, channels in self._siblings:
            read[channels] |= needed[nodes].any()
        return keep & self.live_nodes(keep)[None, :] & read[:, None]

    def needed_nodes(self, keep: Bool[np.ndarray, "channel node"]) -> Bool[np.ndarray, " node"]:
        """Nodes whose output can reach the logits over kept edges."""
        needed = keep[self.logits_channel].copy()
        for nodes, channels in reversed(self._siblings):
            if needed[nodes].any():
                needed |= np.any(keep[channels], axis=0)
        return needed
