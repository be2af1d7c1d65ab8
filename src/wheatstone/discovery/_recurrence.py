"""Recurrence: which edges a ranking keeps again and again when the prompts are drawn again.

From a matrix of scores (prompt × edge) alone. Each bootstrap sample draws the prompts with replacement, averages their
scores and keeps the `size` edges of the largest |mean|, fewer where the other means are 0. The share of samples that
keep an edge is its *inclusion frequency*: an edge is in from `IN` upwards, out up to `OUT`, and undecided between.

With inclusion at least π in samples that each keep q of p edges, at most q² / ((2π − 1) p) edges that are no better
than chance are expected among those that are in (for subsamples of half the prompts, and edges that chance treats
alike).

When this misleads: an edge that the scores overrate on every prompt recurs perfectly. Recurrence says that the prompts
agree, not that the edge matters.

Sources: Meinshausen & Bühlmann 2010, "Stability selection"; overlaps of resampled circuits as in arXiv 2510.00845.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone._text import count
from wheatstone._view import Brief

IN, OUT = 0.9, 0.1
"""Inclusion frequencies from which an edge is in, and up to which it is out."""
_SPLITS = 10
"""Times that the prompts are split into two halves."""
_LEAST = 4
"""Prompts that a half must have, for samples of it to differ enough."""


@dataclass(frozen=True, eq=False)
class Recurrence(Brief):
    """What recurred.

    Args:
        size: most edges that each sample keeps.
        samples: bootstrap samples.
        prompts: in each sample.
        inclusion: share of samples that keep each edge.
        sign: share of prompts on which each edge's score has the sign of its mean.
        overlap: mean Jaccard overlap of the edges of two samples.
        overlap_nodes: likewise of the nodes that write along them.
        half_edges: Jaccard overlaps of the edges that are in on one half of the prompts and on the other, one for each
            split; empty for fewer than eight prompts.
        half_nodes: likewise of the nodes that write along them.
    """

    size: int
    samples: int
    prompts: int
    inclusion: Float[Tensor, " edge"]
    sign: Float[Tensor, " edge"]
    overlap: float
    overlap_nodes: float
    half_edges: tuple[float, ...]
    half_nodes: tuple[float, ...]

    @property
    def decided_in(self) -> Bool[Tensor, " edge"]:
        """Edges that recur."""
        return self.inclusion >= IN

    @property
    def decided_out(self) -> Bool[Tensor, " edge"]:
        """Edges that do not."""
        return self.inclusion <= OUT

    @property
    def expected_by_chance(self) -> float:
        """Upper bound of the number of chance edges that are expected among those that are in."""
        return self.size**2 / ((2 * IN - 1) * len(self.inclusion))


def recurrence(
    scores: Float[Tensor, "prompt edge"],
    size: int,
    *,
    senders: Int[Tensor, " edge"] | None = None,
    samples: int = 100,
    seed: int = 0,
) -> Recurrence:
    """Counts how often each edge is among the `size` first when the prompts are drawn again.

    Args:
        scores: of each edge on each prompt.
        size: edges that a sample keeps.
        senders: the node that writes along each edge, for the overlap of nodes; each edge its own by default.
        samples: how many, at least 2.
        seed: of the draws.

    Raises:
        RequestError: a single prompt, of which every sample is the same.
    """
    prompts, edges = scores.shape
    if prompts < 2 or samples < 2:
        raise RequestError(
            expected="at least 2 prompts and 2 samples, for samples to differ",
            got=f"{count(prompts, 'prompt')} and {count(samples, 'sample')}",
            do="give more prompts",
        )
    draw = np.random.default_rng(seed)
    senders = torch.arange(edges) if senders is None else senders
    kept = _kept(scores, size, samples, draw)
    halves: list[tuple[float, float]] = []
    for _ in range(_SPLITS if prompts >= 2 * _LEAST else 0):
        order = torch.from_numpy(draw.permutation(prompts))
        ours, theirs = (
            _kept(scores[half], size, samples, draw).float().mean(0, keepdim=True) >= IN
            for half in (order[: prompts // 2], order[prompts // 2 : prompts // 2 * 2])
        )
        halves.append((jaccard(ours, theirs), jaccard(_senders(ours, senders), _senders(theirs, senders))))
    mean = scores.mean(0)
    return Recurrence(
        size=size,
        samples=samples,
        prompts=prompts,
        inclusion=kept.float().mean(0),
        sign=(scores.sign() == mean.sign()).float().mean(0),
        overlap=_overlap(kept),
        overlap_nodes=_overlap(_senders(kept, senders)),
        half_edges=tuple(edges for edges, _ in halves),
        half_nodes=tuple(nodes for _, nodes in halves),
    )


def jaccard(a: Bool[Tensor, "*any"], b: Bool[Tensor, "*any"]) -> float:
    """|A ∩ B| / |A ∪ B|; 0 for two empty sets."""
    return float((a & b).sum() / (a | b).sum().clamp_min(1))


def _kept(
    scores: Float[Tensor, "prompt edge"], size: int, samples: int, draw: np.random.Generator
) -> Bool[Tensor, "sample edge"]:
    """The first edges of each bootstrap sample; one whose score is 0 is never among them, for nothing ranks it."""
    prompts, edges = scores.shape
    times = torch.from_numpy(draw.multinomial(prompts, np.full(prompts, 1 / prompts), size=samples))
    first = (times.to(scores.dtype) @ scores).abs().topk(min(size, edges))
    return torch.zeros(samples, edges, dtype=torch.bool).scatter_(1, first.indices, first.values > 0)


def _senders(edges: Bool[Tensor, "sample edge"], senders: Int[Tensor, " edge"]) -> Bool[Tensor, "sample node"]:
    """The nodes that write along the edges of each sample."""
    written = torch.zeros(len(edges), int(senders.max()) + 1)
    return written.index_add_(1, senders, edges.float()) > 0


def _overlap(sets: Bool[Tensor, "sample any"]) -> float:
    """The mean Jaccard overlap of two different samples."""
    members = sets.float()
    common = members @ members.T
    ours, theirs = torch.triu_indices(len(sets), len(sets), 1)
    shared, sizes = common[ours, theirs], common.diagonal()
    return float((shared / (sizes[ours] + sizes[theirs] - shared).clamp_min(1)).mean())
