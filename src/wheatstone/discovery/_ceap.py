"""CEAP: conductance of every edge along the path of inputs that EAP-IG takes.

    score(w → r) = sum over k = 0 … m − 1 of (w at k + 1 − w at k) · ∂metric/∂x_r at k

where all of it runs on the input k/m of the way from its ablated to its clean value. A step counts by how far the
sender moves in it; EAP-IG multiplies the sender's whole change with the mean gradient, wherever on the path either
happens. The gradient is that at the beginning of each step, as published.

When this misleads: only the input is ablated, and what other nodes write follows from it. With the counterfactual
ablation the path begins at the counterfactual prompt; with mean or zero ablation it begins at a run on the mean or zero
input, where a node does not write its own mean or zero.

Sources: Wu et al. 2026 (arXiv 2606.16920); conductance: Dhamdhere et al. 2019 (arXiv 1805.12233).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.circuits import Experiment
from wheatstone.discovery._eap import edge_products
from wheatstone.discovery._method import ScoreMethod
from wheatstone.models import ChannelGradients


def conductances(experiment: Experiment, *, steps: int, seed: int, report: Reporter) -> Float[Tensor, "channel sender"]:
    """One step after another, the last first: each needs what the nodes write one step later."""
    model, clean, start = experiment.model, experiment.encoded.clean, experiment.ablated_outputs.values[0]
    later = model.outputs(clean)[1]

    def products(rows: slice, gradients: ChannelGradients) -> Tensor:
        assert gradients.outputs is not None
        now = gradients.outputs
        mine = later.rows(rows).after(gradients.start)
        found = edge_products(experiment, gradients, mine.minus(now))
        for kept, value in zip(mine.values, now.values, strict=True):  # when nothing can run out of memory any more
            kept.copy_(value)
        return found

    total: list[Tensor] = []
    for step in reversed(range(steps)):
        report("scoring edges", steps - 1 - step, steps)
        point = start + step / steps * (experiment.clean_input - start)
        total += model.channel_gradients_in_pieces(
            clean,
            experiment.values_of,
            products,
            inputs=point[None],
            cache=True,
            start=experiment.start,
            budget=experiment.memory,
        )
    report("scoring edges", steps, steps)
    return torch.stack(total).sum(0) / clean.batch


CEAP = ScoreMethod(
    "ceap",
    "as eap-ig, with each step's gradient weighted by how far the sender moves in it",
    conductances,
    steps=5,
    by_position=True,
)
