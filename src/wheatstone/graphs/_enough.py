"""The fewest nodes of a learned ranking that hold the answer alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.graphs._learn import learn_nodes
from wheatstone.graphs._nodes import NodeAxis
from wheatstone.graphs._proof import SetProof, prove
from wheatstone.graphs._question import Case
from wheatstone.graphs._rank import node_slopes
from wheatstone.graphs._settings import GraphSettings

_SIZES = (25, 35, 50, 70, 100, 140, 200, 280, 400, 560, 800, 1100, 1600, 2200, 3200)
"""Sets that are tried of a learned ranking, as far as the largest that is asked for."""
_CASES = 8
"""By which the size is chosen, at most."""
_BACK = 10
"""By how much nodes that hold the answer back are ranked lower when learning starts."""


def enough_nodes(
    cases: Sequence[Case],
    axis: NodeAxis,
    settings: GraphSettings,
    report: Reporter,
) -> Bool[Tensor, " node"]:
    """The smallest set of a learned ranking that holds the answer in all cases; the nearest where none does.

    Of many cases the size is chosen by the first few.
    """
    slopes = torch.stack([node_slopes(case.question, axis, case.baseline) for case in cases]).mean(0)
    # Supporters come first: alone they reach the target with few nodes, and learning lets in what holds them back.
    start = torch.where(slopes > 0, slopes, slopes / _BACK)
    most = min(settings.nodes, axis.size - 1)
    ranking = learn_nodes(
        cases,
        axis,
        slopes=start,
        target=max(1, round(most * 0.6)),
        steps=settings.steps,
        seed=settings.seed,
        report=report,
    )
    order = ranking.argsort(descending=True, stable=True)

    def tried(sizes: Sequence[int]) -> list[tuple[int, list[SetProof]]]:
        sets = torch.zeros(len(sizes), axis.size, dtype=torch.bool)
        for row, size in enumerate(sizes):
            sets[row, order[:size]] = True
        proofs = zip(*(prove(case.question, axis, case.baseline, sets) for case in cases[:_CASES]), strict=True)
        return [(size, list(each)) for size, each in zip(sizes, proofs, strict=True)]

    rough = tried([size for size in _SIZES if size < most] + [most])
    size = _best(rough)
    for low, high in pairwise([0, *(size for size, _ in rough)]):
        if high == size and high - low > 8:  # a finer look between the best size and the one before it
            finer = tried([low + (high - low) * part // 8 for part in range(1, 8)])
            size = _best([*finer, *(pair for pair in rough if pair[0] == size)])
            break
    kept = torch.zeros(axis.size, dtype=torch.bool)
    kept[order[:size]] = True
    return kept


def _best(tried: Sequence[tuple[int, Sequence[SetProof]]]) -> int:
    """The smallest size that is enough; otherwise one that keeps the top token and is nearest to the model's target."""
    enough = [size for size, proofs in tried if all(proof.enough for proof in proofs)]
    if enough:
        return min(enough)
    return min(tried, key=lambda one: sum(abs(proof.faithfulness - 1) + (not proof.keeps_top) for proof in one[1]))[0]
