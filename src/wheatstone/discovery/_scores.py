"""Edge scores by attribution patching: what every edge is worth, to first order, in one pass.

    score(w → r) = sum over positions of (clean_w − ablated_w) · mean over steps of ∂metric/∂x_r

It estimates how much the metric falls when the edge alone is ablated: positive supports the behaviour. EAP takes
the gradient on the clean prompt (one step); EAP-IG averages it along the straight path of the input node from
its ablated to its clean output, at k/m for k = 1 … m.

Sources: Syed et al. 2023 (arXiv 2310.10348), section 3; Hanna et al. 2024 (arXiv 2403.17806), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._errors import RequestError
from wheatstone.circuits import Experiment
from wheatstone.models import Graph, ResidualModel
from wheatstone.tasks import PromptPair

METHODS: tuple[str, ...] = ("eap-ig", "eap")


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """A score for every edge of a graph.

    Args:
        graph: the graph.
        values: scores, 0 where there is no edge. Units of the metric.
        method: how they were made.
        steps: integration steps.
    """

    graph: Graph
    values: Float[Tensor, "channel node"]
    method: str
    steps: int

    def ranking(self) -> Tensor:
        """Flat indices of all edges, largest |score| first; ties in order of computation."""
        order = self.values.abs().masked_fill(~torch.from_numpy(self.graph.valid), -1).flatten()
        return order.argsort(descending=True, stable=True)[: self.graph.edges]

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
    steps: int = 5,
    ablation: str = "counterfactual",
    metric: str = "logit_diff",
) -> EdgeScores:
    """Scores every edge of the model on some prompts.

    Args:
        model: the model.
        pairs: the prompts; scores are averaged over them.
        method: `eap-ig` or `eap`.
        steps: integration steps of `eap-ig`, at least 1.
        ablation: `counterfactual` or `zero`.
        metric: `logit_diff`, `prob_diff` or `kl`.

    Returns:
        Scores [channel, node] on the CPU.

    Raises:
        RequestError: no such method, or fewer than one step.

    When this misleads: where the metric bends along the path (a saturated softmax, a norm that an edge drives),
    the sum of scores is far from the metric's change and single scores may have the wrong sign. A score is not
    the effect of an ablation: check with `Experiment`. With `kl` and `eap` all scores are 0: the clean prompt is
    the metric's minimum.
    """
    return attribute(Experiment(model, pairs, ablation=ablation, metric=metric), method=method, steps=steps)


def attribute(experiment: Experiment, *, method: str = "eap-ig", steps: int = 5) -> EdgeScores:
    """`score_edges` within an experiment that is already set up."""
    if method not in METHODS:
        raise RequestError(expected=f"a method out of {', '.join(METHODS)}", got=repr(method), do="choose one of these")
    if steps < 1:
        raise RequestError(expected="at least one integration step", got=str(steps), do="use --steps 5")
    steps = steps if method == "eap-ig" else 1
    graph, ablated = experiment.graph, experiment.ablated
    clean = experiment.encoded.clean
    inputs = experiment.clean_input
    share = torch.arange(1, steps + 1, device=inputs.device, dtype=inputs.dtype).view(-1, 1, 1, 1) / steps
    path = ablated[0] + share * (inputs - ablated[0])
    gradients = experiment.model.channel_gradients(clean, experiment.step_values, inputs=path, cache=True)
    assert gradients.nodes is not None
    differences = (gradients.nodes - ablated).flatten(1)
    values = torch.zeros(graph.valid.shape, dtype=differences.dtype, device=differences.device)
    for layer in range(graph.layers):
        written = graph.mlp_node(layer)
        rows = slice(layer * graph.layer_channels, (layer + 1) * graph.layer_channels)
        values[rows, :written] = gradients.at_layer(layer).flatten(1) @ differences[:written].T
    values[graph.logits_channel] = (gradients.at_logits().flatten(1) @ differences.T)[0]
    values = values.cpu() * torch.from_numpy(graph.valid) / (steps * clean.batch)
    return EdgeScores(graph, values, method, steps)
