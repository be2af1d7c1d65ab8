"""Supernodes: neurons at one position that send alike, as one.

Neurons are grouped by their outgoing edges: the weights of each, divided by the sum of their sizes, are compared by
cosine, and groups are joined while their mean distance is below one half. What they write is no guide: of a hundred
strong neurons hardly two write alike, while many feed the same few nodes with the same sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from wheatstone._view import Brief
from wheatstone.graphs._nodes import Node

_DISTANCE = 0.5
_MAIN = 0.5
"""Share of what a group sends that must go to one node for the group to be named after it."""


@dataclass(frozen=True)
class Supernode(Brief):
    """Neurons that are shown as one.

    Args:
        name: what they do, in words.
        nodes: their names.
        promotes: tokens that what they write together makes likelier.
        suppresses: tokens that it makes less likely.
        weight: what they send to the target together, in logits.
    """

    name: str
    nodes: tuple[str, ...]
    promotes: tuple[str, ...]
    suppresses: tuple[str, ...]
    weight: float


def groups_of(
    nodes: Sequence[Node], weights: Float[Tensor, "row node"], kept: Bool[Tensor, " node"]
) -> list[list[int]]:
    """Neurons that are grouped, two or more each, the groups that send most first.

    Args:
        nodes: of the graph.
        weights: its edges; the last row is the target.
        kept: nodes that are looked at.
    """
    found: list[list[int]] = []
    by_position: dict[int, list[int]] = {}
    sent = weights.double() * torch.cat((kept, torch.ones(1, dtype=torch.bool)))[:, None]
    for number, node in enumerate(nodes):
        if node.kind == "neuron" and kept[number] and sent[:, number].any():
            by_position.setdefault(node.position, []).append(number)
    for numbers in by_position.values():
        if len(numbers) < 2:
            continue
        profiles = sent[:, numbers].T.numpy()
        profiles = profiles / np.abs(profiles).sum(1, keepdims=True)
        labels = fcluster(linkage(profiles, "average", metric="cosine"), _DISTANCE, "distance")
        for label in np.unique(labels):
            group = [number for number, own in zip(numbers, labels, strict=True) if own == label]
            if len(group) > 1:
                found.append(group)
    return sorted(found, key=lambda group: -float(sent[:, group].abs().sum()))


def named(
    names: Sequence[str],
    weights: Float[Tensor, "row node"],
    group: Sequence[int],
    promotes: Sequence[str],
    suppresses: Sequence[str],
    answer: str,
) -> Supernode:
    """A group with its name: where most of what it sends goes, and what it says.

    Args:
        names: of the graph's nodes.
        weights: its edges; the last row is the target.
        group: numbers of its neurons.
        promotes: see `Supernode`.
        suppresses: likewise.
        answer: what the target is called.
    """
    sent = weights[:, list(group)].double().sum(1)
    row = int(sent.abs().argmax())
    says = ", ".join(repr(token) for token in promotes[:2])
    if sent[row].abs() < _MAIN * sent.abs().sum():
        name = f"says {says}"
    elif row == len(names):
        name = f"{'for' if sent[row] > 0 else 'against'} {answer}: says {says}"
    else:
        name = f"feeds {names[row]}: says {says}"
    return Supernode(
        name, tuple(names[number] for number in group), tuple(promotes), tuple(suppresses), float(sent[-1])
    )
