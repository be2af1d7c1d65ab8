"""A circuit in other tools' formats."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

from wheatstone._effects import support_of
from wheatstone._errors import CircuitError
from wheatstone._json import MOST_IN_CIRCUIT, parse_json
from wheatstone._text import shown
from wheatstone.circuits._circuit import Circuit, Edge, ModelInfo
from wheatstone.models import Graph

_GRAPHML = "http://graphml.graphdrawing.org/xmlns"


def to_eap_json(circuit: Circuit, *, d_model: int = 0) -> str:
    """The circuit as EAP-IG's `Graph.to_json` lays it out: nodes and edges by name, with score and membership.

    Only kept edges are listed; EAP-IG takes the others for cut. It has no KV groups: an edge into `a5.g1<k>` becomes
    one edge into the k input of every head that reads the group, which changes the number of edges and no computation.

    Args:
        circuit: the circuit.
        d_model: width of the model's residual stream, by which EAP-IG sizes masks over neurons; 0 where it has none.

    Raises:
        CircuitError: its edges are distinguished by position, which EAP-IG does not know.

    When this misleads: an edge without a score gets 0, since EAP-IG requires one. Scores keep their units: under `kl` a
    negative one supports the behaviour.
    """
    if circuit.spans:
        raise CircuitError(
            expected="a circuit whose edges are kept at all positions",
            got=f"one with the spans {', '.join(span.name for span in circuit.spans)}",
            do="export it as json, or discover it without positions",
        )
    graph = circuit.model.graph
    edges: dict[str, dict[str, object]] = {}
    scores = circuit.scores or (0.0,) * len(circuit)
    for edge, score in zip(circuit.edges, scores, strict=True):
        for name in _eap_names(circuit, edge):
            edges[name] = {"score": score, "in_graph": True}
    nodes = {name: {"in_graph": name in circuit.nodes} for name in graph.nodes} | {"logits": {"in_graph": True}}
    cfg = {
        "n_layers": graph.layers,
        "n_heads": graph.heads,
        "parallel_attn_mlp": graph.parallel,
        "d_model": d_model,
        "model_name": circuit.model.id,
    }
    return json.dumps({"cfg": cfg, "nodes": nodes, "edges": edges}, ensure_ascii=False, indent=1) + "\n"


def from_eap_json(text: str, model: ModelInfo, *, ablation: str = "counterfactual", metric: str = "") -> Circuit:
    """A circuit out of EAP-IG's `Graph.to_json`, in a model's own graph.

    Args:
        text: the file's content.
        model: whose circuit it is: EAP-IG's file does not say how heads share keys and values.
        ablation: what its other edges carry; the file does not say.
        metric: what it was found for; likewise.

    Returns:
        The circuit with its scores, as far as the file has some: a circuit of MIB without scores has none. An edge
        into a KV group is kept if any head of the group keeps it, with the largest of their scores by size.

    Raises:
        CircuitError: not such a file, or of another architecture.

    When this misleads: where only some heads of a group keep an edge, the circuit here has more than the file's, for
    the model has one key and value a group. Nodes and neurons that the file leaves out are not: only its edges count.
    """
    try:
        document = parse_json(text, finite=False, most=MOST_IN_CIRCUIT)
    except ValueError as error:
        raise _not_eap(str(error)) from error
    return from_eap_document(document, model, ablation=ablation, metric=metric)


def from_eap_document(
    document: Any, model: ModelInfo, *, ablation: str = "counterfactual", metric: str = ""
) -> Circuit:
    """As `from_eap_json`, of a document that is read already."""
    graph = model.graph
    try:
        config = document["cfg"]
        found = (config["n_layers"], config["n_heads"], bool(config["parallel_attn_mlp"]))
        kept = {name: info for name, info in document["edges"].items() if info["in_graph"]}
    except (KeyError, TypeError, AttributeError) as error:
        keys = f" with the keys {', '.join(map(repr, list(document)[:20]))}" if isinstance(document, dict) else ""
        raise _not_eap(f"{type(error).__name__}: {error}{keys}") from error
    if found != (graph.layers, graph.heads, graph.parallel):
        raise CircuitError(
            expected=f"a circuit of {graph.layers} layers and {graph.heads} heads"
            f"{', attention and MLP in parallel' if graph.parallel else ''}",
            got=f"{found[0]} layers, {found[1]} heads{', in parallel' if found[2] else ''}",
            do="give the model the circuit was found in",
        )
    scored = bool(kept) and all("score" in info for info in kept.values())
    scores = _in_graph({name: info.get("score", 0.0) for name, info in kept.items()}, graph)
    ordered = sorted(scores)
    edges = tuple(Edge(graph.nodes[node], graph.channels[channel]) for channel, node in ordered)
    about = tuple(scores[edge] for edge in ordered) if scored else None
    return Circuit(model, edges, ablation=ablation, metric=metric, scores=about)


def eap_scores(document: Any, graph: Graph) -> dict[Edge, float]:
    """Scores of all edges that EAP-IG's document scores, in a circuit or not; see `from_eap_json` for KV groups."""
    edges = document["edges"]
    _in_graph(dict.fromkeys(edges, 0.0), graph)  # their names
    scores = _in_graph({name: info["score"] for name, info in edges.items() if "score" in info}, graph)
    return {Edge(graph.nodes[node], graph.channels[channel]): scores[channel, node] for channel, node in sorted(scores)}


