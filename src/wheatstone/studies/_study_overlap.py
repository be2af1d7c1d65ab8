"""How much the circuits of a study share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from wheatstone.circuits import Circuit


def overlap(names: Sequence[str], circuits: Sequence[Circuit]) -> dict[str, Any]:
    """Jaccard overlap of every two circuits, |A ∩ B| / |A ∪ B|, of their edges and of the nodes that write along them.

    Args:
        names: of the circuits.
        circuits: of one model; none is empty.

    Returns:
        `order`, the names so that similar relations are next to each other (average linkage over 1 − edge
        overlap, leaves in optimal order); `edges` and `nodes`, matrices in that order.

    When this misleads: overlap depends on size. A circuit within another ten times as large has an overlap of 0.1,
    and even circuits of unlike relations share the edges every prompt needs, such as `input` to the first MLP.
    """
    edges = _jaccard([set(circuit.edges) for circuit in circuits])
    nodes = _jaccard([set(circuit.nodes) for circuit in circuits])
    order = list(range(len(names)))
    if len(names) > 2:
        order = leaves_list(linkage(squareform(1 - edges, checks=False), "average", optimal_ordering=True)).tolist()
    return {
        "order": [names[index] for index in order],
        "edges": edges[np.ix_(order, order)].tolist(),
        "nodes": nodes[np.ix_(order, order)].tolist(),
    }


def _jaccard(sets: Sequence[set[Any]]) -> np.ndarray:
    return np.array([[len(ours & theirs) / len(ours | theirs) for theirs in sets] for ours in sets])
