"""A circuit in other tools' formats."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from wheatstone.circuits._circuit import Circuit, Edge

_GRAPHML = "http://graphml.graphdrawing.org/xmlns"


def to_eap_json(circuit: Circuit) -> str:
    """The circuit as EAP-IG's `Graph.to_json` lays it out: nodes and edges by name, with score and membership.

    Only kept edges are listed. EAP-IG has no KV groups: an edge into `a5.g1<k>` becomes one edge into the k input
    of every head that reads the group, which changes the number of edges and no computation.
    """
    graph = circuit.model.graph
    edges: dict[str, dict[str, object]] = {}
    scores = circuit.scores or (None,) * len(circuit)
    for edge, score in zip(circuit.edges, scores, strict=True):
        for name in _eap_names(circuit, edge):
            edges[name] = {"score": score, "in_graph": True}
    nodes = {name: {"in_graph": name in circuit.nodes} for name in (*graph.nodes, "logits")}
    nodes["logits"]["in_graph"] = any(edge.receiver == "logits" for edge in circuit.edges)
    cfg = {
        "n_layers": graph.layers,
        "n_heads": graph.heads,
        "parallel_attn_mlp": graph.parallel,
        "model_name": circuit.model.id,
    }
    return json.dumps({"cfg": cfg, "nodes": nodes, "edges": edges}, ensure_ascii=False, indent=1) + "\n"


def _eap_names(circuit: Circuit, edge: Edge) -> list[str]:
    graph = circuit.model.graph
    if ".g" not in edge.receiver:
        return [str(edge)]
    layer, group = edge.receiver.split("<")[0].split(".g")
    kind = edge.receiver[-3:]
    heads = [head for head in range(graph.heads) if graph.group_of(head) == int(group)]
    return [f"{edge.sender}->{layer}.h{head}{kind}" for head in heads]


def to_graphml(circuit: Circuit) -> str:
    """The circuit as GraphML: components are nodes, edges carry channel, score and exact effect."""
    root = ElementTree.Element("graphml", xmlns=_GRAPHML)
    for name, kind in (("channel", "string"), ("score", "double"), ("effect", "double")):
        ElementTree.SubElement(root, "key", {"id": name, "for": "edge", "attr.name": name, "attr.type": kind})
    graph = ElementTree.SubElement(root, "graph", id=circuit.task or "circuit", edgedefault="directed")
    ends = [(edge.sender, edge.receiver.split("<")[0]) for edge in circuit.edges]
    for name in dict.fromkeys(end for pair in ends for end in pair):
        ElementTree.SubElement(graph, "node", id=name)
    none = (None,) * len(circuit)
    rows = zip(circuit.edges, ends, circuit.scores or none, circuit.effects or none, strict=True)
    for edge, (source, target), score, effect in rows:
        element = ElementTree.SubElement(graph, "edge", source=source, target=target)
        for name, value in (("channel", edge.receiver), ("score", score), ("effect", effect)):
            if value is not None:
                ElementTree.SubElement(element, "data", key=name).text = str(value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
