"""Node scores: what every head and MLP is worth, exactly or to first order.

Noising puts a node's ablated output into the intact model, denoising its clean output into the ablated one:

    noising    metric(clean run) − metric(clean run, node w writes ablated_w)
    denoising  metric(ablated run, node w writes clean_w) − metric(ablated run)

`exact` runs each of them; `attribution` takes their first-order estimate, from one pass for all nodes,

    sum over positions of (clean_w − ablated_w) · ∂metric/∂(residual stream where w writes)

at the clean run (noising) or the ablated run (denoising). The gradient where w writes is the sum of those at all
channels that read it, so that attribution of a node is the sum of its edges' EAP scores.

Sources: Vig et al. 2020 (arXiv 2004.12265); Meng et al. 2022 (arXiv 2202.05262), section 2.1, for heat maps over
positions; Syed et al. 2023 (arXiv 2310.10348) and Kramár et al. 2024 (arXiv 2403.00745), section 2, for attribution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._errors import RequestError, check_choice
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Experiment
from wheatstone.discovery._method import Score, ScoreMethod
from wheatstone.models import ChannelGradients, Graph, NodeOutputs, Tokens

NodeMethod = Literal["attribution", "exact"]
Direction = Literal["noising", "denoising"]
_TOKENS = 256
"""Tokens that patched runs hold together: more are hardly faster, and more layers are then run for nothing."""


@dataclass(frozen=True, eq=False)
class NodeScores(Brief):
    """A score for every node.

    Args:
        graph: the graph.
        values: of each node on each prompt, in units of the metric; positive supports it.
        positions: the same at one position alone, 0 after a prompt's end; None where it was not asked for.
        method: `attribution` or `exact`.
        direction: `noising` or `denoising`.
    """

    graph: Graph
    values: Float[Tensor, "node batch"]
    positions: Float[Tensor, "node batch pos"] | None
    method: str
    direction: str

    def ranking(self) -> list[tuple[str, float]]:
        """Names and mean scores of all nodes, largest |score| first; ties in order of computation."""
        means = self.values.mean(-1)
        order = means.abs().argsort(descending=True, stable=True).tolist()
        return [(self.graph.nodes[node], float(means[node])) for node in order]

    def edge_values(self) -> Float[Tensor, "channel node"]:
        """Scores of edges from those of their ends: an edge ranks as high as the lesser of its two nodes.

        So the first edges of the ranking are always whole subgraphs: the best nodes with every edge between them.
        A channel that several heads read counts as the best of them, `logits` as better than any node. The sign is
        the sender's.
        """
        graph, means = self.graph, self.values.mean(-1)
        reader = means.new_zeros(len(graph.channels))
        reader[graph.logits_channel] = torch.inf
        for node, size in enumerate(means.abs()):
            channels = list(graph.channels_of(node))
            reader[channels] = reader[channels].maximum(size)
        return means.sign() * torch.minimum(means.abs(), reader[:, None]) * torch.from_numpy(graph.valid)


def node_scores(
    experiment: Experiment,
    *,
    method: str = "attribution",
    direction: str = "noising",
    positions: bool = False,
    report: Reporter = silent,
) -> NodeScores:
    """Scores every node of the model.

    Args:
        experiment: model, prompts, ablation and metric.
        method: `attribution`, one pass for all nodes; `exact`, one run per node, many at once.
        direction: `noising`, an ablated output in the clean run (what is necessary); `denoising`, a clean output in
            the ablated run (what is sufficient), under the counterfactual ablation only.
        positions: also score every position alone. Attribution has it from the same pass; `exact` takes as many
            runs again as a prompt has tokens.
        report: progress callback.

    Returns:
        Scores on the CPU.

    Raises:
        RequestError: no such method or direction, denoising under another ablation, or an experiment whose edges are
            distinguished by position.

    When this misleads: `attribution` is a slope, and a softmax of attention that saturates or a metric at its
    optimum (`kl` on the clean run) has none: confirm what matters with `exact`. Noising misses what backup heads
    restore, denoising what needs two nodes at once. A node's effect says nothing about which channel carries it.
    """
    for name, given, known in (("method", method, NodeMethod), ("direction", direction, Direction)):
        check_choice(f"a {name}", given, get_args(known))
    if direction == "denoising" and experiment.ablation != "counterfactual":
        raise RequestError(
            expected="the counterfactual ablation for denoising, whose ablated run is the counterfactual prompt's",
            got=f"the ablation {experiment.ablation}",
            do="use noising, or the counterfactual ablation",
        )
    graph, encoded = experiment.whole_graph, experiment.encoded
    tokens = encoded.clean if direction == "noising" else encoded.counterfactual
    if method == "attribution":
        at_positions = _attribution(experiment, tokens)
        return NodeScores(graph, at_positions.sum(-1), at_positions if positions else None, method, direction)
    every = list(range(len(graph.nodes)))
    values = _exact(experiment, tokens, [(node, None) for node in every], report)
    alone: Tensor | None = None
    if positions:
        width = tokens.width
        alone = _exact(experiment, tokens, [(node, at) for node in every for at in range(width)], report)
        alone = alone.unflatten(0, (-1, width)).movedim(1, 2)
        alone = alone * (torch.arange(width) < tokens.lengths.cpu()[:, None])
    return NodeScores(graph, values, alone, method, direction)


def _attribution(experiment: Experiment, tokens: Tokens) -> Float[Tensor, "node batch pos"]:
    """Contracts each node's difference with the sum of the gradients at the channels after it."""
    graph = experiment.graph
    differences = experiment.model.outputs(experiment.encoded.clean)[1].minus(experiment.ablated_outputs)

    def scores(rows: slice, gradients: ChannelGradients) -> Tensor:
        return _products(graph, differences.rows(rows), gradients).cpu()

    model, budget = experiment.model, experiment.memory
    return torch.cat(model.channel_gradients_in_pieces(tokens, experiment.step_values, scores, budget=budget), dim=1)


