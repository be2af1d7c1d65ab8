"""What a search looks for: the smallest circuit that suffices, or the smallest whose loss is complete.

    sufficient   the circuit alone keeps the metric; every other edge is ablated
    complete     with the circuit's edges ablated and every other edge intact, the metric falls to the ablated level

The two differ where a model has backup paths: one path is sufficient, all of them have to go before the behaviour
does. Both are measured as `reached`, which is 1 where the circuit does all that is asked of it.

A circuit that suffices for "France, not Japan" need not suffice for "Japan, not France". `BothWays` asks for both.

Source: Wang et al. 2022 (arXiv 2211.00593), section 4, faithfulness and completeness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import check_choice
from wheatstone.circuits import Experiment
from wheatstone.models import CircuitState


class Goal(ABC):
    """How far circuits are towards a goal, within one experiment."""

    name: str

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment

    @abstractmethod
    def reached(self, keep: Bool[Tensor, "circuit *edge"], resume: CircuitState | None = None) -> list[float]:
        """Of each circuit; 1 is all that is asked."""

    @abstractmethod
    def state(self, keep: Bool[Tensor, "*edge"]) -> tuple[CircuitState | None, float]:
        """What runs of sub-circuits can start from, and how far the circuit is."""

    @abstractmethod
    def slopes(self, keep: Bool[Tensor, "*edge"]) -> Float[Tensor, "*edge"]:
        """Derivative of `reached` by every entry of the mask, inside the circuit and outside."""

    @abstractmethod
    def working(self, keep: Bool[Tensor, "*edge"]) -> Bool[Tensor, "*edge"]:
        """The circuit without edges that can be seen to change nothing."""


class Sufficient(Goal):
    """The circuit alone: reached = its faithfulness."""

    name = "sufficient"

    def reached(self, keep: Tensor, resume: CircuitState | None = None) -> list[float]:
        return self.experiment.faithfulness(keep, resume=resume)

    def state(self, keep: Tensor) -> tuple[CircuitState | None, float]:
        return self.experiment.start_from(keep)

    def slopes(self, keep: Tensor) -> Tensor:
        return self.experiment.edge_gradients(keep).cpu()

    def working(self, keep: Tensor) -> Tensor:
        return torch.from_numpy(self.experiment.graph.working_edges(keep.numpy()))


@final
class BothWays(Sufficient):
    """The circuit alone, on prompts and on the swapped prompts: reached = the faithfulness that is further from 1.

    Args:
        experiment: with the prompts and, after them, each of them swapped; see `Experiment.both_ways`.
    """

    def reached(self, keep: Tensor, resume: CircuitState | None = None) -> list[float]:
        each = self.experiment.faithfulness_each_way(self.experiment.values(keep, resume=resume))
        return each.gather(-1, (1 - each).abs().argmax(-1, keepdim=True))[:, 0].tolist()

    def state(self, keep: Tensor) -> tuple[CircuitState | None, float]:
        state, _ = self.experiment.start_from(keep)
        return state, self.reached(keep[None], state)[0]


@final
class Complete(Goal):
    """The model without the circuit: reached = 1 − faithfulness of the complement."""

    name = "complete"

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        self._valid = torch.from_numpy(experiment.graph.valid)

    def reached(self, keep: Tensor, resume: CircuitState | None = None) -> list[float]:
        return [1 - value for value in self.experiment.faithfulness(self._valid & ~keep)]

    def state(self, keep: Tensor) -> tuple[CircuitState | None, float]:
        return None, self.reached(keep[None])[0]

    def slopes(self, keep: Tensor) -> Tensor:
        return self.experiment.edge_gradients(self._valid & ~keep).cpu()

    def working(self, keep: Tensor) -> Tensor:
        return keep


GOALS: dict[str, type[Goal]] = {goal.name: goal for goal in (Sufficient, Complete)}


def goal_named(name: str, experiment: Experiment, *, both_ways: bool = False) -> Goal:
    """Looks a goal up.

    Args:
        name: of the goal.
        experiment: to measure in.
        both_ways: whether `sufficient` is to hold for the second half of the prompts too, see `BothWays`.

    Raises:
        RequestError: there is no such goal.
    """
    check_choice("a goal", name, GOALS)
    return BothWays(experiment) if both_ways else GOALS[name](experiment)
