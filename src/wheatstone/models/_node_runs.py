"""Runs with a gate at every head and every neuron, at every position.

A gate g says how much of a node's own value counts; the rest is what the node does elsewhere:

    value used = ablated + g · (value computed − ablated)

A head's value is what it mixes from the positions it looks at, before the output projection; a neuron's is its
activation. With all gates at 1 the model runs as ever; with gates of 0 and 1 a set of nodes runs alone, with everything
else ablated and attention computed again. The input (the embeddings) is always the prompt's own.

The gradient of a loss by a gate follows from that at the value used: it is their product with (computed − ablated). So
one forward and one backward pass give the slopes of all gates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models._backward import BackwardRules, backward_rules
from wheatstone.models._decoder import Decoder
from wheatstone.models._tokens import Tokens

Heads = tuple[Float[Tensor, "batch pos head *d_head"], ...]
Neurons = tuple[Float[Tensor, "batch pos _neuron"], ...]


@dataclass(frozen=True, eq=False, repr=False)
class NodeValues(Brief):
    """Something about every head and neuron, layer by layer.

    Args:
        heads: of every layer, [batch, pos, head, d_head] of their values or gradients, [batch, pos, head] of gates.
        neurons: of every layer.
    """

    heads: Heads
    neurons: Neurons

    def rows(self, which: slice | Int[Tensor, " row"]) -> NodeValues:
        """Of some prompts alone."""
        return NodeValues(tuple(part[which] for part in self.heads), tuple(part[which] for part in self.neurons))

    def slopes(self, values: NodeValues, ablated: NodeValues | None) -> NodeValues:
        """These gradients at the values used, as slopes by the gates.

        Args:
            values: as computed.
            ablated: what replaces them; 0 by default, which gives gradient times value.
        """
        heads, neurons = values.heads, values.neurons
        if ablated is not None:
            heads = tuple(own - other for own, other in zip(heads, ablated.heads, strict=True))
            neurons = tuple(own - other for own, other in zip(neurons, ablated.neurons, strict=True))
        return NodeValues(
            tuple((slope * change).sum(-1) for slope, change in zip(self.heads, heads, strict=True)),
            tuple(slope * change for slope, change in zip(self.neurons, neurons, strict=True)),
        )


@dataclass(frozen=True, eq=False, repr=False)
class NodeRun(Brief):
    """What a run with gates left behind.

    Args:
        logits: at each prompt's last position.
        input: what the embeddings write.
        values: of all nodes as computed, before their gates.
        gradients: of the loss at the values used; None where no loss was given.
        input_gradient: of the loss at the input.
        final_gradient: of the loss at the residual stream that the unembedding reads.
    """

    logits: Float[Tensor, "batch vocab"]
    input: Float[Tensor, "batch pos d_model"]
    values: NodeValues
    gradients: NodeValues | None = None
    input_gradient: Float[Tensor, "batch pos d_model"] | None = None
    final_gradient: Float[Tensor, "batch pos d_model"] | None = None


def run_nodes(
    model: Decoder,
    tokens: Tokens,
    *,
    gates: NodeValues | None = None,
    ablated: NodeValues | None = None,
    loss: Callable[[Float[Tensor, "batch vocab"]], Tensor] | None = None,
    rules: BackwardRules | None = None,
) -> NodeRun:
    """Runs prompts with gates at all nodes.

    Args:
        model: every MLP of which has neurons.
        tokens: the prompts.
        gates: of every node, broadcast over prompts and positions; 1 by default.
        ablated: what counts where a gate is closed, broadcast likewise; 0 by default.
        loss: of the logits; a number for each prompt, or one for all. Their sum is differentiated.
        rules: of the backward pass; None for the model's own gradients.

    Raises:
        ModelError: an MLP has no neurons, or see `backward_rules`.
    """
    heads: list[Tensor] = []
    neurons: list[Tensor] = []
    used: list[Tensor] = []
    ends: list[Tensor] = []

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        if index == 0:
            x = x.detach().requires_grad_(loss is not None)
            ends.append(x)
        z = block.attend(block.qkv(block.attention_norm(x)), call)
        mixed = z.unflatten(-1, (block.heads, -1))
        heads.append(mixed)
        used.append(_gated(mixed, gates and gates.heads[index][..., None], ablated and ablated.heads[index]))
        middle = x + block.attention_output(used[-1].flatten(-2))

        def gate(activations: Tensor) -> Tensor:
            shaped = activations.view(tokens.batch, tokens.width, -1)  # some MLPs run on tokens without their prompts
            neurons.append(shaped)
            used.append(_gated(shaped, gates and gates.neurons[index], ablated and ablated.neurons[index]))
            return used[-1].view_as(activations)

        out = middle + block.mlp_gated(block.mlp_norm(x if model.graph.parallel else middle), gate)
        if index == model.graph.layers - 1:
            ends.append(out)
        return out

    with torch.set_grad_enabled(loss is not None):
        with backward_rules(model, rules):
            logits = model.run(tokens, layer)
        values = NodeValues(tuple(part.detach() for part in heads), tuple(part.detach() for part in neurons))
        if loss is None:
            return NodeRun(logits, ends[0], values)
        # A node that nothing reads (behind constant patterns, say) has no gradient: 0.
        found = torch.autograd.grad(loss(logits).sum(), [*used, *ends], materialize_grads=True)
    return NodeRun(
        logits.detach(), ends[0].detach(), values, NodeValues(found[0:-2:2], found[1:-2:2]), found[-2], found[-1]
    )


def _gated(value: Tensor, gate: Tensor | None, ablated: Tensor | None) -> Tensor:
    if gate is None:
        return value.view_as(value)  # with a gradient of its own
    gate = gate.to(value)
    return value * gate if ablated is None else ablated + gate * (value - ablated)
