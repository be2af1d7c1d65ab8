"""The rewired forward pass: many circuits x many prompts in one run.

Channel r of circuit c reads

    x[c, r] = a[r] + sum over nodes w of keep[c, r, w] · (current[c, w] − ablated[w])

where a[r] is the residual stream of the ablated run at r. So a kept edge carries what its node writes *in this
circuit*, and every other edge what the node writes in the ablated run.

A node that kept edges do not reach from `input` writes its ablated value: under the counterfactual ablation that is
what it would compute, under any other it is the definition. A node that cannot reach the logits over kept edges does
not matter. Neither is computed: the cost of a circuit grows with its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models._block import QKV, Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._node_outputs import Ablated, part_of
from wheatstone.models._spans import Span, span_positions
from wheatstone.models._tokens import Tokens

_FEW = 0.5
"""Share of the earlier nodes, below which those that a sublayer reads are copied before they are added up."""


@dataclass(frozen=True, eq=False, repr=False)
class CircuitState(Brief):
    """What one circuit's run computed, for runs of its sub-circuits to start from.

    Args:
        keep: the circuit.
        nodes: indices of the nodes that were computed, in order.
        deltas: what each of them wrote, less its ablated output.
    """

    keep: Bool[Tensor, "channel node"]
    nodes: list[int]
    deltas: Float[Tensor, "computed batch pos d_model"]

    def computes_all_of(self, keep: Bool[Tensor, "circuit channel node"]) -> bool:
        """Whether circuits differ from this one in their edges into the logits alone, so that no node runs again."""
        return bool((keep[:, :-1] == self.keep[:-1]).all())


@dataclass(frozen=True, eq=False, repr=False)
class CircuitRun(Brief):
    """What a rewired run gives back.

    Args:
        logits: of each circuit at each prompt's last position, or at all of them.
        state: of the first circuit.
    """

    logits: Float[Tensor, "circuit batch *places vocab"]
    state: CircuitState


class Rewired:
    """One rewired pass; call `run` once.

    Args:
        model: the model.
        tokens: the clean prompts.
        ablated: what each node writes on an ablated edge.
        keep: kept edges, on the CPU.
        resume: start from this circuit's run; every circuit of `keep` must be part of it.
        gradients: keep what `edge_gradients` needs.
        spans: a partition of the positions; senders then are (node, span). Nodes by default.
        start: positions before it are the same in clean and ablated run: every difference is 0 there, and none is
            computed.
    """

    def __init__(
        self,
        model: Decoder,
        tokens: Tokens,
        ablated: Ablated,
        keep: Bool[Tensor, "circuit channel sender"],
        *,
        resume: CircuitState | None = None,
        gradients: bool = False,
        spans: Sequence[Span] = (),
        start: int = 0,
    ) -> None:
        graph = model.graph
        self.start = start
        self.spans = [[place - start for place in at if place >= start] for at in span_positions(spans, tokens.width)]
        kept_at = keep.unflatten(-1, (-1, max(1, len(spans))))
        kept_at = kept_at & torch.from_numpy(graph.live_nodes(kept_at.any(-1).numpy()))[:, None, :, None]
        keep = kept_at.flatten(-2)
        union = kept_at.any(-1).any(0).numpy()
        if resume is None:
            nodes = np.flatnonzero(graph.needed_nodes(union))
        else:
            if (keep & ~resume.keep).any():
                raise ValueError("a run can only resume from a circuit that contains it")
            nodes = np.asarray(resume.nodes, dtype=np.int64)
        kept_at = kept_at[:, :, torch.from_numpy(nodes)]
        kept = kept_at.any(-1)
        self.model, self.tokens, self.keep = model, tokens, keep
        self.ablated = part_of(ablated)
        """What the nodes of a sublayer write on an ablated edge."""
        self.nodes = nodes
        self.readable = np.searchsorted(nodes, graph.senders)
        """How many of the computed nodes each channel can read."""
        self.senders = kept.any(0).numpy()
        """Which computed nodes each channel reads, in any circuit."""
        self.kept_any = kept.any(0).any(-1).numpy()
        self.kept_all = kept_at.all(-1).all(0).sum(-1).numpy() == self.readable
        self.columns = kept_at.to(model.device, model.dtype)
        self.gradients = gradients
        self.leaves: list[tuple[list[int], Tensor]] = []
        self.parts: list[Tensor] = []
        self.count = self.resumed = 0
        """How many of the computed nodes are known, and the first node of the graph that is not taken over."""
        if resume is not None and resume.computes_all_of(keep):
            self.count, self.resumed = len(nodes), len(graph.nodes)
            self.deltas = resume.deltas[:, None]  # of all circuits: copies would be most of the cost
        else:
            shape = (len(nodes), len(keep), tokens.batch, tokens.width - start, model.d_model)
            self.deltas = torch.empty(shape, device=model.device, dtype=model.dtype)
            if resume is not None:
                self._resume(resume)

    def _resume(self, state: CircuitState) -> None:
        """Takes over the nodes that come before the first channel where a circuit differs."""
        graph = self.model.graph
        layer, inner = divmod(int((self.keep != state.keep).any(0).any(-1).nonzero()[0]), graph.layer_channels)
        in_mlp = inner == graph.layer_channels - 1
        self.resumed = (graph.mlp_nodes(layer) if in_mlp else graph.head_nodes(layer)).start
        self.count = int(np.searchsorted(self.nodes, self.resumed))
        self.deltas[: self.count] = state.deltas[: self.count, None]

    def run(self, *, all_positions: bool = False) -> CircuitRun:
        """Runs all circuits on all prompts."""
        self.base = self.ablated(slice(0, 1))[0]
        logits = self.model.run(self.tokens.repeat(len(self.keep)), self._layer, all_positions=all_positions)
        first = CircuitState(self.keep[0], self.nodes.tolist(), self._written()[:, 0].detach())
        return CircuitRun(logits.unflatten(0, (len(self.keep), self.tokens.batch)), first)

    def edge_gradients(self, values: Float[Tensor, "circuit batch"]) -> Float[Tensor, "circuit channel sender"]:
        """Derivative of the summed values by every entry of `keep`, between computed nodes.

        Exact for the present circuit: a first-order estimate of adding (or removing) one whole edge.
        """
        leaves = [leaf for _, leaf in self.leaves]
        grads = torch.autograd.grad(values.sum(), leaves, materialize_grads=True)
        written = self._written().detach()
        result = self.columns.new_zeros(self.keep.shape).unflatten(-1, (-1, len(self.spans)))
        for (channels, _), grad in zip(self.leaves, grads, strict=True):
            count = self.readable[channels[0]]
            grad = grad.unflatten(1, (len(self.keep), -1))
            for span, at in enumerate(self.spans):
                rows = grad[..., at, :].flatten(2).transpose(0, 1)
                scores = torch.bmm(rows, written[:count, ..., at, :].flatten(2).permute(1, 2, 0))
                result[:, torch.tensor(channels)[:, None], torch.from_numpy(self.nodes[:count]), span] = scores
        return result.flatten(-2)

    def _layer(self, index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        graph, block = self.model.graph, self.model.blocks[index]
        if index == 0 and 0 in self.nodes and self.resumed == 0:
            self._append(x[None, :, self.start :], self.base[None])
        before = self.base
        span = graph.head_nodes(index)
        ablated = self.ablated(span)
        if heads := self._to_compute(span):
            qkv = self._attention_inputs(block, list(range(graph.heads)) if graph.coupled_heads else heads)
            if qkv is None:
                self._append_ablated(len(heads))
            else:
                self._append(block.head_outputs(block.attend(qkv, call)[:, self.start :], heads), ablated[heads])
        self.base = self.base + ablated.sum(0)
        if block.output_bias is not None:
            self.base = self.base + block.output_bias.to(self.base.device)
        span = graph.mlp_nodes(index)
        ablated = self.ablated(span)
        if parts := self._to_compute(span):
            base, channel = before if graph.parallel else self.base, graph.mlp_channel(index)
            if self.kept_any[channel]:
                written = block.mlp_outputs(block.mlp_norm(self._inputs([channel], base)[0]), parts)
                self._append(written, ablated[parts])
            else:
                self._append_ablated(len(parts))
        self.base = self.base + ablated.sum(0)
        if block.mlp_bias is not None:
            self.base = self.base + block.mlp_bias.to(self.base.device)
        if index < graph.layers - 1:
            return x
        read = self._inputs([graph.logits_channel], self.base)[0]
        return torch.cat((self.base[:, : self.start].repeat(len(self.keep), 1, 1).to(read), read), dim=1)

    def _to_compute(self, span: slice) -> list[int]:
        """Which nodes of a sublayer to compute, counted from its first."""
        if self.resumed >= span.stop:
            return []
        first, last = np.searchsorted(self.nodes, (span.start, span.stop))
        return (self.nodes[first:last] - span.start).tolist()

    def _append(
        self,
        outputs: Float[Tensor, "node circuit_batch changed d_model"],
        ablated: Float[Tensor, "node batch pos d_model"],
    ) -> None:
        """Notes what the next nodes wrote, less what they write ablated."""
        at = slice(self.count, self.count + len(outputs))
        part = outputs.to(ablated.device).unflatten(1, (len(self.keep), -1)) - ablated[:, None, :, self.start :]
        if torch.is_grad_enabled():
            self.parts.append(part)
        else:
            self.deltas[at] = part
        self.count = at.stop

    def _append_ablated(self, count: int) -> None:
        """Notes that the next nodes write their ablated outputs in all circuits."""
        self.deltas[self.count : self.count + count] = 0
        self.count += count

    def _written(self) -> Float[Tensor, "computed circuit batch pos d_model"]:
        if not self.parts:
            return self.deltas[: self.count]
        self.parts = [torch.cat(self.parts)]
        return self.parts[0]

    def _inputs(
        self, channels: list[int], base: Float[Tensor, "batch pos d_model"]
    ) -> Float[Tensor, "channel circuit_batch changed d_model"]:
        """Assembles what channels of one sublayer read, from `start` on."""
        base, count = base[:, self.start :], self.readable[channels[0]]
        written = self._written()[:count]
        shared = written.shape[1] < len(self.keep)
        if not self.gradients and not shared and self.kept_all[channels].all():
            return (base + written.sum(0)).flatten(0, 1)[None].expand(len(channels), -1, -1, -1)
        rows = self.columns[:, channels, :count]
        # A small circuit's channels read few of the nodes before them: copying these costs less than adding up all.
        used = np.flatnonzero(self.senders[channels, :count].any(0))
        if len(used) < _FEW * count:
            chosen = torch.from_numpy(used).to(written.device)
            rows, written = rows.index_select(2, chosen), written.index_select(0, chosen)
        if len(self.spans) > 1:
            read = written.new_zeros(len(channels), len(self.keep), *written.shape[2:])
            for span, at in enumerate(self.spans):
                part = written[..., at, :]
                read[..., at, :] = _summed(rows[..., span], part.flatten(2)).unflatten(2, part.shape[2:])
        else:
            read = _summed(rows[..., 0], written.flatten(2)).unflatten(2, base.shape)
        inputs = read + base
        inputs = inputs.flatten(1, 2)
        if self.gradients:
            leaf = torch.zeros_like(inputs, requires_grad=True)
            self.leaves.append((channels, leaf))
            inputs = inputs + leaf
        return inputs

    def _attention_inputs(self, block: Block, heads: list[int]) -> QKV | None:
        """Queries, keys and values of all circuits; None where they are the ablated run's in all of them."""
        graph = self.model.graph
        first = graph.attention_channels(block.index).start
        groups = sorted({graph.group_of(head) for head in heads})
        offsets = (0, graph.heads, graph.heads + graph.kv_groups)
        wanted = [
            [row for row in rows if self.gradients or self.kept_any[first + offset + row]]
            for offset, rows in zip(offsets, (heads, groups, groups), strict=True)
        ]
        channels = [first + offset + row for offset, rows in zip(offsets, wanted, strict=True) for row in rows]
        if not channels:
            return None
        every = len(channels) == len(heads) + 2 * len(groups)
        if every and not self.gradients and self.kept_all[channels].all():
            changed = block.qkv(block.attention_norm(self._inputs(channels[:1], self.base)[0]))
            if self.start == 0:
                return changed
            before = block.qkv(block.attention_norm(self.base[:, : self.start]))
            both = zip(before, changed, strict=True)
            return QKV(*(torch.cat((part.repeat(len(self.keep), 1, 1, 1), own), dim=1) for part, own in both))
        ablated = block.qkv(block.attention_norm(self.base))
        inputs = block.attention_norm(self._inputs(channels, self.base)).flatten(1, 2)
        parts: list[Tensor] = []
        for kind, (rows, part) in enumerate(zip(wanted, ablated, strict=True)):
            own = part.repeat(len(self.keep), 1, 1, 1)
            if rows:
                mine, inputs = inputs[: len(rows)], inputs[len(rows) :]
                projected = block.project(kind, mine, rows)
                own[:, self.start :, rows] = projected.unflatten(1, (len(own), -1)).movedim(0, 2)
            parts.append(own)
        return QKV(*parts)


def _summed(
    kept: Float[Tensor, "circuit channel node"], written: Float[Tensor, "node wrote flat"]
) -> Float[Tensor, "channel circuit flat"]:
    """What channels read of what nodes wrote, each circuit its own or all circuits the same."""
    if written.shape[1] < len(kept):
        return (kept @ written[:, 0]).transpose(0, 1)
    return torch.bmm(kept, written.transpose(0, 1)).transpose(0, 1)
