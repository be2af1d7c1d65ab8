"""The rows of a graph's tables: its nodes and edges, with what they do and say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone.graphs._edges import Edges
from wheatstone.graphs._influence import Pruned
from wheatstone.graphs._nodes import Node
from wheatstone.graphs._question import Baseline, Question
from wheatstone.graphs._supernodes import Supernode, groups_of, named
from wheatstone.graphs._task import TaskNodes
from wheatstone.graphs._words import poles
from wheatstone.models import NodeValues, ResidualModel, wide


class NodeRow(NamedTuple):
    """A node of a graph: a row of nodes.parquet.

    Args:
        node: its name, such as `m25.n1527@6`.
        kind: `token`, `head` or `neuron`.
        layer: from 0; -1 of a token.
        position: in the prompt, from 0.
        token: of the prompt at this position.
        value: a neuron's activation; how large what a head or token writes is; None of the parts of a task's prompts.
        ablated: the same under the baseline.
        sent: what the node sends to all others and the target together, in logits: the sum of its edges in the whole
            model under linear rules.
        slope: what the target would lose without it by the plain gradient, in logits; None of a token.
        effect: what it loses when the node alone is ablated, run exactly; None where that was not run.
        influence: share of what reaches the target that passes through it; None where a file does not say it.
        rest: what nodes outside the graph send to it, in logits; likewise.
        promotes: tokens that what it writes here makes likelier.
        suppresses: tokens that it makes less likely.
        supernode: number of its supernode, from 0; -1 where it has none.
        recurs: of a task's graph, the share of prompts on which it is among the strongest as many; None of a prompt's.
    """

    node: str
    kind: str
    layer: int
    position: int
    token: str
    value: float | None
    ablated: float | None
    sent: float
    slope: float | None
    effect: float | None
    influence: float | None
    rest: float | None
    promotes: list[str]
    suppresses: list[str]
    supernode: int
    recurs: float | None = None


class EdgeRow(NamedTuple):
    """An edge of a graph: a row of edges.parquet.

    Args:
        sender: a node's name.
        receiver: a node's name, or `target`.
        weight: what it carries, in logits.
        share: of everything that is sent to the receiver, without signs.
    """

    sender: str
    receiver: str
    weight: float
    share: float


def strongest_neurons(rows: Sequence[NodeRow], most: int = 40) -> list[tuple[str, float]]:
    """The neurons with the largest effects, or slopes where none was run: names and activations."""
    neurons = [row for row in rows if row.kind == "neuron"]
    neurons.sort(key=lambda row: -abs(row.effect or row.slope or 0.0))
    return [(row.node, row.value) for row in neurons[:most] if row.value is not None]


def node_rows(
    question: Question,
    baseline: Baseline,
    nodes: Sequence[Node],
    places: Mapping[Node, int],
    edges: Edges,
    pruned: Pruned,
    plain: Float[Tensor, " place"],
    effects: Mapping[int, float],
) -> list[NodeRow]:
    """A row for every node, kept or not; no supernodes yet."""
    texts = question.model.decode(question.tokens.ids[0].tolist())
    words = poles(question.model, edges.written)
    rows: list[NodeRow] = []
    for number, node in enumerate(nodes):
        place = places.get(node)
        rows.append(
            NodeRow(
                node=str(node),
                kind=node.kind,
                layer=node.layer,
                position=node.position,
                token=texts[node.position],
                value=_size(node, question.clean.input, question.clean.values),
                ablated=_size(node, baseline.input, baseline.values),
                sent=float(edges.sent[number]),
                slope=None if place is None else float(plain[place]),
                effect=None if place is None else effects.get(place),
                influence=float(pruned.influence[number]),
                rest=float(edges.rest[number]),
                promotes=words[number][0],
                suppresses=words[number][1],
                supernode=-1,
            )
        )
    return rows


def task_rows(
    model: ResidualModel,
    training: TaskNodes,
    nodes: Sequence[Node],
    names: Sequence[str],
    edges: Edges,
    pruned: Pruned,
    slopes: Float[Tensor, " kept"],
    recurs: Float[Tensor, " kept"],
) -> list[NodeRow]:
    """A row for every node of a task's graph; no supernodes yet.

    Args:
        model: the model.
        training: the training prompts.
        nodes: of the graph, one for each part of the prompt first, then the kept ones.
        names: of all of these.
        edges: between them.
        pruned: of these edges.
        slopes: of the kept ones.
        recurs: likewise.
    """
    words = poles(model, edges.written)
    own, ablated = training.values()
    tokens = len(nodes) - len(slopes)
    rows: list[NodeRow] = []
    for number, (node, name) in enumerate(zip(nodes, names, strict=True)):
        kept = number - tokens
        rows.append(
            NodeRow(
                node=name,
                kind=node.kind,
                layer=node.layer,
                position=node.position,
                token=training.spans[node.position],
                value=None if kept < 0 else _size(node, None, own),
                ablated=None if kept < 0 else _size(node, None, ablated),
                sent=float(edges.sent[number]),
                slope=None if kept < 0 else float(slopes[kept]),
                effect=None,
                influence=float(pruned.influence[number]),
                rest=float(edges.rest[number]),
                promotes=words[number][0],
                suppresses=words[number][1],
                supernode=-1,
                recurs=None if kept < 0 else float(recurs[kept]),
            )
        )
    return rows


def _size(node: Node, written: Float[Tensor, "1 pos d_model"] | None, values: NodeValues | None) -> float:
    """A neuron's activation, or how large a head's value or a token's embedding is."""
    if node.kind == "token" and written is not None:
        return float(written[0, node.position].norm())
    if values is None:
        return 0.0
    if node.kind == "neuron":
        return float(values.neurons[node.layer][0, node.position, node.index])
    return float(values.heads[node.layer][0, node.position, node.index].norm())


def grouped(
    model: ResidualModel,
    nodes: Sequence[Node],
    names: Sequence[str],
    edges: Edges,
    shown: Bool[Tensor, " node"],
    rows: Sequence[NodeRow],
    target: str,
) -> tuple[tuple[NodeRow, ...], tuple[Supernode, ...]]:
    """Rows with their supernodes' numbers, and the supernodes."""
    groups = groups_of(nodes, edges.weights, shown)
    if groups:
        together = torch.stack([edges.written[group].sum(0) for group in groups])
        words = poles(model, together)
    else:
        words = []
    supernodes = tuple(
        named(names, edges.weights, group, *sides, target) for group, sides in zip(groups, words, strict=True)
    )
    number_of = {number: place for place, group in enumerate(groups) for number in group}
    return (
        tuple(row._replace(supernode=number_of.get(number, -1)) for number, row in enumerate(rows) if shown[number]),
        supernodes,
    )


def edge_rows(names: Sequence[str], edges: Edges, kept: Bool[Tensor, "row node"]) -> tuple[EdgeRow, ...]:
    """The kept edges, the strongest first."""
    names = [*names, "target"]
    weights = wide(edges.weights)
    sums = weights.abs().sum(1) + edges.rest.abs()
    rows, columns = kept.nonzero().T.tolist()
    found = [
        EdgeRow(names[column], names[row], float(weights[row, column]), float(weights[row, column].abs() / sums[row]))
        for row, column in zip(rows, columns, strict=True)
    ]
    return tuple(sorted(found, key=lambda edge: (-abs(edge.weight), edge.sender, edge.receiver)))
