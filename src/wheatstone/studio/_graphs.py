"""A graph in neurons as one document: as much of it as a browser can draw, the most influential first.

The influence of a node is the share of what reaches the target that passes through it; that of an edge is its share of
what its receiver gets, times the receiver's influence. A file that does not say it (of another tool) has it computed
here from its shares, as `wheatstone graph` computes it.

Source: Ameisen et al. 2025, "Circuit tracing"; decoderesearch/circuit-tracer, `prune_graph`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from jaxtyping import Float, Int

from wheatstone._errors import RunError
from wheatstone.runs import Run, sound
from wheatstone.studio._graphs_schema import GraphDocument, GraphNode, GraphTarget, Proof, Suggested
from wheatstone.studio._library import state_of
from wheatstone.studio._lines import State
from wheatstone.studio._problems import RESPONSES

NODES, EDGES = 5_000, 20_000
"""Of a view, at most."""
_LAYERS, _TOKENS, _CELLS = 1_000, 5_000, 200_000
"""Rows, columns and their product that a browser lays out, at most."""
_ROUNDS = 500
"""Longest path along which influence is followed: more than twice the layers of any model here."""
router = APIRouter(prefix="/api/v1", responses=RESPONSES)


@router.get("/runs/{id}/graph")
def graph(request: Request, id: str) -> GraphDocument:
    """A graph in neurons: at most 5,000 nodes and 20,000 edges, the most influential, and how many there are."""
    path = request.app.state.library.find(id)
    files = ("graph.json", *sorted(table.name for table in path.glob("*.parquet")))
    document = _document(path, state_of(path, *files))
    return document.model_copy(update={"id": id, "example": id.startswith("example-")})


@lru_cache(maxsize=8)
def _document(path: Path, state: State) -> GraphDocument:
    """A graph, read again only when its files changed; see `state_of`."""
    with sound(path):
        return graph_document(Run.open(path, "graph"))


def graph_document(run: Run, *, nodes: int = NODES, edges: int = EDGES) -> GraphDocument:
    """A graph as it is drawn.

    Args:
        run: of the verb `graph`.
        nodes: most nodes; tokens come first, up to half of them, then the most influential others.
        edges: most edges between them, the most influential.

    Raises:
        RunError: a file is missing or damaged, or the graph has too many layers and tokens to be drawn.
    """
    summary, about, rows = run.result, run.manifest["model"], run.rows("nodes")
    layers, tokens = max([int(about.get("layers", 1)), *(row["layer"] + 1 for row in rows)]), len(summary["tokens"])
    if layers > _LAYERS or tokens > _TOKENS or layers * tokens > _CELLS:
        raise RunError(
            expected=f"a graph that a browser can lay out: at most {_LAYERS:,} layers, {_TOKENS:,} tokens and "
            f"{_CELLS:,} of their product",
            got=f"{layers:,} layers and {tokens:,} tokens",
            do="prune the graph in the tool that made it, or read its tables in Python",
        )
    table = run.table("edges")
    number = {row["node"]: at for at, row in enumerate(rows)} | {"target": len(rows)}
    sender, receiver = (_numbers(table[name].to_pylist(), number) for name in ("sender", "receiver"))
    share = np.nan_to_num(table["share"].to_numpy().astype(np.float64)).clip(0, 1)
    weight = np.nan_to_num(table["weight"].to_numpy().astype(np.float64))
    influence = np.array([np.nan if row["influence"] is None else row["influence"] for row in rows])
    if np.isnan(influence).any():
        influence = influences(sender, receiver, share, len(rows))
    token = np.array([row["kind"] == "token" for row in rows], bool)
    order = np.flatnonzero(token)[np.argsort(-influence[token], kind="stable")]
    turn = np.ones(len(rows), int)  # a long prompt's tokens must not take the place of all other nodes
    turn[order[: nodes // 2]], turn[order[nodes // 2 :]] = 0, 2
    kept = np.sort(np.lexsort((-influence, turn))[:nodes])
    place = np.full(len(rows) + 1, -1)
    place[kept] = np.arange(len(kept))
    place[-1] = len(kept)
    inside = np.flatnonzero((place[sender] >= 0) & (place[receiver] >= 0))
    strength = share * np.append(influence, 1.0)[receiver]
    inside = inside[np.argsort(-strength[inside], kind="stable")][:edges]
    return GraphDocument(
        id="",
        title=run.title,
        path=str(run.path),
        created=run.manifest["created"],
        example=False,
        model=about["id"],
        layers=layers,
        prompt=summary["prompt"],
        tokens=summary["tokens"],
        counterfactuals=summary["counterfactuals"],
        target=GraphTarget(**{name: summary["target"][name] for name in ("name", "clean", "ablated")}),
        proofs=[Proof(**{name: proof[name] for name in Proof.model_fields}) for proof in summary["proofs"]],
        enough=summary["enough"],
        suggested=_suggested(summary["supernodes"], {rows[at]["node"] for at in kept}),
        nodes=[_node(rows[at], float(influence[at])) for at in kept],
        sender=place[sender[inside]].tolist(),
        receiver=place[receiver[inside]].tolist(),
        weight=weight[inside].tolist(),
        share=share[inside].tolist(),
        total_nodes=len(rows),
        total_edges=len(sender),
        changeable=bool(about.get("sha256")),
        notes=[str(note) for note in run.manifest.get("notes", [])],
    )


def influences(
    sender: Int[np.ndarray, " edge"], receiver: Int[np.ndarray, " edge"], share: Float[np.ndarray, " edge"], nodes: int
) -> Float[np.ndarray, " node"]:
    """The influence of each node: the sum over all paths to the target of the products of shares.

    Args:
        sender: number of each edge's sender.
        receiver: of its receiver; the target is `nodes`.
        share: of what the receiver gets.
        nodes: how many there are.
    """
    now = np.zeros(nodes + 1)
    now[nodes] = 1.0
    total = np.zeros(nodes + 1)
    for _ in range(_ROUNDS):  # edges lead forward; a file whose edges lead round has an end here
        now = np.bincount(sender, weights=now[receiver] * share, minlength=nodes + 1)
        if not now.any():
            break
        total += now
    return np.minimum(total[:nodes], 1.0)  # where edges lead round, paths are counted more than once


def _numbers(names: Sequence[str], number: Mapping[str, int]) -> Int[np.ndarray, " edge"]:
    return np.array([number[name] for name in names], np.int64)


def _node(row: Mapping[str, Any], influence: float) -> GraphNode:
    fields: dict[str, Any] = {name: row[name] for name in GraphNode.model_fields}
    fields["influence"] = influence
    return GraphNode(**fields)


def _suggested(groups: Sequence[Mapping[str, Any]], kept: set[str]) -> list[Suggested]:
    """Groups of at least two drawn nodes."""
    members = [[node for node in group["nodes"] if node in kept] for group in groups]
    return [
        Suggested(name=group["name"], nodes=nodes, weight=group["weight"])
        for group, nodes in zip(groups, members, strict=True)
        if len(nodes) > 1
    ]
