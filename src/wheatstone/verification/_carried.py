"""What circuits carry of a behaviour, fact by fact: the numbers behind every line of a card."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._intervals import ratio_interval
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair, mean_by_prompt
from wheatstone.verification._card import NOTHING, Estimate


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
    pairs, found = list[PromptPair](), list[np.ndarray]()
    for experiment in experiments:
        run = torch.from_numpy(experiment.graph.valid) & ~masks if complete else masks
        values = torch.cat([experiment.clean[None], experiment.corrupt[None], experiment.values(run)])
        found.append(values.double().cpu().numpy())
        pairs += experiment.encoded.pairs
    model, empty, *others = mean_by_prompt(pairs, np.concatenate(found, 1))
    circuits = np.stack(others)
    return Carried(model - circuits if complete else circuits - empty, model - empty)


def ratio_estimate(part: Float[np.ndarray, " fact"], whole: Float[np.ndarray, " fact"]) -> Estimate:
    """The mean of one number over facts as a share of the mean of another, 0 of nothing, with its interval."""
    low, high = ratio_interval(part, whole) or (None, None)
    return Estimate(float(part.mean() / whole.mean()) if whole.mean() else 0.0, low, high, len(part))
