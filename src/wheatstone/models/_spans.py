"""A graph whose nodes are distinguished by where in the prompt they write: position-aware edges.

`m3@subject` is what `m3` writes at the tokens of the span `subject`. An edge from it carries that to its channel, at
the same tokens: the residual stream moves nothing between positions. The spans divide the prompt, so a mask that keeps
an edge at every span keeps the whole edge.

Source: Haklay et al. 2025 (arXiv 2502.04577).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from wheatstone._view import Brief
from wheatstone.models._graph import Graph


class Span(NamedTuple):
    """A named part of the prompts.

    Args:
        name: what it is called.
        positions: token positions, the same in every prompt; empty for all that no other span names.
    """

    name: str
    positions: tuple[int, ...]


def span_positions(spans: Sequence[Span], width: int) -> list[list[int]]:
    """The positions of every span in prompts so wide; of one span that holds all where there are none."""
    named = {position for span in spans for position in span.positions}
    elsewhere = [position for position in range(width) if position not in named]
    return [list(span.positions) or elsewhere for span in spans] or [elsewhere]


@dataclass(frozen=True)
class SpannedGraph(Graph, Brief):
    """A graph with every node once for each span. Counts of nodes or layers by index are about the whole graph.

    Args:
        spans: a partition of the token positions.
    """

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, graph: Graph, spans: tuple[Span, ...]) -> SpannedGraph:
        """A graph with its nodes divided."""
        return cls(**{field.name: getattr(graph, field.name) for field in fields(Graph)}, spans=spans)

    @cached_property
    def whole(self) -> Graph:
        """The graph with its nodes in one piece."""
        return Graph(**{field.name: getattr(self, field.name) for field in fields(Graph)})

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names of the divided nodes, spans innermost."""
        return tuple(f"{name}@{span.name}" for name in self.whole.nodes for span in self.spans)

    @cached_property
    def senders(self) -> Int[np.ndarray, " channel"]:
        """How many divided nodes each channel can read."""
        return self.whole.senders * len(self.spans)

    def anywhere(self, keep: Bool[np.ndarray, "*circuits node"]) -> Bool[np.ndarray, "*circuits whole_node"]:
        """Which whole nodes are kept at some span."""
        return np.any(keep.reshape(*keep.shape[:-1], -1, len(self.spans)), axis=-1)

    def working_edges(self, keep: Bool[np.ndarray, "channel node"]) -> Bool[np.ndarray, "channel node"]:
        """The kept edges that lie on a path from `input` to the logits, wherever in the prompt each step is."""
        return keep & np.repeat(self.whole.working_edges(self.anywhere(keep)), len(self.spans), axis=-1)
