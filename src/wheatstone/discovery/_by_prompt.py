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
from wheatstone.discovery._eap import EAP, EAP_IG
from wheatstone.discovery._exact import EXACT, effects_by_prompt
from wheatstone.discovery._scores import EdgeScores
from wheatstone.models import ChannelGradients, Graph, span_positions, wide
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
        values = effects_by_prompt(part) if method == EXACT.name else _of_each(part, steps)
        rows.append(wide(values.cpu())[:, valid])
    report("scoring prompts", len(pairs), len(pairs))
    return PromptScores(experiment.graph, torch.cat(rows), method, steps)


_TOGETHER = 16
"""Prompts that are run together, so that memory does not grow with their number."""


def _of_each(experiment: Experiment, steps: int) -> Float[Tensor, "prompt channel sender"]:
    """`integrated_inputs` without its mean over prompts."""
    ablated, inputs = experiment.ablated, experiment.clean_input
    share = torch.arange(1, steps + 1, device=inputs.device, dtype=inputs.dtype).view(-1, 1, 1, 1) / steps
    path = ablated[0] + share * (inputs - ablated[0])

    def products(rows: slice, gradients: ChannelGradients) -> Tensor:
        assert gradients.nodes is not None
        return _products(experiment, gradients, gradients.nodes - ablated[:, rows])

    pieces = experiment.model.channel_gradients_in_pieces(
        experiment.encoded.clean, experiment.step_values, products, inputs=path, cache=True, budget=experiment.memory
    )
    return torch.cat(pieces) / steps


def _products(
    experiment: Experiment, gradients: ChannelGradients, differences: Float[Tensor, "node batch pos d_model"]
) -> Float[Tensor, "batch channel sender"]:
    """`edge_products`, with a matrix product for each prompt in place of one over all."""
    graph = experiment.model.graph
    spans = span_positions(experiment.spans, differences.shape[2])
    written_by = [differences[:, :, at].movedim(1, 0).flatten(2) for at in spans]
    values = differences.new_zeros(differences.shape[1], *graph.valid.shape, len(spans))
    for layer in range(graph.layers):
        before = graph.mlp_nodes(layer).start
        channels = slice(graph.attention_channels(layer).start, graph.mlp_channel(layer) + 1)
        gradient = gradients.at_layer(layer)
        for span, at in enumerate(spans):
            read = gradient[:, :, at].movedim(1, 0).flatten(2)
            values[:, channels, :before, span] = read @ written_by[span][:, :before].mT
    gradient = gradients.at_logits()
    for span, at in enumerate(spans):
        read = gradient[:, :, at].movedim(1, 0).flatten(2)
        values[:, graph.logits_channel, :, span] = (read @ written_by[span].mT)[:, 0]
    return values.flatten(2)
