"""The intact model with one edge cut, for every edge: its true effect, at a fraction of a pass each.

With the edge w → r alone ablated, channel r reads

    x_r − (clean_w − ablated_w)

and everything else is the plain model on a changed residual stream. So no bank of node outputs is needed, and

* all senders of all of a sublayer's channels are rows of one batch;
* layers before r are not run, and of r's own layer only the one query, key or value is projected again;
* positions before the first at which anything is ablated keep the clean run's keys and values, and the last layer
  needs its last position alone;
* an edge into the logits needs a norm and an unembedding, no layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone.models._block import QKV, Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._few_tokens import logits_of
from wheatstone.models._memory import circuit_bytes, in_pieces
from wheatstone.models._streams import Streams, record_streams
from wheatstone.models._tokens import Tokens

_TOKENS = 1024
"""Rows x positions of a batch: larger ones are no faster per row on a CPU, and want memory."""

Edge = tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Prompt:
    """One prompt's own run, from the first position at which any node's output is ablated.

    Args:
        tokens: the prompt, without padding.
        start: that position.
        stream: of the residual stream, as in `Streams`.
        differences: clean less ablated output of every node.
        ablated_mlp: what the first layer's MLP writes on an ablated edge.
        qkv: of each layer, at all positions.
    """

    tokens: Tokens
    start: int
    stream: Float[Tensor, "place suffix d_model"]
    differences: Float[Tensor, "node suffix d_model"]
    ablated_mlp: Float[Tensor, "suffix d_model"]
    qkv: list[QKV]


class SingleEdges:
    """Runs with one edge cut.

    Args:
        model: the model.
        tokens: the clean prompts.
        ablated: what each node writes on an ablated edge.
        budget: bytes that a batch may take.
        vocabulary: token ids to give logits of; all by default.
    """

    def __init__(
        self,
        model: Decoder,
        tokens: Tokens,
        ablated: Float[Tensor, "node batch pos d_model"],
        budget: int,
        vocabulary: Int[Tensor, " vocab"] | None = None,
    ) -> None:
        self.model, self.graph, self.vocabulary = model, model.graph, vocabulary
        plain = record_streams(model, tokens)
        self.prompts = [self._prompt(plain, ablated, row) for row in range(tokens.batch)]
        suffix = max(prompt.differences.shape[1] for prompt in self.prompts)
        size = model.vocabulary if vocabulary is None else len(vocabulary)
        each = circuit_bytes(model, tokens, 0)[0] + 4 * tokens.batch * size * model.dtype.itemsize
        self.rows = max(1, min(_TOKENS // suffix, budget // each))

    def _prompt(self, plain: Streams, ablated: Tensor, row: int) -> _Prompt:
        length = int(plain.tokens.lengths[row])
        differences = plain.nodes[:, row, :length] - ablated[:, row, :length]
        differs = differences.any(0).any(-1)
        start = int(differs.nonzero()[0]) if differs.any() else length - 1
        stream = plain.stream[:, row, :length]
        layers = zip(self.model.blocks, stream[::2, None], strict=False)
        return _Prompt(
            tokens=Tokens(plain.tokens.ids[row : row + 1, :length], plain.tokens.lengths[row : row + 1]),
            start=start,
            stream=stream[:, start:],
            differences=differences[:, start:],
            ablated_mlp=self._whole_mlp(ablated[self.graph.mlp_nodes(0), row, start:length]),
            qkv=[_projected(block, x) for block, x in layers],
        )

    def _whole_mlp(self, parts: Float[Tensor, "part suffix d_model"]) -> Float[Tensor, "suffix d_model"]:
        """What the first layer's MLP writes if its parts write this."""
        bias = self.model.blocks[0].mlp_bias
        return parts.sum(0) if bias is None else parts.sum(0) + bias

    def batches(self) -> Iterator[list[Edge]]:
        """Every edge once, in batches that share a sublayer, late ones first."""
        graph = self.graph
        stages = [(graph.logits_channel,)]
        for layer in reversed(range(graph.layers)):
            attention = graph.attention_channels(layer)
            stages += [(graph.mlp_channel(layer),), tuple(range(attention.start, attention.stop))]
        for channels in stages:
            edges = [(channel, node) for node in range(graph.senders[channels[0]]) for channel in channels]
            while edges:
                batch = edges[: self.rows]
                edges = edges[len(batch) :]
                yield batch

    def run(self, edges: Sequence[Edge]) -> Float[Tensor, "edge batch vocab"]:
        """Logits without each edge of a batch; in smaller pieces where memory runs out."""

        def piece(which: slice, rows: slice) -> Tensor:
            return torch.stack([self._without(prompt, edges[which]) for prompt in self.prompts[rows]], dim=1)

        whole = (len(edges), len(self.prompts))
        if self.vocabulary is None:
            return in_pieces(piece, whole, whole)
        return logits_of(self.model.module, self.vocabulary, lambda: in_pieces(piece, whole, whole))

    def _without(self, prompt: _Prompt, edges: Sequence[Edge]) -> Float[Tensor, "edge vocab"]:
        """Logits at one prompt's last position without each of some edges into one sublayer."""
        graph, channel = self.graph, edges[0][0]
        if channel == graph.logits_channel:
            senders = [node for _, node in edges]
            return self.model.unembed(prompt.stream[-1, -1] - prompt.differences[senders, -1])
        first, inner = divmod(channel, graph.layer_channels)
        cut_mlp, last = inner == graph.layer_channels - 1, graph.layers - 1

        def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
            if index < first:
                return x
            block, start = self.model.blocks[index], prompt.start
            at = slice(-1 if index == last else 0, None)
            if index == first:
                x = prompt.stream[2 * first].expand(len(edges), -1, -1)
            if index == first and cut_mlp:
                x, middle = x[:, at], prompt.stream[None, 2 * first + 1, at]
            else:
                qkv = self._cut_qkv(prompt, block, edges) if index == first else self._qkv(prompt, block, x)
                z, x = block.attend(qkv, call)[:, start:][:, at].contiguous(), x[:, at]
                middle = x + block.attention_output(z)
            read = x if graph.parallel else middle
            if index == first and cut_mlp:
                x = middle + self._cut_mlp(prompt, block, read, edges)
            else:
                x = middle + block.mlp_output(block.mlp_norm(read))
            return x.expand(-1, prompt.tokens.width, -1) if index == last else x

        return self.model.run(prompt.tokens.repeat(len(edges)), layer)

    def _qkv(self, prompt: _Prompt, block: Block, x: Float[Tensor, "edge suffix d_model"]) -> QKV:
        """Queries, keys and values: those of the clean run before the first ablated position."""
        parts = zip(prompt.qkv[block.index], block.qkv(block.attention_norm(x)), strict=True)
        return QKV(*(torch.cat([clean[:, : prompt.start].expand(len(x), -1, -1, -1), own], 1) for clean, own in parts))

    def _cut_qkv(self, prompt: _Prompt, block: Block, edges: Sequence[Edge]) -> QKV:
        """Those of the clean run, but for each edge's own channel."""
        graph, index = self.graph, block.index
        nodes, which = torch.tensor([node for _, node in edges]).unique(return_inverse=True)
        read = prompt.stream[2 * index] - prompt.differences[nodes]
        inner = torch.tensor([channel for channel, _ in edges]) - graph.attention_channels(index).start
        positions = torch.arange(prompt.start, prompt.tokens.width)
        parts: list[Tensor] = []
        offset = 0
        for clean, cut in zip(prompt.qkv[index], block.qkv(block.attention_norm(read)), strict=True):
            own = clean.repeat(len(edges), 1, 1, 1)
            rows = ((inner >= offset) & (inner < offset + clean.shape[2])).nonzero()
            head = inner[rows] - offset
            own[rows, positions, head] = cut[which[rows], positions - prompt.start, head]
            offset += clean.shape[2]
            parts.append(own)
        return QKV(*parts)

    def _cut_mlp(
        self, prompt: _Prompt, block: Block, read: Float[Tensor, "#edge pos d_model"], edges: Sequence[Edge]
    ) -> Float[Tensor, "#edge pos d_model"]:
        """What the MLP writes without each edge; its ablated output where it then reads nothing at all."""
        positions = slice(-read.shape[1], None)
        if self.graph.senders[edges[0][0]] == 1:
            return prompt.ablated_mlp[None, positions]
        senders = [node for _, node in edges]
        return block.mlp_output(block.mlp_norm(read - prompt.differences[senders, positions]))


def _projected(block: Block, x: Float[Tensor, "batch pos d_model"]) -> QKV:
    """What attention of a plain run sees, outside any run."""
    with block.present():
        return block.qkv(block.attention_norm(x))
