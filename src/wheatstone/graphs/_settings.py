"""How a graph is made, as one value; the options of `wheatstone graph` are made from it, so it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from wheatstone._bounds import COUNT, NODES, ROWS, SEED, SHARE, check_fields
from wheatstone._errors import RequestError, check_choice

TARGETS = ("difference", "logit", "top")
ABLATIONS = ("counterfactual", "mean", "zero")
_OF_A_PROMPT = ("target", "ablation", "node_threshold", "verify", "counterfactuals", "exact")
"""Settings that a task's graph does not use."""


@dataclass(frozen=True)
class GraphSettings:
    """How a graph is made.

    Args:
        target: difference (answer less distractor, the default with a distractor); logit (the answer's, less the mean
            of all); top (the tokens that have 95% of the probability, weighted with it).
        ablation: what nodes outside the graph do: counterfactual (the default where there is one), mean (over running
            text, first tokens apart) or zero.
        nodes: heads and neurons that are looked at; with verify the most of the graph.
        node_threshold: share of the influence that the kept nodes have together; without verify.
        edge_threshold: share of the influence that the kept edges have together.
        verify: learn which nodes hold the answer, and keep the fewest that do alone: the model's first choice and 90 to
            110% of its target. About a minute on SmolLM2-135M.
        counterfactuals: prompts of the task, at most, that nodes are chosen with; up to six others judge them.
        steps: steps of learning, with verify.
        exact: strongest nodes, by their slopes, that are also ablated alone.
        seed: seed of learning.
    """

    target: str | None = None
    ablation: str | None = None
    nodes: Annotated[int, NODES] = 500
    node_threshold: Annotated[float, SHARE] = 0.8
    edge_threshold: Annotated[float, SHARE] = 0.98
    verify: bool = False
    counterfactuals: Annotated[int, COUNT] = 16
    steps: Annotated[int, COUNT] = 80
    exact: Annotated[int, ROWS] = 32
    seed: Annotated[int, SEED] = 0

    def check(self, counterfactuals: int) -> None:
        """Refuses settings that do not go together, before a model is loaded.

        Args:
            counterfactuals: how many there are.

        Raises:
            RequestError: one is out of range, or the counterfactual is missing.
        """
        check_fields(self)
        check_choice("a target", self.target, TARGETS)
        check_choice("an ablation", self.ablation, ABLATIONS)
        if self.ablation == "counterfactual" and not counterfactuals:
            raise RequestError(
                expected="a counterfactual prompt to ablate to",
                got="none",
                do="give --counterfactual or --task, or choose mean",
            )

    def check_of_task(self, *others: str) -> None:
        """Refuses settings that a task's graph does not use, before a model is loaded.

        Args:
            others: further options that were given and are not used.

        Raises:
            RequestError: one is not at its default.
        """
        ours = [
            f"--{name.replace('_', '-')}"
            for name in _OF_A_PROMPT
            if getattr(self, name) != getattr(GraphSettings, name)
        ]
        if unused := [*ours, *others]:
            raise RequestError(
                expected="a task's graph, which is learned and compares right with wrong answers under three ablations",
                got=f"{', '.join(unused)}, not used there",
                do="leave it out, or give one prompt",
            )
