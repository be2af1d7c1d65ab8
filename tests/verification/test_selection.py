"""Nodes measured together: against the circuit they make up, and against patching them in the model itself."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import Circuit, Experiment, RequestError
from wheatstone.circuits import ModelInfo
from wheatstone.discovery._scores import attribute
from wheatstone.verification import verify_in, verify_nodes


@pytest.fixture
def circuit(tiny_experiment: Experiment) -> Circuit:
    keep = attribute(tiny_experiment).top([60])[0]
    model = ModelInfo.of(tiny_experiment.model, tiny_experiment.graph)
    return Circuit.of_mask(model, keep, examples=tiny_experiment.encoded.pairs)


def test_all_nodes_of_a_circuit_are_the_circuit(tiny_experiment: Experiment, circuit: Circuit) -> None:
    nodes = [name for name in circuit.nodes if name != "input"]
    found = verify_nodes(tiny_experiment, circuit, nodes)
    whole = verify_in(tiny_experiment, circuit.mask(), draws=1)
    assert 0 < found.edges <= len(circuit)  # one into a node that writes along no kept edge does nothing
    assert found.alone == rounding(tiny_experiment.model).near(whole.faithfulness)


@pytest.mark.parametrize("split", [False, True])
def test_nodes_left_out_are_the_model_without_their_edges(
    tiny_experiment: Experiment, circuit: Circuit, split: bool
) -> None:
    nodes = [name for name in circuit.nodes if name != "input"][:3]
    if split:
        model = tiny_experiment.model.split({1: "neurons"})
        tiny_experiment = Experiment(model, circuit.examples, allow_weak=True)
        circuit = Circuit.of_mask(ModelInfo.of(model), torch.from_numpy(model.graph.valid))
        nodes = ["m1.n0", "m1.n3", "a1.h0"]
    graph = tiny_experiment.graph
    found = verify_nodes(tiny_experiment, circuit, nodes)
    among = torch.zeros(graph.valid.shape, dtype=torch.bool)
    reads = {graph.logits_channel, *(at for name in nodes for at in graph.channels_of(graph.node_index[name]))}
    for edge in circuit:
        at = graph.edge(edge.sender, edge.receiver)
        among[at] = edge.sender in ("input", *nodes) and at[0] in reads
    assert found.edges == int(among.sum())
    without = torch.from_numpy(graph.valid).clone()
    without[:, [graph.node_index[name] for name in nodes]] = False
    logits = tiny_experiment.logits(torch.stack((among, without)))
    allowed = rounding(tiny_experiment.model)
    alone, left = tiny_experiment.faithfulness_of(tiny_experiment.values_of(logits)).tolist()
    assert (found.alone, 1 - found.lost) == (allowed.near(alone), allowed.near(left))
    for row, answers, result in zip(logits[1].softmax(-1), tiny_experiment.encoded.answers, found.prompts, strict=True):
        assert result["without"].probability == allowed.near(float(row[answers[answers >= 0]].sum()))


def test_a_node_that_the_model_lacks_is_refused(tiny_experiment: Experiment, circuit: Circuit) -> None:
    for nodes, got in ((["a99.h0"], "'a99.h0'"), ([], "none")):
        with pytest.raises(RequestError) as refused:
            verify_nodes(tiny_experiment, circuit, nodes)
        assert refused.value.got == got
