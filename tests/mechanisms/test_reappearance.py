"""One circuit looked for in another, by hand."""

from __future__ import annotations

import pytest

from wheatstone import Circuit, CircuitError, Edge, Graph
from wheatstone.circuits import ModelInfo
from wheatstone.mechanisms import reappearance

INFO = ModelInfo("made up", "llama", Graph(layers=2, heads=2, kv_groups=2))


def circuit(*edges: tuple[str, str]) -> Circuit:
    return Circuit(INFO, ()) | Circuit(INFO, tuple(Edge(*edge) for edge in edges))


WHOLE = circuit(("input", "m0"), ("m0", "logits"), ("a0.h0", "logits"))
PART = circuit(("input", "m0"), ("a0.h1", "logits"))


def test_shares_by_hand() -> None:
    pool = PART | circuit(("m0", "logits"), ("a0.h0", "logits"))
    (row,) = reappearance({"part": PART}, {"part": pool}, WHOLE, "whole", draws=2000)
    assert (row.part, row.whole, row.edges, row.nodes) == ("part", "whole", 2, 2)
    assert (row.shared, row.nodes_shared) == (0.5, 0.5)
    assert row.by_chance == pytest.approx(0.75, abs=0.02)  # three of the pool's four edges are in the whole
    assert (row.chance_low, row.chance_high) == (0.5, 1.0)
    assert row.nodes_by_chance == pytest.approx(0.75, abs=0.02)


def test_a_circuit_reappears_in_itself_and_a_pool_of_nothing_more_is_no_chance() -> None:
    (row,) = reappearance({"part": PART}, {"part": PART}, PART, "itself", draws=3)
    assert (row.shared, row.by_chance, row.nodes_shared, row.nodes_by_chance) == (1, 1, 1, 1)


def test_a_pool_of_another_ranking_is_refused() -> None:
    with pytest.raises(CircuitError, match="1 of 2 edges are not in its pool"):
        reappearance({"part": PART}, {"part": WHOLE}, WHOLE, "whole")
