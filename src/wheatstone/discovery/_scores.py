"""Edge scores by any method: what every edge is worth, and the ranking that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import RequestError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Tabular
from wheatstone.circuits import Experiment
from wheatstone.discovery._activations import EAP_IG_ACTIVATIONS
from wheatstone.discovery._ceap import CEAP
from wheatstone.discovery._drawn import RANDOM
from wheatstone.discovery._eap import EAP, EAP_IG
from wheatstone.discovery._exact import EXACT
from wheatstone.discovery._learned import EDGE_PRUNING
from wheatstone.discovery._method import ScoreMethod
from wheatstone.discovery._nodes import NODE_ATTRIBUTION, NODE_PATCHING
from wheatstone.discovery._ruled import GIM, RELP
from wheatstone.models import Graph, ResidualModel, wide
from wheatstone.tasks import PromptPair

if TYPE_CHECKING:
    import pyarrow as pa

METHODS: dict[str, ScoreMethod] = {
    method.name: method
    for method in (
        *(EAP_IG, EAP, GIM, RELP, CEAP, EAP_IG_ACTIVATIONS),
        *(EXACT, NODE_ATTRIBUTION, NODE_PATCHING, EDGE_PRUNING, RANDOM),
    )
}
"""Every scoring method by its name."""

_NO_SCORES = {
    "path-patching": "use `wheatstone path-patching`; its direct paths, edge by edge, are `exact`",
    "acdc": "it gives a circuit and no scores: use `discover`",
    "verified": "it gives a circuit and no scores: use `discover`",
}
"""What to do where a method is asked for scores that it does not give."""


@dataclass(frozen=True, eq=False, repr=False)
class EdgeScores(Tabular):
    """A score for every edge of a graph.

    Args:
        graph: the graph.
        values: scores, 0 where there is no edge. Units of the metric.
        method: how they were made.
        steps: of the method; 1 where it has none.
    """

    graph: Graph
    values: Float[Tensor, "channel node"]
    method: str
    steps: int

    def ranking(self) -> Tensor:
        """Flat indices of all edges, largest |score| first; ties in order of computation."""
        order = self.values.abs().masked_fill(~torch.from_numpy(self.graph.valid), -1).flatten()
        return order.argsort(descending=True, stable=True)[: self.graph.edges]

    def to_arrow(self) -> pa.Table:
        """All edges as an Arrow table, highest-ranked first: sender, receiver, score."""
        import numpy as np
        import pyarrow as pa

        order = self.ranking()
        channels, nodes = np.divmod(order.numpy(), self.values.shape[1])
        senders = pa.DictionaryArray.from_arrays(pa.array(nodes), pa.array(self.graph.nodes))
        receivers = pa.DictionaryArray.from_arrays(pa.array(channels), pa.array(self.graph.channels))
        scores = pa.array(self.values.flatten()[order].numpy())
        return pa.table({"sender": senders, "receiver": receivers, "score": scores})

    def _title(self) -> str:
        return f"EdgeScores by {self.method}: {self.graph.edges:,} edges, strongest first"

    def top(self, sizes: Sequence[int]) -> Bool[Tensor, "circuit channel node"]:
        """Masks of the highest-ranked edges, one per size."""
        ranking = self.ranking()
        keep = torch.zeros(len(sizes), self.values.numel(), dtype=torch.bool)
        for row, size in zip(keep, sizes, strict=True):
            row[ranking[:size]] = True
        return keep.unflatten(1, self.values.shape)


def score_edges(
    model: ResidualModel,
    pairs: Sequence[PromptPair],
    *,
    method: str = "eap-ig",
    steps: int | None = None,
    seed: int = 0,
    ablation: str = "counterfactual",
    metric: str = "logit_diff",
    report: Reporter = silent,
) -> EdgeScores:
    """Scores every edge of the model on some prompts.

    Args:
        model: the model.
        pairs: the prompts; scores are averaged over them.
        method: a name out of `METHODS`; docs/methods.md compares them.
        steps: of the method, at least 1; default its own (5 for `eap-ig`). Methods without steps do not read it.
        seed: of what the method draws; most draw nothing.
        ablation: what an ablated edge carries, as in `Experiment`.
        metric: `logit_diff`, `prob_diff` or `kl`.
        report: progress callback.

    Returns:
        Scores [channel, node] on the CPU: how much the metric falls when the edge alone is ablated, so that
        positive supports the behaviour.

    Raises:
        RequestError: no such method, or fewer than one step.

    When this misleads: only an exact method's score is the effect of an ablation; all others are estimates, to be
    checked with `Experiment`. And even exact effects of single edges do not add up.
    """
    experiment = Experiment(model, pairs, ablation=ablation, metric=metric)
    return attribute(experiment, method=method, steps=steps, seed=seed, report=report)


def method_named(name: str) -> ScoreMethod:
    """Looks a scoring method up.

    Raises:
        RequestError: there is no such method.
    """
    check_choice("a method", name, METHODS, do=_NO_SCORES.get(name, "choose one of these"))
    return METHODS[name]


def check_positions(experiment: Experiment, method: str) -> None:
    """Refuses a method that cannot score edges at parts of the prompts, where the experiment has parts.

    Raises:
        RequestError: it cannot.
    """
    if not experiment.spans or method_named(method).by_position:
        return
    able = ", ".join(name for name, method in METHODS.items() if method.by_position)
    raise RequestError(
        expected=f"a method that tells edges apart by position ({able})",
        got=repr(method),
        do="choose one of these, or leave positions out",
    )


def attribute(
    experiment: Experiment,
    *,
    method: str = "eap-ig",
    steps: int | None = None,
    seed: int = 0,
    report: Reporter = silent,
) -> EdgeScores:
    """`score_edges` within an experiment that is already set up."""
    chosen = method_named(method)
    check_positions(experiment, method)
    if steps is not None and steps < 1:
        raise RequestError(expected="at least one integration step", got=str(steps), do="use --steps 5")
    steps = 1 if chosen.steps is None else steps or chosen.steps
    values = wide(chosen.score(experiment, steps=steps, seed=seed, report=report).cpu())
    return EdgeScores(experiment.graph, values * torch.from_numpy(experiment.graph.valid), method, steps)
