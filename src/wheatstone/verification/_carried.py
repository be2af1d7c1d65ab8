"""What circuits carry of a behaviour, fact by fact: the numbers behind every line of a card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._intervals import ratio_interval
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair, mean_by_prompt
from wheatstone.verification._card import NOTHING, Estimate

_TOGETHER = 64
"""Edges that are removed in one call, so that logits without each of them are never all in memory."""


@dataclass(frozen=True, eq=False)
class Carried(Brief):
    """What circuits carry, in units of the metric. One value for each fact, the mean over its counterfactuals.

    Args:
        part: of each circuit: circuit − empty; where circuits are judged by what is lost without them, model −
            complement.
        whole: model − empty.
    """

    part: Float[np.ndarray, "circuit fact"]
    whole: Float[np.ndarray, " fact"]

    def share(self, circuit: int | slice = 0) -> Estimate:
        """Faithfulness, or the mean faithfulness of several circuits, over facts; each averaged before dividing."""
        return ratio_estimate(np.atleast_2d(self.part[circuit]).mean(0), self.whole)

    def against(self, one: int, others: slice) -> Estimate | None:
        """One circuit's share divided by the mean share of others; None where the others' may be 0, or is about 0.

        A mean share of 1e-6 is rounding, but its interval over facts may exclude 0: the ratio would be in the hundred
        thousands.
        """
        theirs = self.part[others].mean(0)
        found = ratio_estimate(self.part[one], theirs)
        return None if found.low is None or self.share(others).value < NOTHING else found

    def each(self, circuit: int = 0) -> Float[np.ndarray, " fact"]:
        """Share kept of each fact on which the model itself changes its answer, from 0 to 1.

        More than the model's own change counts against a circuit as much as less, as in the goal of a search: 1.2
        counts as 0.8.
        """
        direction = np.sign(self.whole.mean())
        changed = self.whole * direction > 0
        return np.clip(1 - np.abs(1 - self.part[circuit][changed] / self.whole[changed]), 0, 1)


def carried(
    experiments: Iterable[Experiment],
    masks: Bool[Tensor, "circuit channel node"],
    *,
    complete: bool = False,
) -> Carried:
    """Runs circuits on facts.

    Args:
        experiments: with the facts, see `Experiment.over`; one with several counterfactuals counts once.
        masks: the circuits.
        complete: whether circuits are judged by what is lost without them.
    """
    runs = ((each, each.values(_run(each, masks, complete))) for each in experiments)
    return _joined(runs, complete)


def carried_alike(
    experiments: Sequence[Sequence[Experiment]],
    masks: Bool[Tensor, "circuit channel node"],
    *,
    complete: bool = False,
) -> list[Carried]:
    """As `carried`, by several metrics of the same runs.

    Args:
        experiments: for each metric its experiments, which differ in the metric alone; see `Experiment.under`.
        masks: the circuits.
        complete: whether circuits are judged by what is lost without them.
    """
    if len(experiments) == 1:
        return [carried(experiments[0], masks, complete=complete)]
    logits = [each.logits(_run(each, masks, complete)) for each in experiments[0]]
    return [
        _joined(((each, each.values_of(of)) for each, of in zip(group, logits, strict=True)), complete)
        for group in experiments
    ]


def carried_without(
    experiments: Iterable[Experiment], keep: Bool[Tensor, "channel node"], edges: Int[Tensor, "edge 2"]
) -> Carried:
    """As `carried`, of a circuit and then of it without each of some edges.

    Each run starts from the circuit's own, at the first sublayer that the edge leads into. An edge into the logits
    costs no more than the last sum.

    Args:
        experiments: with the facts, see `Experiment.over`.
        keep: the circuit.
        edges: (channel, node) of edges of the circuit.
    """
    return _joined(((part, rows) for each in experiments for part, rows in _without(each, keep, edges)), False)


def _without(
    experiment: Experiment, keep: Bool[Tensor, "channel node"], edges: Int[Tensor, "edge 2"]
) -> Iterator[tuple[Experiment, Float[Tensor, "circuit batch"]]]:
    """A circuit and it without each edge; half of the prompts at a time where its run is too large to be kept."""
    pairs = experiment.encoded.pairs
    state, _ = experiment.start_from(keep)
    if state is None and len(pairs) > 1:
        for half in experiment.over(pairs, most=(len(pairs) + 1) // 2):
            yield from _without(half, keep, edges)
        return
    kept = keep if state is None else state.keep  # without edges that no run reads
    values = experiment.values(kept[None], resume=state).repeat(len(edges) + 1, 1)
    for channel in edges[:, 0].unique():
        for at in (edges[:, 0] == channel).nonzero()[:, 0].split(_TOGETHER):
            masks = kept.repeat(len(at), 1, 1)
            masks[torch.arange(len(at)), channel, edges[at, 1]] = False
            values[at + 1] = experiment.values(masks, resume=state)
    yield experiment, values


def _run(experiment: Experiment, masks: Tensor, complete: bool) -> Tensor:
    return torch.from_numpy(experiment.graph.valid) & ~masks if complete else masks


def _joined(runs: Iterable[tuple[Experiment, Float[Tensor, "circuit batch"]]], complete: bool) -> Carried:
    """What circuits carry, from their metric on each prompt of some experiments."""
    pairs, found = list[PromptPair](), list[np.ndarray]()
    for experiment, circuits in runs:
        values = torch.cat([experiment.clean[None], experiment.corrupt[None], circuits])
        found.append(values.double().cpu().numpy())
        pairs += experiment.encoded.pairs
    model, empty, *others = mean_by_prompt(pairs, np.concatenate(found, 1))
    circuits = np.stack(others)
    return Carried(model - circuits if complete else circuits - empty, model - empty)


def ratio_estimate(part: Float[np.ndarray, " fact"], whole: Float[np.ndarray, " fact"]) -> Estimate:
    """The mean of one number over facts as a share of the mean of another, 0 of nothing, with its interval."""
    low, high = ratio_interval(part, whole) or (None, None)
    return Estimate(float(part.mean() / whole.mean()) if whole.mean() else 0.0, low, high, len(part))
