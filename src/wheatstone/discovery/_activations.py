"""EAP-IG (activations): integrated gradients along each sublayer's own output.

With s running over the input, every layer's attention and every MLP, 2 · layers + 1 components in all:

    score(w → r) = (clean_w − ablated_w) · mean over s and k = 1 … m of ∂metric/∂x_r,
                   where s writes ablated_s + k/m (clean_s − ablated_s) and all else runs on from there

Shared with EAP-IG (inputs): the difference that gradients are multiplied with, the steps, and that every edge is scored
with the mean of all gradients, not only those of its own sender. Different: only one component at a time moves, so the
rest of the model stays at activations that the clean prompt has; what is written on an ablated edge may be a mean or
zero; and what s writes is a constant, through which no gradient passes. It costs 2 · layers + 1 times as much.

When this misleads: for most edges most of the mean is over components that have nothing to do with them, where the
gradient is the clean prompt's (EAP's), and misses what passes through s.

Source: the method of that name in the code of Hanna et al. 2024 (arXiv 2403.17806), used by Mueller et al. 2025
(MIB, arXiv 2504.13151).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment
from wheatstone.discovery._eap import edge_products
from wheatstone.discovery._method import ScoreMethod
from wheatstone.models import Rewrite

_TOKENS = 256
"""Steps x prompts x positions of a batch, unless one component takes more."""


def integrated_activations(
    experiment: Experiment, *, steps: int, seed: int, report: Reporter
) -> Float[Tensor, "channel node"]:
    """The mean over components and steps; those of several components are one batch."""
    graph, tokens = experiment.graph, experiment.encoded.clean
    differences = experiment.model.outputs(tokens)[1].minus(experiment.ablated_outputs)
    inputs = experiment.clean_input
    parts = [slice(0, 1)]
    for layer in range(graph.layers):
        parts += [graph.head_nodes(layer), graph.mlp_nodes(layer)]
    missing = 1 - torch.arange(1, steps + 1, device=inputs.device, dtype=inputs.dtype) / steps
    values = torch.zeros(graph.valid.shape, device=inputs.device)
    together = max(1, _TOKENS // (steps * tokens.batch * tokens.width))
    for first in range(0, len(parts), together):
        report("scoring edges", first, len(parts))
        places = range(first, min(first + together, len(parts)))

        def changed(rows: slice, places: range = places) -> Rewrite:
            ours = differences.rows(rows)

            def rewrite(place: int, written: Tensor) -> Tensor:
                if place not in places:
                    return written
                each, index = steps * len(ours.values[0]), places.index(place)
                before, moved, rest = written.split([index * each, each, (len(places) - index - 1) * each])
                change = missing.view(-1, 1, 1, 1) * ours.part(parts[place]).sum(0)
                return torch.cat([before, moved.detach() - change.flatten(0, 1), rest])

            return rewrite

        start = changed(slice(None))(0, inputs.repeat(len(places) * steps, 1, 1)).unflatten(0, (-1, tokens.batch))
        values = values + torch.stack(
            experiment.model.channel_gradients_in_pieces(
                tokens,
                experiment.step_values,
                lambda rows, gradients: edge_products(experiment, gradients, differences.rows(rows)),
                inputs=start,
                rewrite=changed,
                budget=experiment.memory,
            )
        ).sum(0)
    report("scoring edges", len(parts), len(parts))
    return values / (len(parts) * steps * tokens.batch)


EAP_IG_ACTIVATIONS = ScoreMethod(
    "eap-ig-activations",
    "the gradient averaged while one sublayer after another goes from ablated to clean output",
    integrated_activations,
    steps=5,
)
