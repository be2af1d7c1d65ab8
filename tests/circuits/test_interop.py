from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from wheatstone import CircuitError
from wheatstone.circuits import Circuit, ModelInfo, from_eap_json, to_eap_json
from wheatstone.circuits._interop import eap_scores
from wheatstone.models import Graph

MODEL = ModelInfo("tiny", "llama", Graph(layers=2, heads=4, kv_groups=2))


def random_circuit(model: ModelInfo = MODEL) -> Circuit:
    draw = torch.Generator().manual_seed(0)
    keep = torch.from_numpy(model.graph.valid) & (torch.rand(model.graph.valid.shape, generator=draw) < 0.4)
    scores = torch.randn(int(keep.sum()), generator=draw).tolist()
    return Circuit.of_mask(model, keep, metric="logit_diff", scores=tuple(scores))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_there_and_back_is_the_same_circuit(groups: int) -> None:
    circuit = random_circuit(ModelInfo("tiny", "llama", Graph(2, 4, groups)))
    back = from_eap_json(to_eap_json(circuit), circuit.model, metric="logit_diff")
    assert back == circuit


def test_the_layout_is_what_eap_ig_reads() -> None:
    """As `Graph.from_json` of EAP-IG uses it: cfg builds the graph, every listed name must be one of the graph's."""
    circuit = random_circuit()
    document: dict[str, Any] = json.loads(to_eap_json(circuit, d_model=16))
    assert {"n_layers", "n_heads", "parallel_attn_mlp", "d_model"} <= set(document["cfg"])
    assert set(document["nodes"]) == {*MODEL.graph.nodes, "logits"}
    residual, names = ["input"], set[str]()
    for layer in range(2):
        heads = [f"a{layer}.h{head}" for head in range(4)]
        names |= {f"{node}->{head}<{kind}>" for node in residual for head in heads for kind in "qkv"}
        residual += heads
        names |= {f"{node}->m{layer}" for node in residual}
        residual.append(f"m{layer}")
    names |= {f"{node}->logits" for node in residual}
    assert set(document["edges"]) <= names
    for info in document["edges"].values():
        assert info["in_graph"] is True
        assert isinstance(info["score"], float)


def test_one_head_of_a_group_keeps_the_groups_edge() -> None:
    def entry(score: float, kept: bool) -> dict[str, object]:
        return {"score": score, "in_graph": kept}

    text = json.dumps(
        {
            "cfg": {"n_layers": 2, "n_heads": 4, "parallel_attn_mlp": False, "d_model": 8},
            "nodes": {},
            "edges": {
                "input->a0.h2<k>": entry(0.5, True),
                "input->a0.h3<k>": entry(9.0, False),
                "m0->a1.h0<v>": entry(0.25, True),
                "m0->a1.h1<v>": entry(-0.75, True),
                "a0.h2->logits": entry(1.0, True),
            },
        }
    )
    circuit = from_eap_json(text, MODEL)
    assert [str(edge) for edge in circuit] == ["input->a0.g1<k>", "m0->a1.g0<v>", "a0.h2->logits"]
    assert circuit.scores == (0.5, -0.75, 1.0)
    assert circuit.ablation == "counterfactual"


def test_a_circuit_without_scores_is_written_with_zeros() -> None:
    circuit = Circuit(MODEL, random_circuit().edges)
    assert {info["score"] for info in json.loads(to_eap_json(circuit))["edges"].values()} == {0.0}


def test_mib_s_two_kinds_of_files_are_read() -> None:
    """A circuit whose edges have no scores; and scores of all edges, none of which is in a circuit."""
    circuit = random_circuit()
    document = json.loads(to_eap_json(circuit))
    scores = {name: info.pop("score") for name, info in document["edges"].items()}
    assert from_eap_json(json.dumps(document), MODEL) == replace(circuit, metric="", scores=None)
    assert eap_scores(document, MODEL.graph) == {}
    ranking = {**document, "edges": {name: {"score": score, "in_graph": False} for name, score in scores.items()}}
    assert len(from_eap_json(json.dumps(ranking), MODEL)) == 0
    assert circuit.scores is not None
    assert eap_scores(ranking, MODEL.graph) == dict(zip(circuit.edges, circuit.scores, strict=True))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda document: document.pop("cfg"), "Graph.to_json.*KeyError"),
        (lambda document: document.__setitem__("edges", ["input->logits"]), "AttributeError"),
        (lambda document: document["cfg"].__setitem__("n_heads", 8), "2 layers and 4 heads; got 2 layers, 8 heads"),
        (lambda document: document["cfg"].__setitem__("parallel_attn_mlp", True), "in parallel"),
        (lambda document: document["edges"].__setitem__("m9->logits", {"score": 0, "in_graph": True}), "'m9'"),
        (lambda document: document["edges"].__setitem__("m1->m0", {"score": 0, "in_graph": True}), "later channel"),
    ],
)
def test_files_that_are_refused(change: Any, says: str) -> None:
    document = json.loads(to_eap_json(random_circuit()))
    change(document)
    with pytest.raises(CircuitError, match=says):
        from_eap_json(json.dumps(document), MODEL)
    with pytest.raises(CircuitError, match="JSON of EAP-IG"):
        from_eap_json("{", MODEL)
