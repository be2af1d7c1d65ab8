"""What goes at once: every edge in exactly one unit, and the right ones together."""

from __future__ import annotations

import pytest
import torch

from wheatstone import RequestError
from wheatstone.discovery import GRANULARITIES
from wheatstone.discovery._units import Units
from wheatstone.models import Graph

GRAPH = Graph(layers=3, heads=4, kv_groups=2)


@pytest.mark.parametrize("granularity", GRANULARITIES)
@pytest.mark.parametrize("graph", [GRAPH, Graph(2, 3, 3, parallel=True)])
def test_units_partition_the_edges(graph: Graph, granularity: str) -> None:
    units = Units.of(graph, granularity)
    valid = torch.from_numpy(graph.valid)
    assert ((units.labels >= 0) == valid).all()
    assert units.labels[valid].unique().tolist() == list(range(units.count))
    every = torch.eye(units.count, dtype=torch.bool)
    masks = units.mask(every)
    assert torch.equal(masks.sum(0), valid.long())
    assert all(torch.equal(units.present(mask), chosen) for mask, chosen in zip(masks, every, strict=True))
    assert torch.equal(units.total(valid.double()), masks.sum((1, 2)).double())


def test_which_edges_go_together() -> None:
    def together(granularity: str, sender: str, receiver: str) -> set[str]:
        units = Units.of(GRAPH, granularity)
        channel, node = GRAPH.edge(sender, receiver)
        same = (units.labels == units.labels[channel, node]).nonzero().tolist()
        return {f"{GRAPH.nodes[node]}->{GRAPH.channels[channel]}" for channel, node in same}

    assert together("channels", "m0", "a1.g0<k>") == {"m0->a1.g0<k>"}
    group = {"a1.h0<q>", "a1.h1<q>", "a1.g0<k>", "a1.g0<v>"}
    assert together("heads", "m0", "a1.g0<k>") == {f"m0->{channel}" for channel in group}
    assert together("heads", "a0.h2", "m1") == {"a0.h2->m1"}
    assert together("groups", "a0.h2", "m1") == {"a0.h2->m1", "a0.h3->m1"}
    assert len(together("groups", "a0.h0", "a1.h1<q>")) == 8


def test_an_unknown_granularity_is_refused() -> None:
    with pytest.raises(RequestError, match="channels, heads, groups; got 'layers'"):
        Units.of(GRAPH, "layers")
