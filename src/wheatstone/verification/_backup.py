"""Backup heads: whose direct effect on the answer grows when a circuit is ablated.

A head's direct effect is the share of the behaviour that is lost when its edge into the logits alone is ablated. It is
measured exactly in the whole model and in the model whose circuit is ablated:

    intact(h) = (model − model without h → logits) / (model − empty)
    ablated(h) = (complement − complement without h → logits) / (model − empty)

A backup is small in the first and large in the second: what it writes matters only when the circuit does not write it.

When this misleads: only direct effects are compared. A head that takes over by way of a later layer is not seen, and
the final norm rescales every head's direct effect when the rest of the stream changes.

Source: backup name movers, Wang et al. 2022 (arXiv 2211.00593), section 3.4; self-repair, arXiv 2307.15771.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.verification._card import BackupRow
from wheatstone.verification._carried import Carried, carried_without, ratio_estimate


def backup_heads(
    experiments: Sequence[Experiment],
    removed: Bool[Tensor, "channel node"],
    *,
    most: int = 5,
    report: Reporter = silent,
) -> tuple[BackupRow, ...]:
    """The heads outside a circuit whose direct effect grows most when the circuit is ablated.

    Only the last sum differs between heads, so that all of them together cost about two runs of the model.

    Args:
        experiments: with the facts, see `Experiment.over`; edges are kept at all positions together.
        removed: the circuit's edges.
        most: how many are returned, the largest growth first.
        report: progress callback.

    Raises:
        RequestError: edges are distinguished by position.
    """
    graph = experiments[0].whole_graph
    valid = torch.from_numpy(graph.valid)
    heads = [node for layer in range(graph.layers) for node in range(len(graph.nodes))[graph.head_nodes(layer)]]
    heads = [node for node in heads if not removed[graph.logits_channel, node]]
    edges = torch.tensor([(graph.logits_channel, node) for node in heads], dtype=torch.int64).view(-1, 2)
    lost: list[Carried] = []
    for done, base in enumerate((valid, valid & ~removed)):
        report("backup heads", done, 2)
        lost.append(carried_without(experiments, base, edges))
    report("backup heads", 2, 2)
    intact, ablated = (found.part[0] - found.part[1:] for found in lost)
    rows = [_row(graph.nodes[node], intact[at], ablated[at], lost[0].whole) for at, node in enumerate(heads)]
    return tuple(sorted(rows, key=lambda row: -row.growth.value)[:most])


def _row(head: str, intact: np.ndarray, ablated: np.ndarray, whole: np.ndarray) -> BackupRow:
    before, after, growth = (ratio_estimate(part, whole) for part in (intact, ablated, ablated - intact))
    return BackupRow(head, before.value, after.value, growth)
