"""A graph that circuit-tracer, Neuronpedia or this package wrote as JSON, as the tables of a run.

What such a file does not say (exact effects, what nodes hold alone) stays empty. Nodes keep the file's names.

Source: decoderesearch/circuit-tracer, `frontend/graph_models.py`; Neuronpedia's `graph-schema.json`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wheatstone._errors import CircuitError
from wheatstone._path import StrPath
from wheatstone._text import count
from wheatstone._version import __version__
from wheatstone._view import Brief
from wheatstone.graphs._rows import EdgeRow, NodeRow
from wheatstone.graphs._supernodes import Supernode
from wheatstone.runs import FORMAT, Table, write_json, write_table

_KINDS = {
    "embedding": "token",
    "attention head": "head",
    "cross layer transcoder": "feature",
    "mlp reconstruction error": "error",
}
_MOST_NODES, _MOST_LINKS = 100_000, 1_000_000
_LARGEST = 1e30
"""Of a number, so that no sum of a million overflows."""


@dataclass(frozen=True, eq=False)
class ForeignGraph(Brief):
    """A graph out of a file.

    Args:
        model: what the file calls the model.
        layers: as far as its nodes reach.
        prompt: as text.
        tokens: of the prompt.
        rows: its nodes but for the logits.
        edges: its links; those into logits lead to `target`.
        supernodes: as the file groups them.
        target: the logits by name.
        notes: what a reader should know.
    """

    model: str
    layers: int
    prompt: str
    tokens: tuple[str, ...]
    rows: tuple[NodeRow, ...]
    edges: tuple[EdgeRow, ...]
    supernodes: tuple[Supernode, ...]
    target: str
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """What `graph.json` holds and the command prints."""
        return {
            "prompt": self.prompt,
            "tokens": list(self.tokens),
            "counterfactuals": [],
            "target": {"name": self.target, "clean": None, "ablated": None},
            "nodes": len(self.rows),
            "edges": len(self.edges),
            "enough": False,
            "proofs": [],
            "supernodes": [asdict(one) for one in self.supernodes],
            "linear_residual": None,
        }

    def save(self, folder: StrPath) -> None:
        """Writes all files of the run into a folder."""
        folder = Path(folder)
        manifest = {
            "format": FORMAT,
            "verb": "graph",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"wheatstone": __version__},
            "model": {"id": self.model, "sha256": "", "layers": self.layers},
            "settings": {"imported": True},
            "prompts": [{"prompt": self.prompt, "answers": [self.target]}],
            "timings": {},
            "notes": list(self.notes),
        }
        write_json(folder / "manifest.json", manifest)
        write_json(folder / "graph.json", self.summary())
        write_table(Table(NodeRow, self.rows), folder / "nodes.parquet")
        write_table(Table(EdgeRow, self.edges), folder / "edges.parquet")


def from_circuit_tracer(document: Mapping[str, Any]) -> ForeignGraph:
    """Reads the document.

    Args:
        document: with `metadata`, `nodes` and `links`.

    Raises:
        CircuitError: it is not such a document, has too many nodes or links, or a link to a node that is not there.

    When this misleads: weights are in the file's own units, which differ between tools, and may not add up.
    """
    about, nodes, links = (document.get(part) for part in ("metadata", "nodes", "links"))
    if not isinstance(about, dict) or not isinstance(nodes, list) or not isinstance(links, list):
        raise _refused("metadata, and lists of nodes and links", "another shape")
    if len(nodes) > _MOST_NODES or len(links) > _MOST_LINKS:
        raise _refused(
            f"at most {_MOST_NODES:,} nodes and {_MOST_LINKS:,} links",
            f"{len(nodes):,} and {len(links):,}",
            "prune the graph in the tool that made it",
        )
    tokens = tuple(str(token) for token in _list(about, "prompt_tokens"))
    if not nodes or not tokens:
        raise _refused(
            "at least one node and the prompt's tokens",
            f"{count(len(nodes), 'node')} and {count(len(tokens), 'token')}",
        )
    found = {_text(node, "node_id"): node for node in nodes}
    if "target" in found:
        raise _refused("no node that is called 'target', as what the graph explains is", "one")
    logits = {name: node for name, node in found.items() if _text(node, "feature_type") == "logit"}
    sums: defaultdict[str, float] = defaultdict(float)
    sent: defaultdict[str, float] = defaultdict(float)
    weights: defaultdict[tuple[str, str], float] = defaultdict(float)
    unknown: dict[str, None] = {}
    for link in links:
        source, goal, weight = _text(link, "source"), _text(link, "target"), _number(link, "weight")
        unknown |= dict.fromkeys(name for name in (source, goal) if name not in found)
        goal = "target" if goal in logits else goal
        weights[source, goal] += weight
        sums[goal] += abs(weight)
        sent[source] += weight
    if unknown:
        raise _refused("links between the graph's nodes", f"{len(unknown)} unknown, the first {next(iter(unknown))!r}")
    others = {name: node for name, node in found.items() if name not in logits}
    groups = _groups(document, others)
    number_of = {name: number for number, group in enumerate(groups) for name in group.nodes}
    rows = [_row(name, node, tokens, sent[name], number_of.get(name, -1)) for name, node in others.items()]
    rows.sort(key=lambda row: (row.layer, row.position, row.node))
    edges = [
        EdgeRow(source, goal, weight, abs(weight) / sums[goal] if sums[goal] else 0.0)
        for (source, goal), weight in weights.items()
    ]
    edges.sort(key=lambda edge: (-abs(edge.weight), edge.sender, edge.receiver))
    target = ", ".join(str(node.get("clerp") or name) for name, node in logits.items())
    return ForeignGraph(
        str(about.get("scan") or "unknown"),
        max([1, *(row.layer + 1 for row in rows)]),
        str(about.get("prompt") or "".join(tokens)),
        tokens,
        tuple(rows),
        tuple(edges),
        groups,
        target or "the answer",
        ("imported: weights are in the units of the tool that wrote the file, and nothing was run",),
    )


def _row(name: str, node: Mapping[str, Any], tokens: Sequence[str], sent: float, supernode: int) -> NodeRow:
    kind, position = _text(node, "feature_type"), node.get("ctx_idx")
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < max(1, len(tokens)):
        raise _refused(f"positions from 0 to {len(tokens) - 1}", f"{position!r} of {name!r}")
    layer = str(node.get("layer"))
    if kind != "embedding" and not (layer.isascii() and layer.isdigit() and len(layer) < 5):
        raise _refused("layers as whole numbers", f"{layer[:40]!r} of {name!r}")
    activation, label = node.get("activation"), str(node.get("clerp") or "")
    if isinstance(activation, int | float) and abs(activation) > _LARGEST:
        raise _refused(f"activations of at most {_LARGEST:g} in size", f"a larger one of {name!r:.60}")
    return NodeRow(
        name,
        _KINDS.get(kind, kind or "feature"),
        -1 if kind == "embedding" else int(layer),
        position,
        tokens[position] if tokens else "",
        float(activation) if isinstance(activation, int | float) and not math.isnan(activation) else 0.0,
        0.0,
        sent,
        None,
        None,
        None,
        None,
        [label] if label else [],
        [],
        supernode,
    )


def _groups(document: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[Supernode, ...]:
    """Groups of the page's state; names that are no rows, such as those of logits, are left out."""
    state = document.get("qParams")
    groups: list[Supernode] = []
    for group in _list(state, "supernodes") if isinstance(state, dict) else ():
        if isinstance(group, list) and group:
            members = tuple(str(name) for name in group[1:] if str(name) in found)
            if members:
                groups.append(Supernode(str(group[0]), members, (), (), 0.0))
    return tuple(groups)


def _list(record: Mapping[str, Any], name: str) -> list[Any]:
    value = record.get(name)
    return value if isinstance(value, list) else []


def _text(record: Any, name: str) -> str:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, str):
        raise _refused(f"nodes and links with a text {name!r}", repr(value)[:60])
    return value


def _number(record: Mapping[str, Any], name: str) -> float:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise _refused(f"links with a finite number {name!r} of at most {_LARGEST:g} in size", f"{value!r:.60}")
    return float(value)


def _refused(
    expected: str, got: str, do: str = "write the file again with circuit-tracer or Neuronpedia"
) -> CircuitError:
    return CircuitError(expected=f"an attribution graph with {expected}", got=got, do=do)
