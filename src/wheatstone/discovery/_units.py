"""What a search keeps or removes at once: an edge, or edges that belong together.

channels   every edge on its own
heads      the edges from one node into q, k and v of one attention group together: of a single head where every head
           has its own key and value; of a whole KV group with grouped-query attention, whose heads share them
groups     as `heads`, and the heads of a KV group write as one sender too
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._effects import attention_group
from wheatstone._errors import check_choice
from wheatstone.models import Graph

Granularity = Literal["channels", "heads", "groups"]
GRANULARITIES: tuple[str, ...] = get_args(Granularity)


@dataclass(frozen=True, eq=False)
class Units:
    """A partition of a graph's edges.

    Args:
        labels: the unit of every edge, numbered in order of computation; -1 where there is no edge.
        count: how many units there are.
    """

    labels: Int[Tensor, "channel node"]
    count: int

    @classmethod
    def of(cls, graph: Graph, granularity: str) -> Units:
        """The units of a granularity.

        Raises:
            RequestError: no such granularity.
        """
        check_choice("a granularity", granularity, GRANULARITIES, do="choose one")
        receivers, senders = np.arange(len(graph.channels)), np.arange(len(graph.nodes))
        share = graph.heads // graph.kv_groups
        if granularity != "channels":
            receivers = _first_of_each([attention_group(name, share) for name in graph.channels])
        if granularity == "groups":
            senders = _first_of_each([attention_group(name, share) for name in graph.nodes])
        pairs = np.where(graph.valid, receivers[:, None] * len(senders) + senders, -1)
        _, labels = np.unique(pairs, return_inverse=True)
        first = int((~graph.valid).any())
        labels = torch.from_numpy(labels.reshape(pairs.shape) - first)
        return cls(labels, int(labels.max()) + 1)

    def mask(self, chosen: Bool[Tensor, "*many unit"]) -> Bool[Tensor, "*many channel node"]:
        """The edges of some units."""
        return torch.cat((chosen, torch.zeros_like(chosen[..., :1])), dim=-1)[..., self.labels]

    def present(self, keep: Bool[Tensor, "channel node"]) -> Bool[Tensor, " unit"]:
        """The units of which at least one edge is kept."""
        chosen = torch.zeros(self.count, dtype=torch.bool)
        chosen[self.labels[keep]] = True
        return chosen

    def total(self, values: Float[Tensor, "channel node"]) -> Float[Tensor, " unit"]:
        """Sum over each unit's edges."""
        inside = self.labels >= 0
        return values.new_zeros(self.count).index_add(0, self.labels[inside], values[inside])

    def top(self, ranking: Int[Tensor, " unit"], sizes: Sequence[int]) -> Bool[Tensor, "circuit unit"]:
        """The first N units of a ranking, for each size N."""
        chosen = torch.zeros(len(sizes), self.count, dtype=torch.bool)
        for row, size in zip(chosen, sizes, strict=True):
            row[ranking[:size]] = True
        return chosen


def _first_of_each(names: list[str]) -> np.ndarray:
    """For every name the position at which it first occurs."""
    return np.array([names.index(name) for name in names])
