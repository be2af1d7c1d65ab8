"""Heads that recur in many circuits, compared with random circuits of the same sizes.

In a sweep a head recurs in a share of the circuits. What chance gives is the share in circuits in which the heads of
each layer have changed places (`exchanged_heads`): as large, as deep and as connected as the ones that were found, for
each pair its own. There a head of layer l is in the circuit of pair i with probability

    p[i, l] = heads of layer l in circuit i / heads of the layer

so that its number of circuits has the mean Σ p[i, l] and, the pairs exchanged each for itself, a Poisson binomial
distribution. Heads are ranked by how far they exceed that mean; in a layer all of whose heads are in every circuit,
none does.

When this misleads: the pairs of one relation are much alike, so that a head recurs because the question does. A small p
says that it is this head and not any of its layer, not that it matters for this relation alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from wheatstone.circuits import Circuit
from wheatstone.models import Graph


class NodeRow(NamedTuple):
    """One node of a sweep: a row of nodes.parquet.

    Args:
        node: such as `a23.h4`.
        circuits: that it is in.
        share: of all circuits.
        expected: the share that random circuits of the same sizes give; None for the input and MLPs, which have no
            others of their kind in their layer.
        excess: share less expected.
        p: probability that random circuits have it as often.
    """

    node: str
    circuits: int
    share: float
    expected: float | None = None
    excess: float | None = None
    p: float | None = None


def recurring(circuits: Sequence[Circuit], graph: Graph) -> list[NodeRow]:
    """Every node that is in a circuit: heads by excess over chance, then by number of circuits; then the other nodes.

    Args:
        circuits: of one model.
        graph: its graph.
    """
    heads = {f"a{layer}.h{head}": layer for layer in range(graph.layers) for head in range(graph.heads)}
    counts: dict[str, int] = {}
    inside = np.zeros((len(circuits), graph.layers))
    for row, circuit in enumerate(circuits):
        for node in {name.partition("@")[0] for name in circuit.nodes}:
            counts[node] = counts.get(node, 0) + 1
            if node in heads:
                inside[row, heads[node]] += 1
    chances = inside / graph.heads
    n = len(circuits)
    rows: list[NodeRow] = []
    for node, count in counts.items():
        if node in heads:
            chance = chances[:, heads[node]]
            expected = float(chance.mean())
            rows.append(NodeRow(node, count, count / n, expected, count / n - expected, at_least(chance, count)))
        else:
            rows.append(NodeRow(node, count, count / n))
    order = {name: place for place, name in enumerate(graph.nodes)}
    return sorted(
        rows,
        key=lambda row: (row.excess is None, -round(row.excess or 0.0, 12), -row.circuits, order.get(row.node, 0)),
    )


def at_least(chances: np.ndarray, count: int) -> float:
    """Probability that of independent events with these chances `count` or more happen (Poisson binomial)."""
    happened = np.ones(1)
    for chance in chances:
        happened = np.append(happened, 0.0) * (1 - chance) + np.append(0.0, happened) * chance
    return float(min(1.0, happened[count:].sum()))


def shown(rows: Sequence[NodeRow], most: int) -> list[NodeRow]:
    """The first heads, and those that tie with the last of them."""
    heads = [row for row in rows if row.excess is not None]
    if len(heads) <= most:
        return heads
    last = heads[most - 1]
    return [row for place, row in enumerate(heads) if place < most or _tie(row, last)]


def _tie(row: NodeRow, last: NodeRow) -> bool:
    return row.circuits == last.circuits and abs((row.excess or 0.0) - (last.excess or 0.0)) < 1e-12
