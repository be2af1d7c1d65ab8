"""Copies of a circuit between other heads: the same size and wiring, and KV groups that stay together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wheatstone import CircuitError
from wheatstone.circuits import exchanged_heads
from wheatstone.models import Graph, Span, SpannedGraph

GRAPH = Graph(layers=2, heads=4, kv_groups=2)
VALID = torch.from_numpy(GRAPH.valid)


def circuit(*edges: tuple[str, str]) -> torch.Tensor:
    keep = torch.zeros(GRAPH.valid.shape, dtype=torch.bool)
    for edge in edges:
        keep[GRAPH.edge(*edge)] = True
    return keep


def edges(keep: torch.Tensor) -> set[tuple[str, str]]:
    return {(GRAPH.nodes[node], GRAPH.channels[channel]) for channel, node in keep.nonzero().tolist()}


def test_a_head_takes_its_edges_and_its_group_along() -> None:
    keep = circuit(("input", "a0.h3<q>"), ("input", "a0.g1<v>"), ("a0.h3", "m1"), ("a0.h3", "a1.h0<q>"))
    seen: set[str] = set()
    for copy in exchanged_heads(GRAPH, keep, 40, seed=0):
        got = edges(copy)
        (head,) = {sender for sender, _ in got if sender.startswith("a0")}
        (later,) = {receiver for _, receiver in got if receiver.startswith("a1")}
        group = GRAPH.group_of(int(head[-1]))
        assert got == {("input", f"{head}<q>"), ("input", f"a0.g{group}<v>"), (head, "m1"), (head, later)}
        seen |= {head, later}
    assert seen == {f"a0.h{head}" for head in range(4)} | {f"a1.h{head}<q>" for head in range(4)}


@given(st.integers(0, 10_000))
def test_size_and_what_joins_mlps_stay(seed: int) -> None:
    keep = (torch.rand(VALID.shape, generator=torch.Generator().manual_seed(seed)) < 0.3) & VALID
    mlps = [GRAPH.node_index[name] for name in ("input", "m0", "m1")]
    readers = [GRAPH.channel_index[name] for name in ("m0", "m1", "logits")]
    for copy in exchanged_heads(GRAPH, keep, 3, seed=seed):
        assert not (copy & ~VALID).any()
        assert copy.sum() == keep.sum()
        assert copy[readers][:, mlps].equal(keep[readers][:, mlps])


def test_the_whole_graph_is_its_own_copy_and_seeds_decide() -> None:
    assert exchanged_heads(GRAPH, VALID, 2, seed=3).equal(VALID.repeat(2, 1, 1))
    keep = circuit(("a0.h1", "a1.h2<q>"))
    assert exchanged_heads(GRAPH, keep, 9, seed=1).equal(exchanged_heads(GRAPH, keep, 9, seed=1))


def test_edges_by_position_are_refused() -> None:
    spanned = SpannedGraph.of(GRAPH, (Span("subject", (0,)), Span("rest", ())))
    with pytest.raises(CircuitError, match="distinguished by position"):
        exchanged_heads(spanned, torch.from_numpy(spanned.valid), 1, seed=0)
