"""What every node writes, kept as small as it is computed and spread out only where it is read.

A head writes W_h z_h, with z_h of d_head numbers; a neuron its activation times its column. Keeping z and the
activations takes, for each token and layer, heads · d_head + d_model (or neurons) numbers instead of nodes · d_model:
a fifth for SmolLM2-135M. Where a norm follows, z is kept times the norm's factor, so that what nodes write is linear
in what is kept: differences and means are differences and means of these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.models._block import Block
from wheatstone.models._decoder import Decoder
from wheatstone.models._tokens import Tokens


@dataclass(frozen=True, eq=False, repr=False)
class NodeOutputs(Brief):
    """What every node writes on some prompts.

    Args:
        model: whose nodes they are.
        values: of the input, then of each layer's attention and MLP: [batch, pos, width].
    """

    model: Decoder
    values: tuple[Float[Tensor, "batch pos _"], ...]

    @property
    def spread_bytes(self) -> int:
        """Bytes of `nodes` for all prompts and positions."""
        return len(self.model.graph.nodes) * self.values[0].nbytes

    def map(self, change: Callable[[Tensor], Tensor]) -> NodeOutputs:
        """The same linear change of everything that is kept, such as a mean over prompts."""
        return NodeOutputs(self.model, tuple(change(value) for value in self.values))

    def rows(self, which: slice) -> NodeOutputs:
        """Some of the prompts."""
        return self.map(lambda value: value[which])

    def after(self, start: int) -> NodeOutputs:
        """The positions from `start` on."""
        return self.map(lambda value: value[:, start:])

    def minus(self, other: NodeOutputs) -> NodeOutputs:
        """What nodes write here less what they write there."""
        pairs = zip(self.values, other.values, strict=True)
        return NodeOutputs(self.model, tuple(ours - theirs for ours, theirs in pairs))

    def part(self, nodes: slice) -> Float[Tensor, "node batch pos d_model"]:
        """What the input, the heads of a layer, or the parts of an MLP write.

        Args:
            nodes: all of one sublayer, as `Graph.head_nodes` and `Graph.mlp_nodes` give them; or those of the input.
        """
        if nodes.start == 0:
            return self.values[0][None]
        layer, place = self.model.graph.place(nodes.start)
        block = self.model.blocks[layer]
        with block.present():
            mlp = place >= self.model.graph.heads
            value = self.values[2 * layer + 1 + mlp]
            return (_mlp_writes(block, value) if mlp else block.writes_of(value)).to(self.values[0].device)

    def some(self, nodes: Sequence[int]) -> Float[Tensor, "node batch pos d_model"]:
        """What some nodes write, in their order; for each of them its sublayer is spread out."""
        graph, rows = self.model.graph, list[Tensor]()
        for node in nodes:
            layer, place = graph.place(node) if node else (0, 0)
            sublayer = graph.head_nodes(layer) if place < graph.heads else graph.mlp_nodes(layer)
            sublayer = sublayer if node else slice(0, 1)
            rows.append(self.part(sublayer)[node - sublayer.start])
        return torch.stack(rows)

    def nodes(self, count: int | None = None) -> Float[Tensor, "node batch pos d_model"]:
        """What all nodes write, or those of the first sublayers.

        Args:
            count: how many nodes; the last must be the last of its sublayer.
        """
        graph = self.model.graph
        count = len(graph.nodes) if count is None else count
        found = self.values[0].new_empty(count, *self.values[0].shape)
        found[0] = self.values[0]
        for layer in range(graph.layers):
            for nodes in (graph.head_nodes(layer), graph.mlp_nodes(layer)):
                if nodes.stop <= count and nodes.start == graph.head_nodes(layer).start:
                    with self.model.blocks[layer].present():
                        self.model.blocks[layer].writes_of(self.values[2 * layer + 1], found[nodes])
                elif nodes.stop <= count:
                    found[nodes] = self.part(nodes)
        return found


Ablated = Float[Tensor, "node batch pos d_model"] | NodeOutputs
"""What each node writes on an ablated edge, spread out or not."""


def ablated_rows(ablated: Ablated, rows: slice) -> Float[Tensor, "node row pos d_model"] | NodeOutputs:
    """That of some prompts."""
    return ablated.rows(rows) if isinstance(ablated, NodeOutputs) else ablated[:, rows]


def part_of(ablated: Ablated) -> Callable[[slice], Float[Tensor, "node batch pos d_model"]]:
    """What gives that of all nodes of one sublayer."""
    return ablated.part if isinstance(ablated, NodeOutputs) else ablated.__getitem__


def outputs_numbers(model: Decoder) -> int:
    """How many numbers are kept of what all nodes write at one token."""
    split = [block.parts for block in model.blocks if block.parts is not None]
    whole = (model.graph.layers - len(split)) * model.d_model
    parts = sum(part.count * (1 if part.into == "neurons" else model.d_model) for part in split)
    return model.d_model + model.graph.layers * model.graph.heads * model.blocks[0].d_head + whole + parts


class OutputsBuilder:
    """Notes what is kept of each layer while a model runs."""

    def __init__(self, model: Decoder) -> None:
        self.model = model
        self.values: list[Tensor] = []

    def input(self, x: Float[Tensor, "batch pos d_model"]) -> None:
        """What the input writes."""
        self.values.append(x.detach())

    @torch.no_grad()
    def layer(self, block: Block, z: Tensor, normed: Tensor, mlp: Tensor) -> None:
        """What a layer's nodes write.

        Args:
            block: the layer.
            z: what its heads give the output projection.
            normed: what its MLP reads.
            mlp: what its MLP writes.
        """
        self.values.append(block.values_of(z.detach()))
        if block.parts is None:
            self.values.append(mlp.detach())
        elif block.parts.into == "neurons":
            _, neurons = block.mlp_opened(normed)
            self.values.append((neurons * block.neuron_scale(neurons)).to(neurons.dtype))
        else:
            self.values.append(block.mlp_outputs(normed).movedim(0, -2).flatten(-2))

    def done(self) -> NodeOutputs:
        """Everything that was noted."""
        return NodeOutputs(self.model, tuple(self.values))


@torch.no_grad()
def record_outputs(model: Decoder, tokens: Tokens) -> tuple[Float[Tensor, "batch vocab"], NodeOutputs]:
    """The plain forward pass: logits at each prompt's last position, and what every node writes."""
    found = OutputsBuilder(model)

    def layer(index: int, x: Tensor, call: dict[str, Any]) -> Tensor:
        block = model.blocks[index]
        if index == 0:
            found.input(x)
        z = block.attend(block.qkv(block.attention_norm(x)), call)
        middle = x + block.attention_output(z)
        normed = block.mlp_norm(x if model.graph.parallel else middle)
        mlp = block.mlp_output(normed)
        found.layer(block, z, normed, mlp)
        return middle + mlp

    return model.run(tokens, layer), found.done()


def _mlp_writes(block: Block, value: Float[Tensor, "batch pos width"]) -> Float[Tensor, "part batch pos d_model"]:
    if block.parts is None:
        return value[None]
    if block.parts.into == "neurons":
        return value.movedim(-1, 0)[..., None] * block.neuron_weights[:, None, None]
    return value.unflatten(-1, (block.parts.count, -1)).movedim(-2, 0)
