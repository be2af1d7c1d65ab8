"""The nodes of a graph: tokens, heads and neurons, each at one position of the prompt.

A node is written as the model's own node and, after an @, the position from 0: `input@5`, `a23.h4@6`, `m25.n1527@6`.
All heads and neurons of a prompt form one axis, layer by layer: first each position's heads, then each position's
neurons. An axis of one position is for nodes that are the same at all positions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import ModelError, RequestError
from wheatstone._view import Brief
from wheatstone.models import NodeValues, ResidualModel

Kind = Literal["token", "head", "neuron"]
_NAME = re.compile(r"(?:input|a(\d{1,6})\.h(\d{1,6})|m(\d{1,6})\.n(\d{1,9}))@(\d{1,9})")


@dataclass(frozen=True, order=True)
class Node:
    """A token, a head or a neuron, at one position.

    Args:
        layer: from 0; -1 of a token.
        kind: which of the three.
        index: of the head or neuron in its layer; 0 of a token.
        position: in the prompt, from 0.
    """

    layer: int
    kind: Kind
    index: int
    position: int

    @classmethod
    def named(cls, name: str) -> Node:
        """The node of that name.

        Raises:
            RequestError: it is no node's name.
        """
        if (found := _NAME.fullmatch(name)) is None:
            raise RequestError(
                expected="a node at a position, such as input@5, a23.h4@6 or m25.n1527@6",
                got=repr(name)[:200],
                do="write it so",
            )
        head_layer, head, mlp, neuron, position = (None if part is None else int(part) for part in found.groups())
        assert position is not None
        if head_layer is not None and head is not None:
            return cls(head_layer, "head", head, position)
        if mlp is not None and neuron is not None:
            return cls(mlp, "neuron", neuron, position)
        return cls(-1, "token", 0, position)

    @property
    def place(self) -> str:
        """The node without its position: `input`, `a23.h4`, `m25.n1527`."""
        if self.kind == "token":
            return "input"
        return f"a{self.layer}.h{self.index}" if self.kind == "head" else f"m{self.layer}.n{self.index}"

    @property
    def depth(self) -> int:
        """In which order nodes write: tokens 0, then each layer's heads and its neurons."""
        return 0 if self.kind == "token" else 2 * self.layer + (1 if self.kind == "head" else 2)

    def __str__(self) -> str:
        return f"{self.place}@{self.position}"


@dataclass(frozen=True)
class NodeAxis(Brief):
    """All heads and neurons of a model at some positions, in one row.

    Args:
        heads: of each layer.
        neurons: of each layer.
        positions: how many; 1 for nodes that are the same at all positions.
    """

    heads: int
    neurons: tuple[int, ...]
    positions: int

    @classmethod
    def of(cls, model: ResidualModel, positions: int) -> NodeAxis:
        """The axis of a model.

        Raises:
            ModelError: an MLP has no neurons.
        """
        routed = [block.index for block in model.blocks if not block.dense]
        if routed:
            raise ModelError(
                expected="a model every MLP of which has neurons",
                got=f"a mixture of experts in {len(routed)} layers of {model.id}, the first of them {routed[0]}",
                do="find a circuit of its experts instead (wheatstone discover --experts-of LAYER)",
            )
        return cls(model.graph.heads, tuple(block.neurons for block in model.blocks), positions)

    @cached_property
    def _sizes(self) -> list[int]:
        return [self.positions * count for neurons in self.neurons for count in (self.heads, neurons)]

    @property
    def size(self) -> int:
        """How many nodes there are."""
        return sum(self._sizes)

    def row(self, values: NodeValues) -> Float[Tensor, "batch node"]:
        """Values of nodes, one row for each prompt."""
        parts = [part.flatten(1) for pair in zip(values.heads, values.neurons, strict=True) for part in pair]
        return torch.cat(parts, 1)

    def values(self, row: Float[Tensor, "batch node"]) -> NodeValues:
        """The same layer by layer."""
        parts = [part.unflatten(1, (self.positions, -1)) for part in row.split(self._sizes, 1)]
        return NodeValues(tuple(parts[0::2]), tuple(parts[1::2]))

    def node(self, place: int) -> Node:
        """The node at a place of the row."""
        for number, size in enumerate(self._sizes):
            if place < size:
                layer, neurons = divmod(number, 2)
                position, index = divmod(place, size // self.positions)
                return Node(layer, "neuron" if neurons else "head", index, position)
            place -= size
        raise IndexError(place)

    def place(self, node: Node) -> int:
        """Where a head or neuron is in the row."""
        number = 2 * node.layer + (node.kind == "neuron")
        return sum(self._sizes[:number]) + node.position * (self._sizes[number] // self.positions) + node.index
