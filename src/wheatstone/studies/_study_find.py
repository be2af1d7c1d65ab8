"""A relation's circuit: a ranking of the edges from the training facts, cut where the validation facts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._intervals import DIFFERENCE, mean_interval
from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment, kept_over
from wheatstone.discovery import EdgeScores, attribute, discover_in, learn_ranking
from wheatstone.studies._study_settings import LEARNED, StudySettings
from wheatstone.tasks import PromptPair

_PARTS = (4, 2, 1)
"""The limit divided by these are the sizes to choose from."""


@dataclass(frozen=True)
class Sized:
    """A candidate circuit on the validation facts.

    Args:
        by: how it was found.
        edges: its size.
        hit_at_10: its Hit@10.
        kept: share of the model's Hit@10 gain over the empty circuit; None where the model gains nothing.
    """

    by: str
    edges: int
    hit_at_10: float
    kept: float | None


@dataclass(frozen=True, eq=False)
class Found:
    """The circuit that was chosen.

    Args:
        keep: its edges.
        order: the ranking it was cut from.
        scores: of all edges by the scoring method, on the training facts.
        tried: all candidates.
    """

    keep: Bool[Tensor, "channel node"]
    order: EdgeScores
    scores: EdgeScores
    tried: tuple[Sized, ...]


def find(
    train: Experiment,
    wordings: Sequence[PromptPair],
    validation: Sequence[PromptPair],
    settings: StudySettings,
    report: Reporter = silent,
) -> Found:
    """Ranks the edges and chooses the size of the circuit.

    The circuit has as many edges as it may have, unless a smaller one of the same ranking is as good: where the lower
    end of the 95% interval of (its Hit@10 − that of the largest), over validation facts, is above −(1 − `kept`). A
    smaller circuit that merely happens to do as well on a few facts does worse on others.

    Args:
        train: the facts to find it on, each with one counterfactual.
        wordings: the same facts under other templates, for `learned` to learn from too.
        validation: the facts to choose the size by.
        settings: the study's.
        report: progress callback.
    """
    limit = max(1, int(settings.share * train.graph.edges))
    order, scores, own = _ranked(train, wordings, limit, settings, report)
    limit = min(limit, own)
    sizes = sorted({max(1, limit // part) for part in _PARTS})
    masks = order.top(sizes)
    kept = kept_over(train.over(validation), masks)
    tried = [
        Sized(order.method, size, float(kept.hit_at_10[place].mean()), kept.gain_kept(place))
        for place, size in enumerate(sizes)
    ]
    return Found(masks[as_good(kept.hit_at_10, 1 - settings.kept)], order, scores, tuple(tried))


def _ranked(
    train: Experiment, wordings: Sequence[PromptPair], limit: int, settings: StudySettings, report: Reporter
) -> tuple[EdgeScores, EdgeScores, int]:
    """The order of the edges, the scores it comes from, and the largest size it is made for."""
    if settings.method != LEARNED:
        found = discover_in(train, settings.discovery(), curve=False, report=report)
        first = found.circuit.mask() * (1 + found.scores.values.abs().max())
        order = EdgeScores(train.graph, found.scores.values.abs() + first, settings.method, found.scores.steps)
        return order, found.scores, len(found.circuit)
    report("scoring edges", 0, 1)
    scores = attribute(train, method=settings.discovery().method, report=report)
    report("scoring edges", 1, 1)
    learned = learn_ranking(
        train.model,
        train.several((*train.encoded.pairs, *wordings), most=settings.counterfactuals, seed=settings.seed),
        scores=scores.values,
        edges=limit,
        steps=settings.steps,
        batch=settings.batch,
        seed=settings.seed,
        report=report,
    )
    order = EdgeScores(train.graph, learned.ranking().to(scores.values.dtype), "nested masks", settings.steps)
    return order, scores, train.graph.edges


def as_good(rows: Float[np.ndarray, "circuit prompt"], margin: float) -> int:
    """The first circuit whose Hit@10 is with 95% confidence at most `margin` below that of the last."""
    for index, row in enumerate(rows[:-1]):
        interval = mean_interval(row - rows[-1], bounds=DIFFERENCE)
        if interval is not None and interval[0] >= -margin:
            return index
    return len(rows) - 1
