"""Attribution graphs of other tools: read into the tables of a run, or refused in one line."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tiny

from wheatstone._errors import CircuitError
from wheatstone.circuits import open_foreign
from wheatstone.figures import render_all, report_html
from wheatstone.graphs import GraphSettings, from_circuit_tracer, graph, to_circuit_tracer
from wheatstone.runs import Run, save_run

DOCUMENT: dict[str, Any] = {
    "metadata": {
        "slug": "s",
        "scan": "gemma-2-2b",
        "prompt_tokens": ["<bos>", "The", " <b>cat</b>"],
        "prompt": "The cat",
    },
    "qParams": {"pinnedIds": [], "supernodes": [["<i>say hat</i>", "3_7_2", "gone"]], "linkType": "both"},
    "nodes": [
        {"node_id": "E_5_1", "feature": 1, "layer": "E", "ctx_idx": 1, "feature_type": "embedding", "clerp": ""},
        {
            "node_id": "3_7_2",
            "feature": 70,
            "layer": "3",
            "ctx_idx": 2,
            "feature_type": "cross layer transcoder",
            "clerp": "<script>alert(1)</script>",
            "influence": 0.5,
            "activation": 2.5,
        },
        {
            "node_id": "0_1_2",
            "feature": -1,
            "layer": "1",
            "ctx_idx": 2,
            "feature_type": "mlp reconstruction error",
            "clerp": "",
        },
        {
            "node_id": "27_9_2",
            "feature": 9,
            "layer": "27",
            "ctx_idx": 2,
            "feature_type": "logit",
            "clerp": 'Output " hat"',
        },
        {
            "node_id": "27_8_2",
            "feature": 8,
            "layer": "27",
            "ctx_idx": 2,
            "feature_type": "logit",
            "clerp": 'Output " mat"',
        },
    ],
    "links": [
        {"source": "E_5_1", "target": "3_7_2", "weight": 2.0},
        {"source": "0_1_2", "target": "3_7_2", "weight": -1.0},
        {"source": "3_7_2", "target": "27_9_2", "weight": 1.5},
        {"source": "3_7_2", "target": "27_8_2", "weight": 0.5},
    ],
}


def test_nodes_and_links_become_tables() -> None:
    found = from_circuit_tracer(DOCUMENT)
    assert (found.model, found.layers, found.prompt) == ("gemma-2-2b", 4, "The cat")
    assert [(row.node, row.kind, row.layer, row.position, row.sent) for row in found.rows] == [
        ("E_5_1", "token", -1, 1, 2.0),
        ("0_1_2", "error", 1, 2, -1.0),
        ("3_7_2", "feature", 3, 2, 2.0),
    ]
    assert [(edge.sender, edge.receiver, edge.weight) for edge in found.edges] == [
        ("3_7_2", "target", 2.0),
        ("E_5_1", "3_7_2", 2.0),
        ("0_1_2", "3_7_2", -1.0),
    ]
    assert [edge.share for edge in found.edges] == pytest.approx([1, 2 / 3, 1 / 3])
    assert [(one.name, one.nodes) for one in found.supernodes] == [("<i>say hat</i>", ("3_7_2",))]
    assert found.target == 'Output " hat", Output " mat"'


def test_groups_leave_logits_out() -> None:
    groups = [["says hat", "3_7_2", "27_9_2"], ["the answers", "27_9_2", "27_8_2"]]
    found = from_circuit_tracer({**DOCUMENT, "qParams": {"supernodes": groups}})
    assert [(one.name, one.nodes) for one in found.supernodes] == [("says hat", ("3_7_2",))]
    assert {row.node: row.supernode for row in found.rows} == {"E_5_1": -1, "0_1_2": -1, "3_7_2": 0}


def test_the_run_opens_and_its_page_shows_labels_as_text(tmp_path: Path, own_home: Path) -> None:
    save_run(tmp_path / "run", from_circuit_tracer(DOCUMENT).save, pictures=render_all)
    run = Run.open_checked(tmp_path / "run")
    assert (run.verb, run.count("nodes"), run.count("edges")) == ("graph", 3, 3)
    page = report_html(tmp_path / "run")
    assert "<script>alert" not in page
    assert "<i>say" not in page
    assert "Nothing was run." in page


def test_what_this_package_writes_it_reads(tmp_path: Path) -> None:
    model = make_tiny("llama", torch.float32)
    settings = GraphSettings(nodes=20, exact=0)
    own = graph(model, "w3 w1 w4", " w7", counterfactual="w3 w1 w6", distractor=" w8", settings=settings)
    (tmp_path / "graph.json").write_text(json.dumps(to_circuit_tracer(own)))
    form, document = open_foreign(tmp_path / "graph.json", graphs=True)
    assert form.read is None
    found = from_circuit_tracer(document)
    assert len(found.rows) == len(own.rows)
    assert [edge.weight for edge in found.edges] == pytest.approx([edge.weight for edge in own.edges])
    assert {row.kind for row in found.rows} == {row.kind for row in own.rows}
    assert [one.nodes == () for one in found.supernodes] == [False] * len(own.supernodes)
    with pytest.raises(CircuitError, match="import it with"):
        open_foreign(tmp_path / "graph.json")


def spoilt(part: str, number: int, name: str, value: object) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    document[part][number][name] = value
    return document


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (spoilt("links", 0, "source", "nowhere"), "1 unknown, the first 'nowhere'"),
        (spoilt("links", 0, "weight", float("nan")), "a finite number 'weight'"),
        (spoilt("links", 0, "weight", 1e31), "at most 1e\\+30 in size"),
        (spoilt("links", 0, "weight", -(10**400)), "at most 1e\\+30 in size"),
        (spoilt("nodes", 1, "activation", 10**400), "activations of at most"),
        (spoilt("nodes", 1, "node_id", "target"), "no node that is called 'target'"),
        (spoilt("links", 0, "weight", True), "a finite number 'weight'"),
        (spoilt("links", 0, "target", 5), "a text 'target'"),
        (spoilt("nodes", 1, "ctx_idx", 3), "positions from 0 to 2"),
        (spoilt("nodes", 1, "ctx_idx", "2"), "positions from 0 to 2"),
        (spoilt("nodes", 1, "layer", "many"), "layers as whole numbers"),
        (spoilt("nodes", 1, "node_id", None), "a text 'node_id'"),
        ({**DOCUMENT, "nodes": {}}, "lists of nodes and links"),
        ({**DOCUMENT, "links": [{}] * 1_000_001}, "at most 100,000 nodes and 1,000,000 links"),
    ],
)
def test_what_is_no_graph_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(CircuitError, match=said):
        from_circuit_tracer(document)
