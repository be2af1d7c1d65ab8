"""Graphs in neurons as the API gives them: thinned, with their influence, and what cannot be read said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tolerance import Rounding

from wheatstone.graphs import from_circuit_tracer
from wheatstone.runs import Run, new_run
from wheatstone.studio._graphs import EDGES, NODES, graph_document, influences
from wheatstone.studio._library import EXAMPLES, identity

EXAMPLE = EXAMPLES / "a-fact-in-neurons"


def foreign(nodes: int, links: int, *, text: str = "w") -> dict[str, Any]:
    """An attribution graph of another tool, drawn at random: for its size, not what it says."""
    draw = np.random.default_rng(0)
    layers = 20
    layer = np.sort(draw.integers(0, layers, nodes))
    ends = draw.integers(0, nodes, (3 * links, 2))
    ends = np.unique(ends[layer[ends[:, 0]] < layer[ends[:, 1]]], axis=0)
    ends = draw.permutation(ends)[: links - nodes]
    names = [f"{layer[at]}_{at}_{at % 8}" for at in range(nodes)]
    weights = draw.normal(size=len(ends) + nodes).tolist()
    pairs = [*((names[a], names[b]) for a, b in ends.tolist()), *((name, "21_7_7") for name in names)]
    kinds = ("cross layer transcoder", "embedding", "mlp reconstruction error")
    return {
        "metadata": {
            "scan": "gemma-2-2b",
            "prompt": f"a {text} b",
            "prompt_tokens": [f"{text}{at}" for at in range(8)],
        },
        "nodes": [
            {
                "node_id": name,
                "feature_type": kinds[0],
                "layer": str(layer[at]),
                "ctx_idx": at % 8,
                "clerp": f"{text} {at}",
                "activation": 1.0,
            }
            for at, name in enumerate(names)
        ]
        + [{"node_id": "21_7_7", "feature_type": "logit", "layer": "21", "ctx_idx": 7, "clerp": f"Output {text}"}],
        "links": [{"source": a, "target": b, "weight": weight} for (a, b), weight in zip(pairs, weights, strict=True)],
        "qParams": {"supernodes": [[f"group {text}", *names[:3]]]},
    }


def write(document: dict[str, Any], run: Path) -> Run:
    with new_run(run) as folder:
        from_circuit_tracer(document).save(folder)
    return Run.open(run)


def test_a_whole_graph_is_given_as_it_was_written(client: TestClient) -> None:
    given = client.get("/api/v1/runs/example-a-fact-in-neurons/graph").json()
    run = Run.open(EXAMPLE)
    nodes, edges = run.rows("nodes"), run.rows("edges")
    assert (given["total_nodes"], given["total_edges"]) == (len(nodes), len(edges))
    assert [node["node"] for node in given["nodes"]] == [row["node"] for row in nodes]
    names = [node["node"] for node in given["nodes"]] + ["target"]
    found = {
        (names[a], names[b]): (weight, share)
        for a, b, weight, share in zip(
            *(given[name] for name in ("sender", "receiver", "weight", "share")), strict=True
        )
    }
    assert found == {(row["sender"], row["receiver"]): (row["weight"], row["share"]) for row in edges}
    assert given["changeable"]
    assert given["suggested"][0]["nodes"] == run.result["supernodes"][0]["nodes"]
    influence = {row["node"]: row["influence"] for row in nodes} | {"target": 1.0}
    strength = [share * influence[names[b]] for b, share in zip(given["receiver"], given["share"], strict=True)]
    assert strength == sorted(strength, reverse=True)


def test_influence_is_the_sum_over_all_paths() -> None:
    """0 → 1 → 2 → target and 0 → 2, 1 → target, by hand."""
    edges = [(0, 1, 0.5), (1, 2, 0.4), (0, 2, 0.25), (2, 3, 0.6), (1, 3, 0.2)]
    sender, receiver = (np.array([edge[side] for edge in edges]) for side in (0, 1))
    found = influences(sender, receiver, np.array([share for _, _, share in edges]), 3)
    one = 0.2 + 0.4 * 0.6
    assert found.tolist() == Rounding(6).near([0.5 * one + 0.25 * 0.6, one, 0.6])
    round_ = influences(np.array([0, 1]), np.array([1, 0]), np.ones(2), 2)  # edges that lead round end all the same
    assert round_.tolist() == [0, 0]
    leading_out = influences(np.array([0, 1, 1]), np.array([1, 0, 2]), np.ones(3), 2)
    assert leading_out.tolist() == [1, 1]  # no more than all of what reaches the target


def test_tokens_leave_half_of_the_room_to_other_nodes() -> None:
    kinds = [node.kind for node in graph_document(Run.open(EXAMPLE), nodes=6).nodes]
    assert kinds == 3 * ["token"] + 3 * ["head"]


def test_a_large_graph_is_thinned_and_says_so(runs_folder: Path, client: TestClient) -> None:
    nodes, links = NODES + 3_000, 60_000
    run = write(foreign(nodes, links), runs_folder / "large")
    given = client.get(f"/api/v1/runs/{identity(str(run.path))}/graph").json()
    assert (len(given["nodes"]), len(given["sender"])) == (NODES, EDGES)
    assert (given["total_nodes"], given["total_edges"]) == (nodes, links)
    assert max(*given["sender"], *given["receiver"]) <= NODES
    kept = [node["influence"] for node in given["nodes"]]
    everything = graph_document(run, nodes=nodes, edges=links)
    left_out = {node.node for node in everything.nodes} - {node["node"] for node in given["nodes"]}
    assert max(node.influence for node in everything.nodes if node.node in left_out) <= min(kept)
    assert not given["changeable"]
    assert given["suggested"][0]["name"] == "group w"


@pytest.mark.parametrize("name", ["nodes.parquet", "edges.parquet", "graph.json"])
def test_a_damaged_graph_is_said(runs_folder: Path, client: TestClient, name: str) -> None:
    shutil.copytree(EXAMPLE, runs_folder / "graph")
    (runs_folder / "graph" / name).write_bytes(b"{}")
    answer = client.get(f"/api/v1/runs/{identity(str(runs_folder / 'graph'))}/graph")
    assert answer.status_code == 404
    assert answer.json()["title"] == "RunError"


def test_an_edge_to_no_node_is_damage(runs_folder: Path, client: TestClient) -> None:
    shutil.copytree(EXAMPLE, runs_folder / "graph")
    shutil.copy(EXAMPLES / "a-or-an-in-neurons" / "edges.parquet", runs_folder / "graph" / "edges.parquet")
    answer = client.get(f"/api/v1/runs/{identity(str(runs_folder / 'graph'))}/graph")
    assert answer.status_code == 404


def test_a_graph_that_no_browser_can_lay_out_is_refused(runs_folder: Path, client: TestClient) -> None:
    document = foreign(40, 120)
    document["nodes"][0]["layer"] = "9999"
    run = write(document, runs_folder / "tall")
    answer = client.get(f"/api/v1/runs/{identity(str(run.path))}/graph")
    assert (answer.status_code, answer.json()["got"]) == (404, "10,000 layers and 8 tokens")


def test_a_circuit_is_no_graph(client: TestClient) -> None:
    answer = client.get("/api/v1/runs/example-a-fact/graph")
    assert (answer.status_code, answer.json()["title"]) == (404, "RunError")


def test_supernodes_of_a_graph_are_stored_with_their_positions(runs_folder: Path, client: TestClient) -> None:
    shutil.copytree(EXAMPLE, runs_folder / "graph")
    address = f"/api/v1/runs/{identity(str(runs_folder / 'graph'))}/labels"
    written = {
        "format": "wheatstone.labels/1",
        "labels": [{"node": "a23.h4@5", "text": "moves the country"}],
        "supernodes": [{"name": "early", "members": ["m0.n1@4", "12_345_6"]}],
        "views": [],
    }
    tag = client.get(address).headers["etag"]
    assert client.put(address, json=written, headers={"if-match": tag}).status_code == 200
    assert json.loads((runs_folder / "graph" / "labels.json").read_text(encoding="utf-8")) == written
    for wrong in ("m0.n1@", "m0.n1@x", "x_1_2", "m0@1@2"):
        tag = client.get(address).headers["etag"]
        body = written | {"supernodes": [{"name": "late", "members": ["m0.n1@4", wrong]}]}
        assert client.put(address, json=body, headers={"if-match": tag}).status_code == 422, wrong
