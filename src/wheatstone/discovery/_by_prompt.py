"""Edge scores prompt by prompt, so that what recurs over prompts can be counted without the model.

EAP and EAP-IG average over prompts a product that each prompt has for itself, exact scores a difference:

    score(w → r) = mean over prompts b of score_b(w → r)

The gradients are those of one backward pass over all prompts; only the last sum is left out. A hundred prompts of
SmolLM2-135M (70,651 edges) take 28 MB in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.discovery._eap import EAP, EAP_IG, integrated
from wheatstone.discovery._exact import EXACT, effects_by_prompt
from wheatstone.discovery._scores import EdgeScores
from wheatstone.models import Graph, wide
from wheatstone.tasks import PromptPair

BY_PROMPT = (EAP_IG.name, EAP.name, EXACT.name)
"""Methods whose scores can be taken prompt by prompt at the cost of one scoring."""


@dataclass(frozen=True, eq=False)
class PromptScores(Brief):
    """A score for every edge on every prompt.

    Args:
        graph: the graph.
        values: scores of the graph's edges, in order of computation. Units of the metric.
        method: how they were made.
        steps: of the method; 1 where it has none.
    """

    graph: Graph
    values: Float[Tensor, "prompt edge"]
    method: str
    steps: int

    def mean(self) -> EdgeScores:
        """The scores averaged over prompts."""
        return EdgeScores(self.graph, self.spread(self.values.mean(0)), self.method, self.steps)

    def spread(self, of_edges: Float[Tensor, " edge"]) -> Float[Tensor, "channel node"]:
        """A value for each edge at its place in the graph, 0 elsewhere."""
        valid = torch.from_numpy(self.graph.valid)
        values = torch.zeros(valid.shape, dtype=of_edges.dtype)
        values[valid] = of_edges
        return values


def scores_by_prompt(
    experiment: Experiment,
    pairs: Sequence[PromptPair] | None = None,
    *,
    method: str = EAP_IG.name,
    steps: int | None = None,
    report: Reporter = silent,
) -> PromptScores:
    """Scores every edge on each prompt.

    Args:
        experiment: model, ablation and metric.
        pairs: the prompts; the experiment's own by default.
        method: a name out of `BY_PROMPT`.
        steps: of `eap-ig`; 5 by default.
        report: progress callback.

    Returns:
        The scores on the CPU, in float32 or wider.

    Raises:
        RequestError: the method's scores are not sums over prompts.
    """
    check_choice("a method", method, BY_PROMPT, do="score the prompts one by one")
    steps = steps or EAP_IG.steps or 1 if method == EAP_IG.name else 1
    valid = torch.from_numpy(experiment.graph.valid)
    pairs, rows = experiment.encoded.pairs if pairs is None else pairs, list[Tensor]()
    for part in experiment.over(pairs, most=_TOGETHER):
        report("scoring prompts", sum(map(len, rows)), len(pairs))
        values = effects_by_prompt(part) if method == EXACT.name else integrated(part, steps, each=True)
        rows.append(wide(values.cpu())[:, valid])
    report("scoring prompts", len(pairs), len(pairs))
    return PromptScores(experiment.graph, torch.cat(rows), method, steps)


_TOGETHER = 16
"""Prompts that are run together, so that memory does not grow with their number."""
