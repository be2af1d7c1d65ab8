"""A neuron's name: `m31.n892` is input 892 of the last projection of layer 31's MLP (in a gated MLP, gate x up)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wheatstone._errors import RequestError
from wheatstone.models._decoder import Decoder

_NAME = re.compile(r"m(\d{1,9})\.n(\d{1,9})")


@dataclass(frozen=True, order=True)
class Neuron:
    """One neuron of one MLP.

    Args:
        layer: from 0.
        index: of the neuron in its layer, from 0.
    """

    layer: int
    index: int

    @classmethod
    def find(cls, name: str) -> Neuron | None:
        """The neuron of that name; None where it is no neuron's name."""
        found = _NAME.fullmatch(name)
        return None if found is None else cls(int(found[1]), int(found[2]))

    @classmethod
    def named(cls, name: str) -> Neuron:
        """Likewise.

        Raises:
            RequestError: it is no neuron's name.
        """
        if (neuron := cls.find(name)) is None:
            raise RequestError(
                expected="a neuron, written as layer and index, such as m0.n5", got=repr(name)[:200], do="write it so"
            )
        return neuron

    def __str__(self) -> str:
        return f"m{self.layer}.n{self.index}"


def neuron_of(model: Decoder, name: str) -> Neuron:
    """The model's neuron of that name.

    Raises:
        ModelError: its layer's MLP has no neurons.
        RequestError: the model has no such layer or neuron, or it is no neuron's name.
    """
    neuron, layers = Neuron.named(name), model.graph.layers
    if neuron.layer >= layers:
        raise RequestError(
            expected=f"a layer of {model.id}, from m0 to m{layers - 1}", got=name, do="choose one of these"
        )
    neurons = model.blocks[neuron.layer].neurons
    if neuron.index >= neurons:
        raise RequestError(
            expected=f"a neuron of m{neuron.layer}, from n0 to n{neurons - 1}", got=name, do="choose one of these"
        )
    return neuron
