"""Pruning by influence, on a graph small enough to do by hand."""

from __future__ import annotations

import pytest
import torch

from wheatstone._errors import RequestError
from wheatstone.graphs import Edges, prune

# Nodes t (a token), a and b; a reads t; b reads t and a; the target reads a and b, and from outside the graph.
WEIGHTS = torch.tensor(
    [
        [0.0, 0.0, 0.0],  # into t
        [2.0, 0.0, 0.0],  # into a
        [1.0, -3.0, 0.0],  # into b
        [0.0, 4.0, 1.0],  # into the target
    ]
)
TOTALS = WEIGHTS.sum(1) + torch.tensor([0.0, 0.0, 0.0, 5.0])
EDGES = Edges(WEIGHTS, TOTALS, torch.zeros(3), torch.zeros(3, 1), 0.0)
TOKEN = torch.tensor([True, False, False])


def test_influence_is_the_sum_over_paths_of_products_of_shares() -> None:
    influence = prune(EDGES, TOKEN, nodes=1.0, threshold=1.0).influence
    # The target: 4 of 10 from a, 1 of 10 from b, 5 of 10 from outside. b: 1 of 4 from t, 3 from a. a: all of t.
    b = 0.1
    a = 0.4 + b * 0.75
    t = a * 1.0 + b * 0.25
    assert influence.tolist() == pytest.approx([t, a, b])


def test_the_strongest_nodes_are_kept_and_edges_between_them() -> None:
    kept = prune(EDGES, TOKEN, nodes=0.8, threshold=1.0)
    # t (.5) and a (.475) have .907 of 1.075 together; t alone has less than 80%.
    assert kept.nodes.tolist() == [True, True, False]
    assert kept.edges.nonzero().tolist() == [[1, 0], [3, 1]]


def test_a_node_without_edges_is_left_out_but_tokens_stay() -> None:
    alone = Edges(torch.zeros(4, 3), torch.ones(4), torch.zeros(3), torch.zeros(3, 1), 0.0)
    kept = prune(alone, TOKEN, nodes=1.0)
    assert kept.nodes.tolist() == [True, False, False]
    assert not kept.edges.any()


@pytest.mark.parametrize(("nodes", "edges"), [(-0.1, 0.5), (1.1, 0.5), (0.5, float("nan")), (0.5, 2.0)])
def test_thresholds_out_of_range_are_refused(nodes: float, edges: float) -> None:
    with pytest.raises(RequestError, match="threshold from 0 to 1"):
        prune(EDGES, TOKEN, nodes=nodes, threshold=edges)
