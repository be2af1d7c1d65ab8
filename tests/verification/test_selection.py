"""Nodes measured together: against the circuit they make up, and against patching them in the model itself."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import Circuit, Experiment, RequestError
from wheatstone.circuits import ModelInfo
from wheatstone.discovery._scores import attribute
from wheatstone.lenses import NodeChange, next_token_change
from wheatstone.verification import verify_in, verify_nodes


@pytest.fixture
def circuit(tiny_experiment: Experiment) -> Circuit:
    keep = attribute(tiny_experiment).top([60])[0]
    model = ModelInfo.of(tiny_experiment.model, tiny_experiment.graph)
    return Circuit.of_mask(model, keep, examples=tiny_experiment.encoded.pairs)


def test_all_nodes_of_a_circuit_are_the_circuit(tiny_experiment: Experiment, circuit: Circuit) -> None:
    nodes = [name for name in circuit.nodes if name != "input"]
    found = verify_nodes(tiny_experiment.model, circuit, nodes, circuit.examples, allow_weak=True)
    whole = verify_in(tiny_experiment, circuit.mask(), draws=1)
    assert 0 < found.edges <= len(circuit)  # one into a node that writes along no kept edge does nothing
    assert found.alone == rounding(tiny_experiment.model).near(whole.faithfulness)


def test_a_node_left_out_is_a_node_that_writes_what_it_writes_on_the_counterfactual(
    tiny_experiment: Experiment, circuit: Circuit
) -> None:
    model, pairs = tiny_experiment.model, circuit.examples
    node = next(name for name in circuit.nodes if name != "input")
    found = verify_nodes(model, circuit, [node], pairs, allow_weak=True)
    graph = tiny_experiment.graph
    among = torch.zeros(graph.valid.shape, dtype=torch.bool)
    for edge in circuit:
        if edge.sender in ("input", node):
            at = graph.edge(edge.sender, edge.receiver)
            among[at] = at[0] in (graph.logits_channel, *graph.channels_of(graph.node_index[node]))
    assert found.edges == int(among.sum())
    for pair, result in zip(pairs, found.prompts, strict=True):
        patched = next_token_change(model, pair, [NodeChange(node, "patch")])
        answers = sum(row.after for row in patched.tokens if row.role == "answer")
        assert result["without"].probability == rounding(model).near(answers)


def test_a_node_that_the_model_lacks_is_refused(tiny_experiment: Experiment, circuit: Circuit) -> None:
    for nodes, got in ((["a99.h0"], "'a99.h0'"), ([], "none")):
        with pytest.raises(RequestError) as refused:
            verify_nodes(tiny_experiment.model, circuit, nodes, circuit.examples, allow_weak=True)
        assert refused.value.got == got
