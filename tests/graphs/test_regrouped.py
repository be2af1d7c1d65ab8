"""Supernodes named, merged and split by hand, and the graph as GraphML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx
import pytest
import torch
from tiny import make_tiny

from wheatstone._errors import RequestError, RunError
from wheatstone.figures import report_html
from wheatstone.graphs import (
    EdgeRow,
    GraphSettings,
    NodeRow,
    graph_graphml,
    graph_nodes,
    own_supernodes,
    run_graph,
)
from wheatstone.runs import Run, Table, add_file, save_run, write_json, write_table

PROMPT, OTHER = "w3 w1 w4 w1 w5", "w3 w1 w6 w1 w5"


@pytest.fixture
def run(tmp_path: Path, own_home: Path) -> Run:
    """A graph of a tiny model, with a supernode or more."""
    model = make_tiny("llama", torch.float32)
    settings = GraphSettings(nodes=40, exact=0, node_threshold=1.0)
    made = run_graph(model, PROMPT, (" w7",), distractors=(" w8",), counterfactuals=(OTHER,), settings=settings)
    save_run(tmp_path / "run", made.save)
    return Run.open(tmp_path / "run")


def written(tmp_path: Path, *supernodes: dict[str, Any]) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"supernodes": supernodes}))
    return path


def test_without_a_file_a_graph_is_as_it_was_found(run: Run) -> None:
    nodes, supernodes = graph_nodes(run)
    assert nodes == run.rows("nodes")
    assert supernodes == run.result["supernodes"]
    assert supernodes, "the graph of this test must have a supernode"


def test_a_group_is_renamed_and_merged_and_split(run: Run, tmp_path: Path) -> None:
    found = run.result["supernodes"]
    first, *rest = found[0]["nodes"]
    alone = next(row["node"] for row in run.rows("nodes") if row["supernode"] < 0 and row["kind"] == "neuron")
    renamed, supernodes = own_supernodes(run.path, written(tmp_path, {"name": "mine", "members": ["group 0"]}))
    assert supernodes[0]["nodes"] == []
    assert (supernodes[-1]["name"], supernodes[-1]["nodes"]) == ("mine", [first, *rest])
    assert (supernodes[-1]["promotes"], supernodes[-1]["weight"]) == (found[0]["promotes"], found[0]["weight"])
    assert supernodes[1:-1] == found[1:]
    add_file(run.path, "supernodes.json", renamed)
    nodes, shown = graph_nodes(Run.open(run.path))
    assert shown == supernodes
    assert {row["node"] for row in nodes if row["supernode"] == len(found)} == {first, *rest}

    merged = {"name": "both", "members": ["group 0", alone]}
    assert set(own_supernodes(run.path, written(tmp_path, merged))[1][-1]["nodes"]) == {first, *rest, alone}

    split = {"name": "part", "members": [first]}
    _, supernodes = own_supernodes(run.path, written(tmp_path, split))
    assert supernodes[0]["nodes"] == (rest if len(rest) > 1 else [])
    sent = {row["sender"]: row["weight"] for row in run.rows("edges") if row["receiver"] == "target"}
    assert supernodes[-1]["weight"] == sent.get(first, 0.0)


def test_the_page_and_the_export_show_the_name(run: Run, tmp_path: Path) -> None:
    add_file(
        run.path,
        "supernodes.json",
        own_supernodes(run.path, written(tmp_path, {"name": "my own", "members": ["group 0"]}))[0],
    )
    kept = json.loads((run.path / "supernodes.json").read_text())
    assert kept["format"] == "wheatstone.supernodes/1"
    assert "my own" in report_html(run.path)
    graph = networkx.parse_graphml(graph_graphml(Run.open(run.path)))
    assert {data.get("supernode") for _, data in graph.nodes(data=True)} >= {"my own"}


@pytest.mark.parametrize(
    ("supernode", "said"),
    [
        ({"name": "x", "members": ["m9.n9@9"]}, "m9.n9@9"),
        ({"name": "x", "members": ["group 99999"]}, "group 99999"),
        ({"name": "x", "members": []}, "and members"),
        ({"name": "x" * 61, "members": ["group 0"]}, "1 to 60 characters"),
        ({"members": ["group 0"]}, "1 to 60 characters"),
        ({"name": 3, "members": ["group 0"]}, "1 to 60 characters"),
    ],
)
def test_what_does_not_fit_the_graph_is_refused(run: Run, tmp_path: Path, supernode: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        own_supernodes(run.path, written(tmp_path, supernode))


def test_a_node_in_two_supernodes_is_refused(run: Run, tmp_path: Path) -> None:
    first = run.result["supernodes"][0]["nodes"][0]
    two = [{"name": "a", "members": ["group 0"]}, {"name": "b", "members": [first]}]
    with pytest.raises(RequestError, match="in two"):
        own_supernodes(run.path, written(tmp_path, *two))
    add_file(run.path, "supernodes.json", {"supernodes": two})
    with pytest.raises(RunError, match="in two"):
        graph_nodes(Run.open(run.path))


def test_a_graph_without_groups_names_none(run: Run, tmp_path: Path) -> None:
    write_json(run.path / "graph.json", {**run.result, "supernodes": []})
    with pytest.raises(RequestError, match=r"got .*mine.json: 'group 0'") as refused:
        own_supernodes(run.path, written(tmp_path, {"name": "x", "members": ["group 0"]}))
    assert str(refused.value.__cause__).startswith("expected supernodes of nodes of the graph; got")


def test_a_group_with_logits_is_one_of_its_other_nodes(run: Run, tmp_path: Path) -> None:
    """As runs of imported graphs have them: their logits are no rows."""
    first, *others = run.result["supernodes"]
    left = first["nodes"][0]
    groups = [{**first, "nodes": [*first["nodes"], "27_9_2"]}, *others]
    write_json(run.path / "graph.json", {**run.result, "supernodes": groups})
    kept, supernodes = own_supernodes(run.path, written(tmp_path, {"name": "mine", "members": ["group 0"]}))
    assert supernodes[-1]["nodes"] == first["nodes"]
    _, supernodes = own_supernodes(run.path, written(tmp_path, {"name": "mine", "members": [left]}))
    assert "27_9_2" not in {name for one in supernodes for name in one["nodes"]}
    add_file(run.path, "supernodes.json", kept)
    assert graph_nodes(Run.open(run.path))[1][-1]["name"] == "mine"


def test_control_characters_go_through_graphml(run: Run) -> None:
    rows, edges = run.rows("nodes"), run.rows("edges")
    old = edges[0]["sender"]
    new = f"{old}\x1b"
    renamed = tuple(NodeRow(**row)._replace(node=new if row["node"] == old else row["node"]) for row in rows)
    ends = tuple(
        EdgeRow(**edge)._replace(**{end: new for end in ("sender", "receiver") if edge[end] == old}) for edge in edges
    )
    write_table(Table(NodeRow, renamed), run.path / "nodes.parquet")
    write_table(Table(EdgeRow, ends), run.path / "edges.parquet")
    target = {**run.result["target"], "name": "\x1b[31m"}
    write_json(run.path / "graph.json", {**run.result, "prompt": "a\x1bb", "target": target})
    graph = networkx.parse_graphml(graph_graphml(Run.open(run.path)))
    assert graph.graph["prompt"] == r"a\x1bb"
    assert graph.nodes["target"]["name"] == r"\x1b[31m"
    assert rf"{old}\x1b" in graph.nodes
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (len(rows) + 1, len(edges))


def test_graphml_has_every_node_and_edge(run: Run) -> None:
    graph = networkx.parse_graphml(graph_graphml(run))
    rows, edges = run.rows("nodes"), run.rows("edges")
    assert set(graph.nodes) == {row["node"] for row in rows} | {"target"}
    assert {(a, b): data["weight"] for a, b, data in graph.edges(data=True)} == {
        (edge["sender"], edge["receiver"]): edge["weight"] for edge in edges
    }
    for row in rows:
        assert graph.nodes[row["node"]]["sent"] == row["sent"]
        assert ("effect" in graph.nodes[row["node"]]) == (row["effect"] is not None)
