"""How much two circuits would share by chance: sets of edges of their sizes, drawn from all edges of the model.

The number of shared edges is hypergeometric. With a edges in one, b in the other and n in all,

    E[|A ∩ B| / |A ∪ B|] = Σ_k P(k) k / (a + b − k),    P(k) = C(a, k) C(n − a, b − k) / C(n, b)

When this misleads: edges are not alike. Circuits of one model favour the same layers and the same strong nodes, so
that two unrelated ones share more than this.
"""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from wheatstone._errors import RequestError
from wheatstone.studio._problems import RESPONSES
from wheatstone.studio._schema import _Frozen

_MOST = 100_000
"""Edges of a circuit: the sum has as many terms."""
router = APIRouter(prefix="/api/v1", responses=RESPONSES)
Size = Annotated[int, Query(ge=0, le=_MOST)]


class Chance(_Frozen):
    """What chance gives for two sets of edges."""

    shared: float = Field(description="edges that both have, expected")
    overlap: float = Field(description="share of the union that both have, expected")
    at_least: float = Field(description="probability of sharing at least as many as they do")


@router.get("/chance")
def chance(a: Size, b: Size, both: Size, total: Annotated[int, Query(ge=1, le=10**9)]) -> Chance:
    """What two circuits of these sizes would share by chance, drawn from all edges of a model."""
    if max(a, b) > total or not max(0, a + b - total) <= both <= min(a, b):
        raise RequestError(
            expected="sizes of two sets of edges, and of what both have, within all edges",
            got=f"{a}, {b} and {both} of {total}",
            do="correct them",
        )
    return overlap_by_chance(a, b, both, total)


def overlap_by_chance(a: int, b: int, both: int, total: int) -> Chance:
    """Exact expectations under the hypergeometric distribution.

    Args:
        a: edges of the first set.
        b: of the second.
        both: that they share.
        total: edges to draw from.
    """
    sizes = range(max(0, a + b - total), min(a, b) + 1)
    mass = [math.exp(_choose(a, k) + _choose(total - a, b - k) - _choose(total, b)) for k in sizes]
    overlap = math.fsum(p * k / (a + b - k) for k, p in zip(sizes, mass, strict=True) if k)
    at_least = math.fsum(p for k, p in zip(sizes, mass, strict=True) if k >= both)
    return Chance(shared=a * b / total, overlap=overlap, at_least=min(1.0, at_least))


def _choose(n: int, k: int) -> float:
    """The logarithm of a binomial coefficient."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
