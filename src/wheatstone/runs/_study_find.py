"""A relation's circuit: rankings of the edges from the training facts, cut where the validation facts say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.discovery import EdgeScores, attribute, discover_in, learn_mask
from wheatstone.runs._study_settings import LEARNED, StudySettings
from wheatstone.tasks import hits

_HALVINGS = 5
_RATE = 0.5
"""Of learning a mask: with 1, few steps carry it further from the ranking than few facts can bear."""


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
        by: how it was found.
        scores: of all edges, on the training facts.
        tried: all candidates.
    """

    keep: Bool[Tensor, "channel node"]
    by: str
    scores: EdgeScores
    tried: tuple[Sized, ...]


@dataclass(frozen=True, eq=False)
class _Ranking:
    """An order of the edges to cut a circuit from.

    Args:
        order: the edges.
        scores: what each is worth, where that is another order.
        size: at which it was meant to be cut.
    """

    order: EdgeScores
    scores: EdgeScores
    size: int


def find(train: Experiment, validation: Experiment, settings: StudySettings, report: Reporter = silent) -> Found:
    """Looks for the smallest circuit that keeps enough of the model's Hit@10 gain on validation.

    Rankings are made one after another, each dearer than the one before, until one holds such a circuit; where none
    does, the circuit that keeps most is taken. Where the model gains nothing over the empty circuit, Hit@10 cannot
    choose: then it is the first ranking, cut where it was meant to be.

    Args:
        train: the facts to find it on.
        validation: the facts to choose by.
        settings: the study's.
        report: told how far it is.
    """
    limit = max(1, int(settings.share * train.graph.edges))
    model, empty = (
        float(hits(logits, validation.encoded, 10).mean())
        for logits in (validation.clean_logits, validation.corrupt_logits)
    )
    best, tried = (-1.0, 0), list[Sized]()
    chosen: Found | None = None
    for ranking in _rankings(train, limit, settings, report):
        sizes = sizes_up_to(limit, ranking.size) if model > empty else [min(limit, ranking.size)]
        masks = ranking.order.top(sizes)
        rows = hits(validation.logits(masks), validation.encoded, 10).mean(-1).tolist()
        by = ranking.order.method
        sized = [Sized(by, size, row, gain_kept(model, row, empty)) for size, row in zip(sizes, rows, strict=True)]
        tried += sized
        at = smallest_enough(sized, settings.kept)
        here = (sized[at].kept or 0.0, -sized[at].edges)
        if chosen is None or here > best:
            best, chosen = here, Found(masks[at], by, ranking.scores, ())
        if here[0] >= settings.kept or model <= empty:
            break
    assert chosen is not None
    return Found(chosen.keep, chosen.by, chosen.scores, tuple(tried))


def _rankings(train: Experiment, limit: int, settings: StudySettings, report: Reporter) -> Iterator[_Ranking]:
    """The cheapest first."""
    if settings.method == LEARNED:
        report("scoring edges", 0, 1)
        scores = attribute(train, method=settings.discovery().method, report=report)
        report("scoring edges", 1, 1)
        yield _Ranking(scores, scores, limit)
        learned = learn_mask(
            train,
            edges=limit,
            steps=settings.steps,
            learning_rate=_RATE,
            loss="hit",
            batch=settings.batch,
            scores=scores.values,
            seed=settings.seed,
            report=report,
        )
        above = learned.log_alpha - learned.log_alpha[learned.log_alpha.isfinite()].min() + 1
        order = above.masked_fill(above.isinf(), 0).to(scores.values.dtype)
        yield _Ranking(EdgeScores(train.graph, order, "edge-pruning", settings.steps), scores, limit)
    else:
        found = discover_in(train, settings.discovery(), curve=False, report=report)
        first = found.circuit.mask() * (1 + found.scores.values.abs().max())
        order = EdgeScores(train.graph, found.scores.values.abs() + first, settings.method, found.scores.steps)
        yield _Ranking(order, found.scores, len(found.circuit))


def sizes_up_to(limit: int, own: int) -> list[int]:
    """Sizes to try: the limit and its parts by steps of √2, 32-fold down, and the ranking's own."""
    grid = {max(1, round(limit * 2 ** (-step / 2))) for step in range(2 * _HALVINGS + 1)}
    return sorted(grid | {min(own, limit)})


def smallest_enough(tried: Sequence[Sized], kept: float) -> int:
    """Which candidate is taken: the smallest that keeps enough of the gain, else the one that keeps most."""
    best = max(row.kept or 0.0 for row in tried)
    return next(index for index, row in enumerate(tried) if (row.kept or 0.0) >= min(kept, best))


def gain_kept(model: float, circuit: float, empty: float) -> float | None:
    """(circuit − empty) / (model − empty); None where the model is no better than the empty circuit."""
    return (circuit - empty) / (model - empty) if model > empty else None
