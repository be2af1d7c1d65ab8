from __future__ import annotations

import numpy as np
import pytest

from wheatstone import CircuitError
from wheatstone.models import Graph

ONE = Graph(layers=1, heads=2, kv_groups=1)
SMOLLM2 = Graph(layers=30, heads=9, kv_groups=3)


def test_names_stand_in_order_of_computation() -> None:
    assert ONE.nodes == ("input", "a0.h0", "a0.h1", "m0")
    assert ONE.channels == ("a0.h0<q>", "a0.h1<q>", "a0.g0<k>", "a0.g0<v>", "m0", "logits")
    two = Graph(layers=2, heads=2, kv_groups=2)
    assert two.nodes[4:] == ("a1.h0", "a1.h1", "m1")
    assert two.channels[7:13] == ("a1.h0<q>", "a1.h1<q>", "a1.g0<k>", "a1.g1<k>", "a1.g0<v>", "a1.g1<v>")


@pytest.mark.parametrize(
    ("graph", "edges"),
    [
        # q, q, k, v read the input alone; m0 reads input and two heads; logits reads all four.
        (ONE, 4 * 1 + 3 + 4),
        (Graph(1, 2, 1, parallel=True), 4 * 1 + 1 + 4),
        # Layer 0: 3 channels read 1 node, m0 reads 2; layer 1: 3 read 3, m1 reads 4; logits reads 5.
        (Graph(2, 1, 1), 3 * 1 + 2 + 3 * 3 + 4 + 5),
        (SMOLLM2, 70_651),
    ],
)
def test_edges_counted_by_hand(graph: Graph, edges: int) -> None:
    assert graph.edges == edges == graph.valid.sum()


def test_smollm2_has_301_nodes_and_481_channels() -> None:
    assert (len(SMOLLM2.nodes), len(SMOLLM2.channels)) == (301, 481)
    assert SMOLLM2.logits_channel == 480


def test_positions_agree_with_names() -> None:
    for layer in range(30):
        assert SMOLLM2.nodes[SMOLLM2.head_nodes(layer)] == tuple(f"a{layer}.h{head}" for head in range(9))
        assert SMOLLM2.nodes[SMOLLM2.mlp_nodes(layer)] == (f"m{layer}",)
        assert SMOLLM2.channels[SMOLLM2.mlp_channel(layer)] == f"m{layer}"
        assert SMOLLM2.channels[SMOLLM2.attention_channels(layer)][0] == f"a{layer}.h0<q>"
        assert SMOLLM2.channels[SMOLLM2.attention_channels(layer)][-1] == f"a{layer}.g2<v>"


@pytest.mark.parametrize(
    ("node", "reads"),
    [
        ("input", []),
        ("a4.h0", ["a4.h0<q>", "a4.g0<k>", "a4.g0<v>"]),
        ("a4.h7", ["a4.h7<q>", "a4.g2<k>", "a4.g2<v>"]),
        ("m4", ["m4"]),
    ],
)
def test_a_head_depends_on_its_query_and_its_group(node: str, reads: list[str]) -> None:
    assert [SMOLLM2.channels[channel] for channel in SMOLLM2.channels_of(SMOLLM2.node_index[node])] == reads


def test_a_parallel_layers_heads_do_not_feed_its_own_mlp() -> None:
    parallel = Graph(2, 2, 2, parallel=True)
    with pytest.raises(CircuitError, match="later channel"):
        parallel.edge("a1.h0", "m1")
    assert parallel.edge("a0.h0", "m1") == (parallel.channel_index["m1"], 1)


@pytest.mark.parametrize(
    ("sender", "receiver", "says"),
    [
        ("m1", "a1.h0<q>", "later channel"),
        ("m1", "m1", "later channel"),
        ("m30", "logits", "'m30'"),
        ("a3.h9", "logits", "'a3.h9'"),
        ("m3", "a4.h0<v>", "'a4.h0<v>'"),
    ],
)
def test_edges_the_model_lacks_are_refused(sender: str, receiver: str, says: str) -> None:
    with pytest.raises(CircuitError, match=says):
        SMOLLM2.edge(sender, receiver)


def keep(graph: Graph, *edges: str) -> np.ndarray:
    mask = np.zeros(graph.valid.shape, dtype=bool)
    for edge in edges:
        mask[graph.edge(*edge.split("->"))] = True
    return mask


def names(graph: Graph, which: np.ndarray) -> list[str]:
    return [graph.nodes[node] for node in np.flatnonzero(which)]


def test_live_and_needed_nodes() -> None:
    graph = Graph(layers=2, heads=2, kv_groups=1)
    # a0.h0 and a0.h1 share the value channel; m0 reads only a1-side dead ends; m1 is not fed.
    mask = keep(graph, "input->a0.g0<v>", "a0.h1->m1", "m0->a1.h0<q>", "a1.h0->logits", "m1->logits")
    assert names(graph, graph.live_nodes(mask)) == ["input", "a0.h0", "a0.h1", "m1"]
    assert names(graph, graph.needed_nodes(mask)) == ["input", "a0.h1", "m0", "a1.h0", "m1"]


def test_all_nodes_are_live_and_needed_in_the_whole_model_and_none_but_the_input_in_the_empty_circuit() -> None:
    assert ONE.live_nodes(ONE.valid).all()
    assert ONE.needed_nodes(ONE.valid).all()
    empty = np.zeros_like(ONE.valid)
    assert names(ONE, ONE.live_nodes(empty)) == ["input"]
    assert names(ONE, ONE.needed_nodes(empty)) == []
