"""Heads that recur, by hand and against circuits whose heads have really changed places."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wheatstone import Circuit
from wheatstone.circuits import Edge, ModelInfo, exchanged_heads
from wheatstone.models import Graph
from wheatstone.studies._sweep_heads import NodeRow, at_least, recurring, shown

GRAPH = Graph(layers=2, heads=4, kv_groups=2)
INFO = ModelInfo("tiny", "llama", GRAPH, "")


def circuit(*heads: str) -> Circuit:
    return Circuit(INFO, tuple(Edge(head, "logits") for head in ("input", *heads)))


def test_by_hand() -> None:
    """a1.h2 is in all three circuits, alone of its layer; layer 0 is full in two, so that none of it stands out."""
    layer = ("a0.h0", "a0.h1", "a0.h2", "a0.h3")
    rows = recurring([circuit(*layer, "a1.h2"), circuit(*layer, "a1.h2"), circuit("a0.h1", "a1.h2")], GRAPH)
    assert rows[0][:5] == ("a1.h2", 3, 1.0, 0.25, 0.75)
    assert rows[1][:5] == ("a0.h1", 3, 1.0, 0.75, 0.25)
    assert [row.p for row in rows[:2]] == pytest.approx([1 / 64, 0.25])
    assert [row.node for row in rows[2:5]] == ["a0.h0", "a0.h2", "a0.h3"]
    assert [row.p for row in rows[2:5]] == pytest.approx([1.0] * 3)
    assert rows[5] == NodeRow("input", 3, 1.0)


def test_chance_is_what_exchanged_heads_give() -> None:
    found = [circuit("a0.h0", "a0.h1", "a1.h2"), circuit("a1.h2", "a1.h3"), circuit("a0.h3")]
    draws = 400
    counted = dict.fromkeys((f"a{layer}.h{head}" for layer in range(2) for head in range(4)), 0)
    for seed, one in enumerate(found):
        for keep in exchanged_heads(GRAPH, one.mask(), draws, seed):
            for node in Circuit.of_mask(INFO, keep).nodes:
                counted[node] = counted.get(node, 0) + 1
    for row in recurring(found, GRAPH):
        if row.expected is not None:
            error = (row.expected / draws) ** 0.5  # at most, of a mean of independent draws
            assert counted[row.node] / draws / 3 == pytest.approx(row.expected, abs=4 * error)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(0, 6))
def test_poisson_binomial_is_the_sum_over_all_outcomes(chances: list[float], count: int) -> None:
    expected = sum(
        float(np.prod([chance if happened else 1 - chance for chance, happened in zip(chances, outcome, strict=True)]))
        for outcome in product((0, 1), repeat=len(chances))
        if sum(outcome) >= count
    )
    # Each of the at most 64 products has six factors, each rounded once.
    assert at_least(np.array(chances), count) == pytest.approx(expected, abs=64 * 6 * np.finfo(float).eps)


def test_heads_that_tie_with_the_last_are_shown() -> None:
    rows = recurring([circuit("a0.h0", "a0.h1", "a0.h2", "a1.h1")], GRAPH)
    assert [row.node for row in shown(rows, 1)] == ["a1.h1"]
    assert [row.node for row in shown(rows, 2)] == ["a1.h1", "a0.h0", "a0.h1", "a0.h2"]
    assert [row.node for row in shown(rows, 9)] == ["a1.h1", "a0.h0", "a0.h1", "a0.h2"]
    assert torch.tensor([row.circuits for row in rows]).max() == 1