def _in_graph(named: Mapping[str, Any], graph: Graph) -> dict[tuple[int, int], float]:
    """Scores by position in the graph; of a KV group the largest by size."""
    scores: dict[tuple[int, int], float] = {}
    for name, score in named.items():
        sender, arrow, receiver = name.partition("->")
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score) or not arrow:
            raise _not_eap(f"the edge {name[:60]!r} with the score {str(score)[:20]!r}")
        edge = graph.edge(sender, _own_name(graph, receiver))
        scores[edge] = max(scores.get(edge, 0.0), float(score), key=abs)
    return scores


def _not_eap(got: str) -> CircuitError:
    return CircuitError(
        expected="JSON of EAP-IG's Graph.to_json: cfg (n_layers, n_heads, parallel_attn_mlp), nodes, and edges with "
        "in_graph and, where they are scored, a score",
        got=got,
        do="write it with EAP-IG's Graph.to_json",
    )


def _own_name(graph: Graph, receiver: str) -> str:
    """A head's key or value input by the name of its group."""
    found = re.fullmatch(r"(a\d{1,9})\.h(\d{1,9})<([kv])>", receiver)
    return receiver if found is None else f"{found[1]}.g{graph.group_of(int(found[2]))}<{found[3]}>"


def _eap_names(circuit: Circuit, edge: Edge) -> list[str]:
    graph = circuit.model.graph
    if ".g" not in edge.receiver:
        return [str(edge)]
    layer, group = edge.receiver.split("<")[0].split(".g")
    kind = edge.receiver[-3:]
    heads = [head for head in range(graph.heads) if graph.group_of(head) == int(group)]
    return [f"{edge.sender}->{layer}.h{head}{kind}" for head in heads]


def to_graphml(circuit: Circuit) -> str:
    """The circuit as GraphML: components are nodes, edges carry channel, score and exact effect.

    `supports` says whether an edge supports the behaviour, which the sign of a score alone does not say under `kl`.
    `unit` names the edges that were removed together where the effect was measured on more than this edge.
    """
    root = ElementTree.Element("graphml", xmlns=_GRAPHML)
    kinds = {"channel": "string", "score": "double", "effect": "double", "unit": "string", "supports": "boolean"}
    for name, kind in kinds.items():
        ElementTree.SubElement(root, "key", {"id": name, "for": "edge", "attr.name": name, "attr.type": kind})
    graph = ElementTree.SubElement(root, "graph", id=shown(circuit.task) or "circuit", edgedefault="directed")
    ends = [(edge.sender, edge.receiver.split("<")[0]) for edge in circuit.edges]
    for name in dict.fromkeys(end for pair in ends for end in pair):
        ElementTree.SubElement(graph, "node", id=name)
    none = (None,) * len(circuit)
    rows = zip(circuit.edges, ends, circuit.scores or none, circuit.effects or none, circuit.units or none, strict=True)
    for edge, (source, target), score, effect, unit in rows:
        element = ElementTree.SubElement(graph, "edge", source=source, target=target)
        known = score is not None or effect is not None
        supports = str(support_of(circuit.metric, score, effect) >= 0).lower() if known else None
        values = (edge.receiver, score, effect, unit, supports)
        for name, value in zip(kinds, values, strict=True):
            if value is not None:
                ElementTree.SubElement(element, "data", key=name).text = str(value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
