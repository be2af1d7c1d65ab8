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

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment
from wheatstone.discovery._method import ScoreMethod
from wheatstone.models import BackwardRules, ChannelGradients, span_positions


def integrated_inputs(
    experiment: Experiment, *, steps: int, seed: int, report: Reporter, rules: BackwardRules | None = None
) -> Float[Tensor, "channel sender"]:
    """EAP-IG: the gradient, under some rules, averaged over steps of the input node; all steps are one batch."""
    ablated, inputs = experiment.ablated, experiment.clean_input
    share = torch.arange(1, steps + 1, device=inputs.device, dtype=inputs.dtype).view(-1, 1, 1, 1) / steps
    path = ablated[0] + share * (inputs - ablated[0])
    clean = experiment.encoded.clean

    def products(rows: slice, gradients: ChannelGradients) -> Tensor:
        assert gradients.nodes is not None
        return edge_products(experiment, gradients, gradients.nodes - ablated[:, rows])

    pieces = experiment.model.channel_gradients_in_pieces(
        clean, experiment.step_values, products, inputs=path, cache=True, rules=rules, budget=experiment.memory
    )
    return torch.stack(pieces).sum(0) / (steps * clean.batch)


def edge_products(
    experiment: Experiment, gradients: ChannelGradients, differences: Float[Tensor, "node batch pos d_model"]
) -> Float[Tensor, "channel sender"]:
    """Gradient at each channel times difference of each node before it, over prompts, positions of a span and steps."""
    graph = experiment.model.graph
    spans = span_positions(experiment.spans, differences.shape[2])
    rows = [differences[:, :, at].flatten(1) for at in spans]
    values = differences.new_zeros(*graph.valid.shape, len(spans))
    for layer in range(graph.layers):
        written = graph.mlp_nodes(layer).start
        channels = slice(graph.attention_channels(layer).start, graph.mlp_channel(layer) + 1)
        gradient = gradients.at_layer(layer)
        for span, at in enumerate(spans):
            values[channels, :written, span] = gradient[:, :, at].flatten(1) @ rows[span][:written].T
    gradient = gradients.at_logits()
    for span, at in enumerate(spans):
        values[graph.logits_channel, :, span] = (gradient[:, :, at].flatten(1) @ rows[span].T)[0]
    return values.flatten(1)


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
