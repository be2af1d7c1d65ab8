"""Edges between nodes: what each node writes, as the nodes that read it take it in, in units of the answer.

Under linear rules (`wheatstone.models.LINEAR`) attention patterns, the scales of norms and the slopes of activation
functions are those of this run, and each factor of a gated MLP carries half. Then what a node t does for the answer is
a linear function of the residual stream that it reads, with a gradient r[t] by that stream at each position; and the
stream is the sum of what nodes wrote before. So

    edge(s → t) = r[t] at s's position · (what s writes − what it writes ablated)

is in units of the metric (logits), the edges into a node add up to r[t] · (stream − ablated stream), and the edges out
of a node to gradient · change at the node. Nothing is left over: what nodes that are not in the graph send is one
further number, `rest`.

For every node there is one backward pass through one sublayer, and those of a sublayer go together.

Source of the rules: Rezaei Jafari et al. 2025 (RelP, arXiv 2508.21258).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wheatstone._view import Brief
from wheatstone.graphs._nodes import Node
from wheatstone.graphs._question import Baseline
from wheatstone.models import LINEAR, Block, NodeRun, ResidualModel, Tokens, backward_rules, wide

_TOKENS = 4096
"""Tokens that one sublayer is run on at a time."""


@dataclass(frozen=True, eq=False)
class Edges(Brief):
    """Edges between the nodes of a graph and into its target.

    Args:
        weights: of the edge from each node (columns) to each node and, last, to the target (rows); in logits.
        totals: what all nodes of the model send to each of them together.
        sent: what each node sends to all nodes of the model and the target together.
        written: what each node writes more than ablated.
        rounding: the largest relative difference, over sublayers, between what the linear rules make of the stream that
            nodes read and what these nodes do: 0 but for rounding.
    """

    weights: Float[Tensor, "row node"]
    totals: Float[Tensor, " row"]
    sent: Float[Tensor, " node"]
    written: Float[Tensor, "node d_model"]
    rounding: float

    @property
    def rest(self) -> Float[Tensor, " row"]:
        """What nodes outside the graph send."""
        return self.totals - self.weights.sum(1)


def edges_of(
    model: ResidualModel, tokens: Tokens, run: NodeRun, baseline: Baseline | None, nodes: Sequence[Node]
) -> Edges:
    """Edges between nodes of one prompt, and from them to the target.

    Args:
        model: the model.
        tokens: the prompt, alone.
        run: its run with gradients of the target under linear rules.
        baseline: what nodes write ablated; None for nothing, so that an edge is all that a node sends.
        nodes: tokens, heads and neurons.

    When this misleads: the rules hold a pattern where it is, so that an edge says what a head moves, not why it looks
    there; and they are an approximation of the model. What nodes do together is measured by running them alone.
    """
    walk = _Walk(model, run, baseline, nodes)
    with backward_rules(model, LINEAR):
        model.run(tokens, walk.layer)
    return walk.edges()


class _Walk:
    """One more run of the prompt, in which every sublayer says what its nodes of the graph read and write.

    `change` is the stream of what all nodes so far have written more than ablated ones.
    """

    def __init__(self, model: ResidualModel, run: NodeRun, baseline: Baseline | None, nodes: Sequence[Node]) -> None:
        assert run.gradients is not None
        self.model, self.run, self.baseline, self.nodes = model, run, baseline, nodes
        self.gradients = run.gradients
        self._ablated = None if baseline is None else baseline.values
        self.parallel = model.graph.parallel
        self.change = wide(run.input[0] if baseline is None else run.input[0] - baseline.input.to(run.input)[0])
        self.written = torch.zeros(len(nodes), model.d_model, dtype=self.change.dtype)
        self.totals = torch.zeros(len(nodes) + 1, dtype=torch.float64)
        self.rounding = 0.0
        self.reads: defaultdict[int, list[tuple[Int[Tensor, " n"], Float[Tensor, "n d_model"]]]] = defaultdict(list)
        """By position: rows and what they read there, as gradients by the residual stream."""
        self.sublayers: defaultdict[int, list[int]] = defaultdict(list)
        for number, node in enumerate(nodes):
            if node.kind == "token":
                self.written[number] = self.change[node.position].cpu()
            self.sublayers[node.depth].append(number)

    def layer(self, index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        """A decoder layer, taken apart."""
        block = self.model.blocks[index]
        with torch.no_grad():
            z = block.attend(block.qkv(block.attention_norm(x)), call)
            middle = x + block.attention_output(z)
            mlp_in = x if self.parallel else middle
            mlp, activations = block.mlp_opened(block.mlp_norm(mlp_in))
        heads = self._heads(block, x, call, z)
        before = self.change
        if not self.parallel:
            self.change = before + heads
        neurons = self._neurons(block, mlp_in, activations.view(*x.shape[:2], -1))
        self.change = before + heads + neurons
        return middle + mlp

    def _heads(self, block: Block, x: Tensor, call: dict[str, Any], z: Tensor) -> Float[Tensor, "pos d_model"]:
        """What the layer's heads read and write; returns what all of them write more than ablated."""
        mixed, slopes = self.run.values.heads[block.index][0], self.gradients.heads[block.index][0]
        ablated = self._ablated and self._ablated.heads[block.index].to(mixed)[0]
        difference, scale = mixed if ablated is None else mixed - ablated, block.output_scale(z)[0]
        mine = self.sublayers[2 * block.index + 1]
        if mine:
            where, which = self._where(mine)
            outputs = torch.einsum("ne,ned->nd", difference[where, which], block.head_weights[which])
            self.written[mine] = wide(outputs * scale[where]).cpu()
            slope, value = slopes[where, which], mixed[where, which]
            width = x.shape[1]
            for part in torch.arange(len(mine)).split(max(1, _TOKENS // width)):
                # The same stream once for each node, so that one backward pass gives every node its own gradient.
                with torch.enable_grad():
                    stream = x.detach().expand(len(part), -1, -1).clone().requires_grad_()
                    normed = block.attention_norm(stream)
                    qkv = block.qkv(normed)
                    read = block.attend(qkv, call).unflatten(-1, (block.heads, -1))
                    picked = (read[torch.arange(len(part)), where[part], which[part]] * slope[part]).sum()
                    gradient, by_norm, by_value = torch.autograd.grad(picked, (stream, normed, qkv.v))
                biases = None if block.qkv_biases is None else block.qkv_biases[2]
                constant = _constant(by_norm, block.attention_norm.bias) + _constant(by_value, biases)
                rows = torch.tensor(mine)[part]
                for position in range(width):
                    self.reads[position].append((rows, wide(gradient[:, position]).cpu()))
                self._sum(rows, gradient, self.change, x[0], (slope[part] * value[part]).sum(-1) - constant)
        return wide(torch.einsum("phe,hed->pd", difference, block.head_weights) * scale)

    def _neurons(self, block: Block, x: Tensor, activations: Tensor) -> Float[Tensor, "pos d_model"]:
        """What the layer's neurons read and write, likewise."""
        values, slopes = self.run.values.neurons[block.index][0], self.gradients.neurons[block.index][0]
        ablated = self._ablated and self._ablated.neurons[block.index].to(values)[0]
        difference, scale = values if ablated is None else values - ablated, block.neuron_scale(activations)[0]
        mine = self.sublayers[2 * block.index + 2]
        if mine:
            where, which = self._where(mine)
            columns = block.neuron_weights[which]
            self.written[mine] = wide(difference[where, which, None] * columns * scale[where]).cpu()
            slope = slopes[where, which]
            with torch.enable_grad(), _outputs_with_bias(block) as outputs:
                stream = x.detach()[:, where].clone().requires_grad_()  # an MLP reads each position alone
                opened = block.mlp_opened(block.mlp_norm(stream))[1].view(len(mine), -1)
                picked = (opened[torch.arange(len(mine)), which] * slope).sum()
                gradient, *by_output = torch.autograd.grad(picked, (stream, *(output for output, _ in outputs)))
            constant = sum(
                (_constant(by.view(len(mine), -1), bias) for by, (_, bias) in zip(by_output, outputs, strict=True)),
                picked.new_zeros(()),
            )
            gradient, rows = gradient[0], torch.tensor(mine)
            for position in where.unique().tolist():
                here = where == position
                self.reads[position].append((rows[here], wide(gradient[here]).cpu()))
            value = slope * values[where, which] - constant
            self._sum(rows, gradient[:, None], self.change[where, None], x[0, where, None], value)
        return wide((difference @ block.neuron_weights) * scale)

    def _where(self, which: Sequence[int]) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Positions and indices of some nodes."""
        places = [(self.nodes[number].position, self.nodes[number].index) for number in which]
        position, index = torch.tensor(places).T
        return position, index

    def _sum(
        self,
        rows: Int[Tensor, " n"],
        gradient: Float[Tensor, "n at d_model"],
        change: Float[Tensor, "*n at d_model"],
        x: Float[Tensor, "*n at d_model"],
        value: Float[Tensor, " n"],
    ) -> None:
        """Adds up what some nodes read, and compares it with what they do.

        Args:
            rows: the nodes.
            gradient: by the stream at the positions that they read.
            change: what all nodes before have written there more than ablated ones.
            x: the stream there.
            value: what the nodes do, times its gradient, less what constants of the weights contribute.
        """
        gradient = wide(gradient)
        self.totals[rows] = (gradient * change).sum((1, 2)).double().cpu()
        size = (gradient * x).abs().sum((1, 2)).max().clamp_min(1e-30)
        self.rounding = max(self.rounding, float(((gradient * x).sum((1, 2)) - value).abs().max() / size))

    def edges(self) -> Edges:
        """Products of what is read and what is written, at each position; 0 where a node writes too late to be read."""
        assert self.run.final_gradient is not None
        final, nodes = wide(self.run.final_gradient[0]), self.nodes
        self.totals[-1] = (final * self.change).sum().double().cpu()
        for position, gradient in enumerate(final.cpu()):
            self.reads[position].append((torch.tensor([len(nodes)]), gradient[None]))
        writes = torch.tensor([node.depth for node in nodes])
        last = 2 * self.model.graph.layers + 1
        # In a parallel layer the MLP reads the stream that the heads read.
        reads = torch.tensor([node.depth - (self.parallel and node.kind == "neuron") for node in nodes] + [last])
        at = torch.tensor([node.position for node in nodes])
        weights = torch.zeros(len(nodes) + 1, len(nodes), dtype=self.written.dtype)
        for position, parts in self.reads.items():
            senders = (at == position).nonzero()[:, 0]
            rows, gradients = (torch.cat(part) for part in zip(*parts, strict=True))
            found = gradients @ self.written[senders].T
            weights[rows[:, None], senders] = torch.where(writes[senders] < reads[rows, None], found, 0.0)
        return Edges(weights, self.totals.to(weights.dtype), self._sent(), self.written, self.rounding)

    def _sent(self) -> Float[Tensor, " node"]:
        """Gradient times change of every node."""
        run = self.run
        assert run.input_gradient is not None
        slopes = self.gradients.slopes(run.values, self._ablated)
        tokens = run.input if self.baseline is None else run.input - self.baseline.input.to(run.input)
        by_token = (run.input_gradient * tokens).sum(-1)[0]
        kinds = {"head": slopes.heads, "neuron": slopes.neurons}
        return torch.tensor(
            [
                float(by_token[node.position])
                if node.kind == "token"
                else float(kinds[node.kind][node.layer][0, node.position, node.index])
                for node in self.nodes
            ]
        )


def _constant(gradient: Float[Tensor, "n *at"], bias: Tensor | None) -> Float[Tensor, " n"]:
    """What a bias contributes to what each node does."""
    return gradient.new_zeros(len(gradient)) if bias is None else (gradient * bias).flatten(1).sum(1)


@contextmanager
def _outputs_with_bias(block: Block) -> Generator[list[tuple[Tensor, Tensor]], None, None]:
    """While this lasts, notes what the MLP's norm and projections give before the neurons, with their biases."""
    found: list[tuple[Tensor, Tensor]] = []
    inside = [block.mlp_norm.module, *block.mlp.modules()]
    biases: dict[nn.Module, Tensor] = {}
    for module in inside:
        bias = None if module is None or module is block.neurons_in else getattr(module, "bias", None)
        if module is not None and isinstance(bias, Tensor):
            biases[module] = bias

    def noted(module: nn.Module, _inputs: Any, output: Tensor) -> None:
        found.append((output, biases[module]))

    handles = [module.register_forward_hook(noted) for module in biases]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
