"""Edge attribution patching: what every edge is worth, to first order, in one pass.

    score(w → r) = sum over positions of (clean_w − ablated_w) · mean over steps of ∂metric/∂x_r

EAP takes the gradient on the clean prompt (one step); EAP-IG averages it along the straight path of the input node
from its ablated to its clean output, at k/m for k = 1 … m.

When this misleads: where the metric bends along the path (a saturated softmax, a norm that an edge drives), the sum
of scores is far from the metric's change and single scores may have the wrong sign. With `kl` all scores of `eap`
are 0: the clean prompt is the metric's minimum.

Sources: Syed et al. 2023 (arXiv 2310.10348), section 3; Hanna et al. 2024 (arXiv 2403.17806), section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment
from wheatstone.discovery._method import ScoreMethod
from wheatstone.models import BackwardRules, ChannelGradients, NodeOutputs, span_positions

_SPREAD = 8
"""What nodes write may be spread out in this part of the memory: an eighth."""
_LAYERS = 4
"""Layers whose channels are multiplied with what nodes write at once."""


def integrated_inputs(
    experiment: Experiment, *, steps: int, seed: int, report: Reporter, rules: BackwardRules | None = None
) -> Float[Tensor, "channel sender"]:
    """EAP-IG: the gradient, under some rules, averaged over steps of the input node, and over prompts."""
    return integrated(experiment, steps, rules)


def integrated(
    experiment: Experiment, steps: int, rules: BackwardRules | None = None, *, each: bool = False
) -> Float[Tensor, "*prompt channel sender"]:
    """The same, or with `each` of each prompt."""
    ablated, inputs = experiment.ablated_outputs.values, experiment.clean_input
    share = torch.arange(1, steps + 1, device=inputs.device, dtype=inputs.dtype).view(-1, 1, 1, 1) / steps
    path = ablated[0] + share * (inputs - ablated[0])

    def products(rows: slice, gradients: ChannelGradients) -> Tensor:
        assert gradients.outputs is not None
        ablated = experiment.ablated_outputs.rows(rows).after(gradients.start)
        return edge_products(experiment, gradients, gradients.outputs.minus(ablated), each=each)

    pieces = experiment.model.channel_gradients_in_pieces(
        experiment.encoded.clean,
        experiment.step_values,
        products,
        inputs=path,
        cache=True,
        rules=rules,
        start=experiment.start,
        budget=experiment.memory,
    )
    return torch.cat(pieces) / steps if each else torch.stack(pieces).sum(0) / (steps * len(inputs))


def edge_products(
    experiment: Experiment, gradients: ChannelGradients, differences: NodeOutputs, *, each: bool = False
) -> Float[Tensor, "*prompt channel sender"]:
    """Gradient at each channel times difference of each node before it, over positions of a span and steps.

    Args:
        experiment: whose spans and memory count.
        gradients: of the metric; gone through once.
        differences: of what nodes write, at the gradients' positions.
        each: for each prompt; by default summed over prompts.
    """
    graph, (batch, width, _) = experiment.model.graph, differences.values[0].shape
    start, valid = gradients.start, graph.valid.shape
    spans = span_positions(experiment.spans, start + width)
    spans = [[position - start for position in at if position >= start] for at in spans]
    # Nodes are spread out for a few positions at a time, unless there is memory for all.
    together = max(1, experiment.memory // _SPREAD // (differences.spread_bytes // width))
    whole = differences.nodes() if together >= width else None
    kind = torch.promote_types(differences.values[0].dtype, torch.float32)
    values = differences.values[0].new_zeros(batch if each else 1, *valid, len(spans), dtype=kind)

    def add(first: int, senders: int, gradients: Sequence[Float[Tensor, "channel batch pos d_model"]]) -> None:
        """Products of channels that follow each other; those with later nodes, which are no edges, are not read."""
        channels = slice(first, first + sum(map(len, gradients)))
        for span, at in enumerate(spans):
            for begin in range(0, len(at), together):
                part = at[begin : begin + together]
                # A view where positions follow each other.
                some = slice(part[0], part[-1] + 1) if part[-1] - part[0] < len(part) else part
                if whole is None:
                    written = differences.map(lambda value, some=some: value[:, some]).nodes(senders)
                else:
                    written = whole[:senders, :, some]
                read = torch.cat([gradient[:, :, some] for gradient in gradients])
                if each:
                    products = read.movedim(1, 0).flatten(2) @ written.movedim(1, 0).flatten(2).mT
                else:
                    products = (read.flatten(1) @ written.flatten(1).T)[None]
                values[:, channels, :senders, span] += products

    add(graph.logits_channel, len(graph.nodes), [gradients.at_logits()])
    waiting: list[Tensor] = []
    for layer, gradient in gradients.each():
        waiting.insert(0, gradient)
        if len(waiting) == _LAYERS or layer == 0:
            last = layer + len(waiting) - 1
            add(graph.attention_channels(layer).start, graph.mlp_nodes(last).start, waiting)
            waiting = []
    return values.flatten(-2) if each else values[0].flatten(-2)


def _at_clean(experiment: Experiment, *, steps: int, seed: int, report: Reporter) -> Float[Tensor, "channel sender"]:
    return integrated_inputs(experiment, steps=1, seed=seed, report=report)


EAP = ScoreMethod("eap", "gradient on the clean prompt times difference", _at_clean, by_position=True)
EAP_IG = ScoreMethod(
    "eap-ig",
    "the same gradient averaged while the input goes from ablated to clean",
    integrated_inputs,
    steps=5,
    by_position=True,
)