def _products(graph: Graph, differences: NodeOutputs, gradients: ChannelGradients) -> Float[Tensor, "node batch pos"]:
    scores = differences.values[0].new_empty(len(graph.nodes), *differences.values[0].shape[:-1])
    after = gradients.at_logits()[0]
    for layer, at_layer in gradients.each():
        mlp, heads = graph.mlp_nodes(layer), graph.head_nodes(layer)
        scores[mlp] = (differences.part(mlp) * after).sum(-1)
        read_by_mlp = 0 if graph.parallel else at_layer[-1]
        scores[heads] = (differences.part(heads) * (after + read_by_mlp)).sum(-1)
        after = after + at_layer.sum(0)
    scores[0] = (differences.values[0] * after).sum(-1)
    return scores


def _exact(
    experiment: Experiment, tokens: Tokens, patches: list[tuple[int, int | None]], report: Reporter
) -> Float[Tensor, "patch batch"]:
    """Runs the model once per patch, a node and a position or all of them."""
    model, encoded = experiment.model, experiment.encoded
    plain = model.streams(tokens)
    noising = tokens is encoded.clean
    other = experiment.ablated if noising else model.streams(encoded.clean).nodes
    before = experiment.clean if noising else experiment.corrupt
    together = max(1, _TOKENS // tokens.ids.numel())
    effects: list[Tensor] = []
    for start in range(0, len(patches), together):
        report("patching nodes", start, len(patches))
        part = patches[start : start + together]
        nodes = [node for node, _ in part]
        changes = other[nodes] - plain.nodes[nodes]
        for change, (_, at) in zip(changes, part, strict=True):
            if at is not None:
                change[:, :at] = 0
                change[:, at + 1 :] = 0
        values = experiment.values_of(model.patched_logits(plain, nodes, changes, budget=experiment.memory))
        effects.append((before - values if noising else values - before).cpu())
    experiment.evaluations += len(patches)
    report("patching nodes", len(patches), len(patches))
    return torch.cat(effects)


def _of_edges(method: NodeMethod) -> Score:
    def score(experiment: Experiment, *, steps: int, seed: int, report: Reporter) -> Float[Tensor, "channel node"]:
        return node_scores(experiment, method=method, report=report).edge_values()

    return score


NODE_ATTRIBUTION = ScoreMethod(
    "node-attribution", "the lesser of its two nodes' attribution scores", _of_edges("attribution")
)
NODE_PATCHING = ScoreMethod("node-patching", "the lesser of its two nodes' exact effects", _of_edges("exact"))
