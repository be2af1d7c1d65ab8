"""Runs in which what some nodes write is changed for some channels alone: path patching, many senders in one pass.

Two streams go through the layers side by side. Every channel reads the run's own stream; a receiver reads that stream
plus a change, which starts where a sender writes and, where paths may lead through MLPs, grows by what each MLP would
write if it read the change too:

    change += ablated_s − written_s                                at a sender s
    change += MLP(stream + change) − MLP(stream)                   at an MLP between, if paths may lead through it
    receiver reads stream + change                                 every other reader reads: stream

So heads between are frozen for the receivers, and what the receivers then do moves the stream itself, to the logits.
Until the first receiver the stream is the plain run's and is not computed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone.models._block import QKV, Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._streams import Streams


class Paths:
    """One pass of path patching; call `run` once.

    Args:
        model: the model.
        plain: its plain run.
        ablated: what each node writes along a changed path.
        senders: of each run, the nodes where changed paths begin.
        receivers: the channels where they end.
        mlps: whether they may lead through MLPs.
    """

    def __init__(
        self,
        model: Decoder,
        plain: Streams,
        ablated: Float[Tensor, "node batch pos d_model"],
        senders: Bool[Tensor, "path node"],
        receivers: Sequence[int],
        *,
        mlps: bool,
    ) -> None:
        self.model, self.receivers, self.mlps = model, sorted(receivers), mlps
        self.only_logits = self.receivers == [model.graph.logits_channel]
        if self.only_logits:
            # MLPs and the unembedding read one position at a time, and the last is the one that is asked for.
            plain, ablated = (
                Streams(plain.tokens, plain.last(plain.nodes), plain.last(plain.stream)),
                plain.last(ablated),
            )
        self.plain, self.ablated, self.senders = plain, ablated, senders
        self.first = senders.int().argmax(1)
        """Each run's first sender."""
        self.change = plain.stream.new_zeros(len(senders), *plain.stream.shape[1:])
        self.stream: Tensor | None = None
        """The runs' own stream; None as long as it is the plain one."""

    @torch.no_grad()
    def run(self) -> Float[Tensor, "path batch vocab"]:
        """Logits of every run at each prompt's last position."""
        graph, tokens = self.model.graph, self.plain.tokens
        if self.only_logits:
            for index in range(graph.layers):
                self._layer(index, self.change, {})
            read = self.plain.stream[-1] + self.change
            return self.model.unembed(read.flatten(0, 2)).unflatten(0, read.shape[:2])
        logits = self.model.run(tokens.repeat(len(self.senders)), self._layer)
        return logits.unflatten(0, (len(self.senders), tokens.batch))

    def _layer(self, index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        graph, block, plain = self.model.graph, self.model.blocks[index], self.plain
        if index == 0:
            self._send(0, plain.nodes[0].expand_as(self.change))
        start = graph.attention_channels(index).start
        rows = [channel - start for channel in self.receivers if start <= channel < graph.mlp_channel(index)]
        before, z = self._own(2 * index), None
        middle = plain.stream[2 * index + 1].expand_as(self.change)
        if rows or self.stream is not None:
            z = block.attend(self._qkv(block, before, rows), call)
            middle = before + block.attention_output(z).to(before.device).unflatten(0, before.shape[:2])
            self.stream = middle
        for_mlp = self.change.clone() if graph.parallel else self.change
        for head, node in enumerate(range(len(graph.nodes))[graph.head_nodes(index)]):
            if self.senders[:, node].any():
                written = plain.nodes[node].expand_as(self.change)
                if z is not None:
                    written = block.head_outputs(z, [head])[0].to(before.device).unflatten(0, before.shape[:2])
                self._send(node, written)
        self._mlp(index, before if graph.parallel else middle, for_mlp, middle)
        if index < graph.layers - 1:
            return x
        read = self._own(2 * index + 2)
        return (read + self.change if graph.logits_channel in self.receivers else read).flatten(0, 1)

    def _own(self, place: int) -> Float[Tensor, "path batch pos d_model"]:
        """The runs' stream at a place."""
        return self.plain.stream[place].expand_as(self.change) if self.stream is None else self.stream

    def _send(self, node: int, written: Float[Tensor, "path batch pos d_model"]) -> None:
        """Begins changed paths at a node."""
        sends = self.senders[:, node]
        self.change[sends] += self.ablated[node] - written[sends]

    def _qkv(self, block: Block, before: Float[Tensor, "path batch pos d_model"], rows: list[int]) -> QKV:
        """Queries, keys and values of all heads; those of the receivers see the change."""
        plain = block.qkv(block.attention_norm(before.flatten(0, 1)))
        if not rows:
            return plain
        changed = block.qkv(block.attention_norm((before + self.change).flatten(0, 1)))
        parts: list[Tensor] = []
        for own, other in zip(plain, changed, strict=True):
            receives = torch.tensor([row in rows for row in range(own.shape[2])], device=own.device)
            parts.append(torch.where(receives[:, None], other, own))
            rows = [row - own.shape[2] for row in rows]
        return QKV(*parts)

    def _mlp(self, index: int, reads: Tensor, change: Tensor, middle: Tensor) -> None:
        """Runs a layer's MLP: in the runs' own stream where that has moved, and as the receivers after it see it."""
        graph, block = self.model.graph, self.model.blocks[index]
        span, channel = graph.mlp_nodes(index), graph.mlp_channel(index)

        def output(read: Tensor) -> Tensor:
            return block.mlp_output(block.mlp_norm(read.flatten(0, 1))).to(read.device).unflatten(0, read.shape[:2])

        receives = channel in self.receivers
        passes = self.mlps and not receives and channel < self.receivers[-1]
        written = (
            self.plain.nodes[span].sum(0) if block.mlp_bias is None else self.plain.nodes[span].sum(0) + block.mlp_bias
        )
        written = written.expand_as(self.change)
        seen = reads + change if receives or passes else reads
        if receives or self.stream is not None:
            written = output(seen if receives else reads)
            self.stream = middle + written
        if passes:
            between = self.first < span.start
            if block.parts is None:
                between = between & ~self.senders[:, span.start]
            if between.any():
                self.change[between] += output(seen[between]) - written[between]
        for part in self.senders[:, span].any(0).nonzero()[:, 0].tolist():
            own = written
            if block.parts is not None:
                # What a part added to the change as one between, it takes back as a sender.
                own = block.mlp_outputs(block.mlp_norm(seen.flatten(0, 1)), [part])[0].unflatten(0, reads.shape[:2])
            self._send(span.start + part, own)
