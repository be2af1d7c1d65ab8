from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wheatstone._errors import RequestError
from wheatstone.graphs import Node, NodeAxis
from wheatstone.models import NodeValues

AXIS = NodeAxis(heads=2, neurons=(3, 5), positions=4)


@given(st.integers(0, AXIS.size - 1))
def test_a_place_and_its_node_name_each_other(place: int) -> None:
    node = AXIS.node(place)
    assert AXIS.place(node) == place
    assert Node.named(str(node)) == node


def test_the_row_is_layer_by_layer_and_position_by_position() -> None:
    assert AXIS.size == 4 * (2 + 3) + 4 * (2 + 5)
    row = torch.arange(AXIS.size)[None].float()  # exact as far as 2**24
    values = AXIS.values(row)
    assert torch.equal(AXIS.row(values), row)
    assert values.neurons[1][0, 3, 4] == AXIS.place(Node(1, "neuron", 4, 3))
    assert values.heads[1][0, 2, 1] == AXIS.place(Node(1, "head", 1, 2))


def test_one_position_stands_for_all() -> None:
    axis = NodeAxis(heads=2, neurons=(3,), positions=1)
    values = axis.values(torch.ones(1, axis.size))
    assert isinstance(values, NodeValues)
    assert values.heads[0].shape == (1, 1, 2)


@pytest.mark.parametrize("name", ["", "m3", "a1.h2", "m1.n2@", "m1.n2@-1", "input", "m1.n2@5x", "a1.n2@0"])
def test_what_is_no_node_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match="a node at a position"):
        Node.named(name)
