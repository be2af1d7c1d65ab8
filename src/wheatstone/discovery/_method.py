"""What a scoring method is: a name, what it reads, and the function that scores every edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment


@runtime_checkable
class Score(Protocol):
    """Scores every edge: how much the metric falls when the edge is ablated, exactly or by estimate.

    Args of the call:
        experiment: model, prompts, ablation and metric.
        steps: how many steps to take; a method without steps does not read it.
        seed: of everything that is drawn; most methods draw nothing.
        report: progress callback.

    Returns:
        Scores in units of the metric, mean over prompts; values where there is no edge are not read.
    """

    def __call__(
        self, experiment: Experiment, *, steps: int, seed: int, report: Reporter
    ) -> Float[Tensor, "channel node"]: ...


@dataclass(frozen=True)
class ScoreMethod:
    """A way to score edges.

    Args:
        name: what users call it.
        summary: what a score means, in one line.
        score: the function.
        steps: steps it takes by default; None where it has no steps.
        seeded: whether it draws, so that another seed gives other scores.
        by_position: whether edges can be scored at parts of the prompts.
        exact: whether a score is an edge's true effect, from runs with that edge ablated.
    """

    name: str
    summary: str
    score: Score
    steps: int | None = None
    seeded: bool = False
    by_position: bool = False
    exact: bool = False
