"""The graph as circuit-tracer and Neuronpedia write it: JSON with nodes, links and the state of the page.

A neuron is a node `LAYER_INDEX_POSITION` of the type `neuron`; heads are numbered after their layer's neurons and have
the type `attention head`; tokens and the target have the types and names that circuit-tracer gives them. Supernodes are
listed as its page stores them. There are no error nodes.

Source: decoderesearch/circuit-tracer, `frontend/graph_models.py`; Neuronpedia's `graph-schema.json`.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from wheatstone.graphs._graph import NeuronGraph
from wheatstone.graphs._nodes import Node

_SLUG = re.compile(r"[^a-z0-9]+")


def to_circuit_tracer(graph: NeuronGraph) -> dict[str, Any]:
    """The document.

    Args:
        graph: the graph.

    When this misleads: `influence` is cumulative, as circuit-tracer stores it: the smaller, the more important. Weights
    are in units of the target (logits), not of the receiver's activation. Readers that know the types of circuit-tracer
    alone may draw neurons and heads in their plainest form.
    """
    question = graph.question
    model, layers = question.model, question.model.graph.layers
    ids = question.tokens.ids[0].tolist()
    last = len(ids) - 1
    answer = int(question.answers[0])
    target = f"{layers + 1}_{answer}_{last}"
    neurons = [block.neurons for block in model.blocks]
    names = {"target": target}
    nodes: list[dict[str, Any]] = []
    shares = np.array([row.influence or 0.0 for row in graph.rows])
    order = shares.argsort()[::-1]
    cumulative = np.empty_like(shares)
    cumulative[order] = shares[order].cumsum() / max(float(shares.sum()), 1e-30)
    for row, reached in zip(graph.rows, cumulative.tolist(), strict=True):
        node = Node.named(row.node)
        if node.kind == "token":
            name, feature, kind = f"E_{ids[node.position]}_{node.position}", node.position, "embedding"
            layer, script = "E", f"E_{ids[node.position]}-{node.position}"
        else:
            feature = node.index if node.kind == "neuron" else neurons[node.layer] + node.index
            name, layer = f"{node.layer}_{feature}_{node.position}", str(node.layer)
            kind, script = ("neuron" if node.kind == "neuron" else "attention head"), f"{node.layer}_{feature}-0"
        names[row.node] = name
        words = ", ".join(row.promotes[:3])
        nodes.append(
            {
                "node_id": name,
                "feature": feature,
                "layer": layer,
                "ctx_idx": node.position,
                "feature_type": kind,
                "token_prob": 0.0,
                "is_target_logit": False,
                "run_idx": 0,
                "reverse_ctx_idx": 0,
                "jsNodeId": script,
                "clerp": "" if node.kind == "token" else f"{node.place}: {words}",
                "influence": reached,
                "activation": row.value,
            }
        )
    probability = float(question.clean.logits[0].softmax(-1)[question.answers].sum())
    nodes.append(
        {
            "node_id": target,
            "feature": answer,
            "layer": str(layers + 1),
            "ctx_idx": last,
            "feature_type": "logit",
            "token_prob": probability,
            "is_target_logit": True,
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            "jsNodeId": f"L_{answer}-{last}",
            "clerp": f"Output {graph.target} (p={probability:.3f})",
            "influence": None,
            "activation": None,
        }
    )
    return {
        "metadata": {
            "slug": _SLUG.sub("-", question.prompt.lower()).strip("-")[:60] or "graph",
            "scan": model.id,
            "transcoder_list": [],
            "prompt_tokens": model.decode(ids),
            "prompt": question.prompt,
            "node_threshold": graph.settings.node_threshold,
            "schema_version": 1,
            "info": {"generator": {"name": "wheatstone"}},
            "pruning_settings": {
                "node_threshold": graph.settings.node_threshold,
                "edge_threshold": graph.settings.edge_threshold,
            },
        },
        "qParams": {
            "pinnedIds": [],
            "supernodes": [[one.name, *(names[node] for node in one.nodes)] for one in graph.supernodes],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": nodes,
        "links": [
            {"source": names[edge.sender], "target": names[edge.receiver], "weight": edge.weight}
            for edge in graph.edges
        ],
    }
