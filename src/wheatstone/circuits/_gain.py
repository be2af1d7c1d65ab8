"""How much of what a model knows a circuit keeps, over many prompts, by size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._effects import gain_kept
from wheatstone._intervals import DIFFERENCE, mean_interval, ratio_interval
from wheatstone._view import Brief
from wheatstone.circuits._experiment import Experiment
from wheatstone.models import Graph
from wheatstone.tasks import PromptPair, hits, mean_by_prompt

SHARES = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
"""Of all edges: the sizes of a curve."""


def sizes_of(graph: Graph, shares: Sequence[float] = SHARES) -> list[int]:
    """Shares of a graph's edges as numbers of edges, at least one."""
    return [max(1, int(share * graph.edges)) for share in shares]


@dataclass(frozen=True, eq=False)
class Kept(Brief):
    """What circuits keep of a model's behaviour. One value for each prompt, the mean over its counterfactuals.

    Args:
        model: Hit@10 and the metric of the model.
        empty: of the fully ablated model.
        circuits: of each circuit.
    """

    model: Float[np.ndarray, "measure prompt"]
    empty: Float[np.ndarray, "measure prompt"]
    circuits: Float[np.ndarray, "circuit measure prompt"]

    @property
    def hit_at_10(self) -> Float[np.ndarray, "circuit prompt"]:
        """Hit@10 of each circuit on each prompt."""
        return self.circuits[:, 0]

    def gain_kept(self, circuit: int) -> float | None:
        """Of the model's gain in Hit@10 over the empty circuit."""
        return gain_kept(*(float(rows[0].mean()) for rows in (self.model, self.circuits[circuit], self.empty)))

    def enough(self, circuit: int, goal: float, slack: float) -> bool:
        """Whether a circuit keeps `goal` of the metric's change and of the gain in Hit@10.

        Args:
            circuit: which.
            goal: share to keep on average; the metric's may be exceeded by as much as it may be missed.
            slack: how far below the goal the lower end of the 95% interval may be.
        """
        gains = [self.model[measure] - self.empty[measure] for measure in range(2)]
        reached = [self.circuits[circuit, measure] - self.empty[measure] for measure in range(2)]
        if gains[0].mean() > 0:
            lost = mean_interval(self.circuits[circuit, 0] - self.model[0], bounds=DIFFERENCE)
            gain = gains[0].mean()
            if reached[0].mean() < goal * gain or lost is None or 1 + lost[0] / gain < goal - slack:
                return False
        faithfulness = reached[1].mean() / gains[1].mean()
        interval = ratio_interval(reached[1], gains[1])
        return abs(1 - faithfulness) <= 1 - goal and (interval is None or interval[0] >= goal - slack)


def kept_over(experiments: Iterable[Experiment], masks: Bool[Tensor, "circuit channel node"]) -> Kept:
    """Runs circuits on many prompts.

    Args:
        experiments: with the prompts, see `Experiment.over`.
        masks: the circuits.
    """
    pairs: list[PromptPair] = []
    found: list[np.ndarray] = []
    for experiment in experiments:
        logits = (experiment.clean_logits[None], experiment.corrupt_logits[None], experiment.logits(masks))
        each = [torch.stack((hits(rows, experiment.encoded, 10), experiment.values_of(rows)), 1) for rows in logits]
        found.append(torch.cat(each).double().cpu().numpy())
        pairs += experiment.encoded.pairs
    values = np.concatenate(found, 2)
    means = mean_by_prompt(pairs, values.reshape(-1, values.shape[2])).reshape(*values.shape[:2], -1)
    return Kept(means[0], means[1], means[2:])
