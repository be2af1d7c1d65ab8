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
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._progress import Reporter, silent
from wheatstone.circuits import Experiment
from wheatstone.tasks import PromptPair, mean_by_prompt
from wheatstone.verification._card import BackupRow
from wheatstone.verification._carried import ratio_estimate

_TOGETHER = 64
"""Heads that are ablated in one run, so that logits of all of them are never in memory."""


def backup_heads(
    experiments: Sequence[Experiment],
    removed: Bool[Tensor, "channel node"],
    *,
    most: int = 5,
    report: Reporter = silent,
) -> tuple[BackupRow, ...]:
    """The heads outside a circuit whose direct effect grows most when the circuit is ablated.

    Only the last sum differs between heads, so that trying all heads costs two runs of the model and one product with
    the unembedding for each head.

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
    seen: list[PromptPair] = []
    whole, lost = list[np.ndarray](), list[np.ndarray]()
    for done, part in enumerate(experiments):
        report("backup heads", done, len(experiments))
        both = [_direct_effects(part, base, heads) for base in (valid, valid & ~removed)]
        whole.append((part.clean - part.corrupt).double().cpu().numpy()[None])
        lost.append(np.stack(both))
        seen += part.encoded.pairs
    report("backup heads", len(experiments), len(experiments))
    scale = mean_by_prompt(seen, np.concatenate(whole, 1))[0]
    values = np.concatenate(lost, 2)
    intact, ablated = (mean_by_prompt(seen, rows) for rows in values)
    rows = [_row(graph.nodes[node], intact[at], ablated[at], scale) for at, node in enumerate(heads)]
    return tuple(sorted(rows, key=lambda row: -row.growth.value)[:most])


def _direct_effects(
    experiment: Experiment, base: Bool[Tensor, "channel node"], heads: Sequence[int]
) -> Float[np.ndarray, "head prompt"]:
    """What a circuit's metric loses on each prompt without each head's edge into the logits."""
    state, _ = experiment.start_from(base)
    rows: list[Tensor] = [experiment.values(base[None], resume=state)]
    for first in range(0, len(heads), _TOGETHER):
        some = torch.tensor(heads[first : first + _TOGETHER])
        masks = base.repeat(len(some), 1, 1)
        masks[torch.arange(len(some)), experiment.graph.logits_channel, some] = False
        rows.append(experiment.values(masks, resume=state))
    whole, *without = rows
    return (whole - torch.cat([whole[:0], *without])).double().cpu().numpy()


def _row(head: str, intact: np.ndarray, ablated: np.ndarray, whole: np.ndarray) -> BackupRow:
    before, after, growth = (ratio_estimate(part, whole) for part in (intact, ablated, ablated - intact))
    return BackupRow(head, before.value, after.value, growth)
