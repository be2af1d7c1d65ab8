"""Backup heads: whose direct effect on the answer grows when a circuit is ablated.

A head's direct effect is the share of the behaviour that is lost when its edge into the logits alone is ablated. It is
measured exactly in the whole model and in the model whose circuit is ablated:

    intact(h) = (model − model without h → logits) / (model − empty)
    ablated(h) = (complement − complement without h → logits) / (model − empty)

A backup is small in the first and large in the second: what it writes matters only when the circuit does not write it.

When this misleads: only direct effects are compared. A head that takes over by way of a later layer is not seen, and the
final norm rescales every head's direct effect when the rest of the stream changes.

Source: backup name movers, Wang et al. 2022 (arXiv 2211.00593), section 3.4; self-repair, arXiv 2307.15771.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._intervals import ratio_interval
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair
from wheatstone.verification._card import BackupRow, Estimate
from wheatstone.verification._carried import carried


def backup_heads(
    experiment: Experiment,
    keep: Bool[Tensor, "channel node"],
    pairs: Sequence[PromptPair],
    *,
    heads: Sequence[str] | None = None,
    most: int = 5,
) -> tuple[BackupRow, ...]:
    """The heads outside a circuit whose direct effect grows most when the circuit is ablated.

    Args:
        experiment: model, ablation and metric; edges are kept at all positions together.
        keep: the circuit.
        pairs: the facts.
        heads: heads that are tried; all by default, each of which costs two runs.
        most: how many are returned, the largest growth first.

    Raises:
        RequestError: edges are told apart by position.
    """
    graph = experiment.whole_graph
    valid = torch.from_numpy(graph.valid)
    nodes = [graph.nodes.index(head) for head in heads] if heads is not None else _all_heads(experiment)
    nodes = [node for node in nodes if not keep[graph.logits_channel, node]]
    masks = torch.stack([valid, valid & ~keep]).repeat(len(nodes) + 1, 1, 1)
    for at, node in enumerate(nodes):
        masks[2 * at + 2 : 2 * at + 4, graph.logits_channel, node] = False
    found = carried(experiment, masks, pairs)
    rows: list[BackupRow] = []
    scale = found.whole.mean()
    for at, node in enumerate(nodes):
        intact = found.part[0] - found.part[2 * at + 2]
        ablated = found.part[1] - found.part[2 * at + 3]
        growth = ablated - intact
        low, high = ratio_interval(growth, found.whole) or (None, None)
        estimate = Estimate(float(growth.mean() / scale), low, high, len(growth))
        rows.append(BackupRow(graph.nodes[node], float(intact.mean() / scale), float(ablated.mean() / scale), estimate))
    return tuple(sorted(rows, key=lambda row: -row.growth.value)[:most])


def _all_heads(experiment: Experiment) -> list[int]:
    graph = experiment.whole_graph
    return [node for layer in range(graph.layers) for node in range(len(graph.nodes))[graph.head_nodes(layer)]]
