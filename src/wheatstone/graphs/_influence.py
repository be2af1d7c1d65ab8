"""Pruning by influence: how much of what reaches the target passes through a node, or along an edge.

Each node's incoming edges, without their signs, are shares of their sum; what nodes outside the graph send has its
share as well, and is lost. The influence of a node is the sum over all paths to the target of the products of shares.
The strongest nodes that have 80% of all influence together are kept, then the strongest edges between them that have
98%, then what is connected.

As circuit-tracer prunes, with the same defaults, so that graphs can be compared.

Source: Ameisen et al. 2025, "Circuit tracing", and decoderesearch/circuit-tracer, `prune_graph`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._bounds import SHARE
from wheatstone._view import Brief
from wheatstone.graphs._edges import Edges

NODE_THRESHOLD, EDGE_THRESHOLD = 0.8, 0.98


@dataclass(frozen=True, eq=False)
class Pruned(Brief):
    """What is left of a graph.

    Args:
        nodes: which of its nodes are kept.
        edges: which of its edges; the last row is the target.
        influence: of every node, as a share of what reaches the target (a node in the path of another counts in both).
    """

    nodes: Bool[Tensor, " node"]
    edges: Bool[Tensor, "row node"]
    influence: Float[Tensor, " node"]


def prune(
    edges: Edges, always: Bool[Tensor, " node"], *, nodes: float = NODE_THRESHOLD, threshold: float = EDGE_THRESHOLD
) -> Pruned:
    """Prunes a graph.

    Args:
        edges: all of them.
        always: nodes that stay at any influence, such as the tokens.
        nodes: share of all influence that the kept nodes have together; 1 keeps all.
        threshold: the same of edges between kept nodes.

    Raises:
        RequestError: a threshold out of range.
    """
    SHARE.check("a node threshold", nodes)
    SHARE.check("an edge threshold", threshold)
    weights = edges.weights.double()
    influence = _influence(weights, edges.rest.double())[:-1]
    kept = always | _strongest(influence, nodes)
    inside = weights.clone()
    inside[:-1][~kept] = 0
    inside[:, ~kept] = 0
    scores = _shares(inside, torch.zeros(len(inside), dtype=inside.dtype))
    through = torch.cat((_influence(inside, torch.zeros(len(inside), dtype=inside.dtype))[:-1], torch.ones(1)))
    chosen = _strongest((scores * through[:, None]).flatten(), threshold).view_as(weights) & (weights != 0)
    while True:
        connected = kept & (always | (chosen.any(0) & chosen[:-1].any(1)))
        chosen[:-1][~connected] = False
        chosen[:, ~connected] = False
        if torch.equal(connected, kept):
            return Pruned(kept, chosen, influence.float())
        kept = connected


def _shares(weights: Float[Tensor, "row node"], rest: Float[Tensor, " row"]) -> Float[Tensor, "row node"]:
    sizes = weights.abs()
    return sizes / (sizes.sum(1, keepdim=True) + rest.abs()[:, None]).clamp_min(1e-300)


def _influence(weights: Float[Tensor, "row node"], rest: Float[Tensor, " row"]) -> Float[Tensor, " row"]:
    """Of every node and, last, the target: 1 at the target, handed back along the shares until nothing moves."""
    shares = _shares(weights, rest)
    now = torch.zeros(len(weights), dtype=weights.dtype)
    now[-1] = 1
    total = now
    while now.any():  # edges lead forward, so that this ends after as many rounds as the longest path has edges
        now = torch.cat((now @ shares, now.new_zeros(1)))
        total = total + now
    return total


def _strongest(scores: Float[Tensor, " n"], share: float) -> Bool[Tensor, " n"]:
    """The fewest that have a share of the sum together."""
    kept = torch.zeros(len(scores), dtype=torch.bool)
    if share == 1 or not scores.any():
        return kept | (scores > 0)
    order = scores.argsort(descending=True, stable=True)
    before = scores[order].cumsum(0) - scores[order]
    kept[order[before < share * scores.sum()]] = True
    return kept
