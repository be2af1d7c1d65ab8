"""A graph as `networkx.DiGraph` and as GraphML, from the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wheatstone.graphs._regrouped import graph_nodes
from wheatstone.runs import Run


def networkx_of(nodes: Iterable[Mapping[str, Any]], edges: Iterable[Mapping[str, Any]], **about: str) -> Any:
    """The graph with the columns of the tables as attributes.

    Args:
        nodes: rows of `nodes.parquet`.
        edges: rows of `edges.parquet`.
        about: attributes of the graph; `target` names the node that edges lead to at the end.
    """
    import networkx

    graph = networkx.DiGraph()
    graph.graph.update(about)
    for row in nodes:
        graph.add_node(row["node"], **row)
    graph.add_node("target", kind="target", name=about["target"])
    for edge in edges:
        graph.add_edge(edge["sender"], edge["receiver"], weight=edge["weight"], share=edge["share"])
    return graph


def graph_graphml(run: Run) -> str:
    """A graph's run as GraphML, with the names of its supernodes at the nodes; what a node lacks is left out.

    Args:
        run: of `wheatstone graph`, or of a graph out of a file.

    Raises:
        RunError: see `graph_nodes`.
    """
    import networkx

    nodes, supernodes = graph_nodes(run)
    names = [one["name"] for one in supernodes]
    rows = [
        {
            name: _plain(value)
            for name, value in {**row, "supernode": names[row["supernode"]] if row["supernode"] >= 0 else None}.items()
            if value is not None
        }
        for row in nodes
    ]
    summary = run.result
    edges = [{name: _plain(value) for name, value in edge.items()} for edge in run.rows("edges")]
    target, prompt = _plain(summary["target"]["name"]), _plain(summary["prompt"])
    graph = networkx_of(rows, edges, target=target, prompt=prompt)
    return "\n".join(networkx.generate_graphml(graph, prettyprint=True)) + "\n"


def _plain(value: Any) -> Any:
    """GraphML has no lists, and XML no control characters."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = ", ".join(map(repr, value))
    return (
        "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in value) if isinstance(value, str) else value
    )
