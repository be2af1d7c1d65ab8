"""The residual-stream graph: who writes, who reads, and in which order.

A *node* writes to the residual stream: `input`, `a14.h7` (attention head), `m17` (MLP). A *channel* reads
from it: `a14.h7<q>`, `a14.g2<k>`, `a14.g2<v>`, `m17`, `logits`. An *edge* joins a node to a later channel.
With grouped-query attention k and v belong to the KV group, because the model has one of each per group.

Both axes are in the order of computation, so "everything written so far" is a prefix of the node axis:

    nodes     input, a0.h0 … a0.hH-1, m0, a1.h0 …
    channels  a0.h0<q> …, a0.g0<k> …, a0.g0<v> …, m0, a1.h0<q> …, logits
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from wheatstone._errors import CircuitError
from wheatstone.models._hooks import from_hook


@dataclass(frozen=True)
class Graph:
    """The nodes, channels and possible edges of one architecture.

    Args:
        layers: decoder layers.
        heads: query heads per layer.
        kv_groups: key/value heads per layer; equal to `heads` without grouped-query attention.
        parallel: whether attention and MLP of a layer read the same residual (GPT-J, Pythia, Phi), so that
            a layer's heads do not feed its own MLP.
        coupled_heads: whether a norm runs across a layer's heads (Gemma 2, OLMo 2), so that what one of them
            writes depends on the queries, keys and values of all.
    """

    layers: int
    heads: int
    kv_groups: int
    parallel: bool = False
    coupled_heads: bool = False

    @property
    def layer_nodes(self) -> int:
        """Nodes a layer adds: its heads and its MLP."""
        return self.heads + 1

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
        start = 1 + layer * self.layer_nodes
        return slice(start, start + self.heads)

    def mlp_node(self, layer: int) -> int:
        """The layer's MLP on the node axis."""
        return 1 + layer * self.layer_nodes + self.heads

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
        """The channels a node's output depends on: one for an MLP, none for the input.

        Three for a head, its query and its group's key and value; those of all heads where they are coupled.
        """
        if node == 0:
            return ()
        layer, inner = divmod(node - 1, self.layer_nodes)
        if inner == self.heads:
            return (self.mlp_channel(layer),)
        if self.coupled_heads:
            attention = self.attention_channels(layer)
            return tuple(range(attention.start, attention.stop))
        start = layer * self.layer_channels
        group = self.group_of(inner)
        return (start + inner, start + self.heads + group, start + self.heads + self.kv_groups + group)

    @cached_property
    def senders(self) -> Int[np.ndarray, " channel"]:
        """How many nodes each channel can read: always the first so many of the node axis."""
        counts = np.empty(len(self.channels), dtype=np.int64)
        for layer in range(self.layers):
            before = 1 + layer * self.layer_nodes
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
                do="use the model the circuit was found in",
            )
        channel, node = self.channel_index[receiver], self.node_index[sender]
        if not self.valid[channel, node]:
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
        for node in range(1, len(self.nodes)):
            read = keep[..., list(self.channels_of(node)), :node]
            live[..., node] = (read & live[..., None, :node]).any((-2, -1))
        return live

    def working_edges(self, keep: Bool[np.ndarray, "channel node"]) -> Bool[np.ndarray, "channel node"]:
        """The kept edges that lie on a path of kept edges from `input` to the logits; the others change nothing."""
        needed = self.needed_nodes(keep)
        channels = np.zeros(len(self.channels), dtype=bool)
        channels[self.logits_channel] = True
        for node in np.flatnonzero(needed):
            channels[list(self.channels_of(int(node)))] = True
        return keep & self.live_nodes(keep)[None, :] & channels[:, None]

    def needed_nodes(self, keep: Bool[np.ndarray, "channel node"]) -> Bool[np.ndarray, " node"]:
        """Nodes whose output can reach the logits over kept edges."""
        needed = keep[self.logits_channel].copy()
        for node in range(len(self.nodes) - 1, 0, -1):
            if needed[node]:
                for channel in self.channels_of(node):
                    needed |= keep[channel]
        return needed
