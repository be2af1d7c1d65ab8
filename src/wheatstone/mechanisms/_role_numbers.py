"""A role's attention and direct effect of every head, each with the null that it must exceed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wheatstone._intervals import SHARE, mean_interval
from wheatstone.lenses import Material, direct_effects
from wheatstone.mechanisms._attributes import known_tokens
from wheatstone.mechanisms._roles import Role
from wheatstone.models import wide

SHUFFLES = 20
"""Of a null."""
PERCENT = 99
"""Percentile of a null that an interval must lie beyond."""


@dataclass(frozen=True, eq=False)
class RoleNumber:
    """One of the three numbers for every head.

    Args:
        values: of every prompt.
        null: what it must lie beyond, signed.
        sign: the side on which it counts.
        bounds: that values cannot exceed.
    """

    values: Float[Tensor, "head batch"]
    null: float
    sign: int
    bounds: tuple[float, float] | None = None

    def row(self, head: int) -> tuple[float, float | None, float | None]:
        """Mean and interval, whose ends are None where there is none."""
        values = self.values[head].double().cpu()
        low, high = mean_interval(values.numpy(), bounds=self.bounds) or (None, None)
        return float(values.mean()), low, high

    def counts(self, head: int) -> bool:
        """Whether there is an interval and it lies beyond the null."""
        _, low, high = self.row(head)
        if low is None or high is None:
            return False
        return low > self.null if self.sign > 0 else high < self.null


def head_names(material: Material) -> list[str]:
    """All heads, in order."""
    graph = material.experiment.graph
    return [f"a{layer}.h{head}" for layer in range(graph.layers) for head in range(graph.heads)]


def role_attention(material: Material, role: Role) -> RoleNumber:
    """Attention from the role's query to its place, of every head."""
    spans = material.experiment.encoded.spans
    return looks_at(material.patterns, spans[role.query][:, 1] - 1, spans[role.key], material.seed)


def looks_at(
    patterns: Float[Tensor, "layer batch head query key"],
    query: Int[Tensor, " batch"],
    place: Int[Tensor, "batch 2"],
    seed: int,
) -> RoleNumber:
    """Attention of every head from one token to a place, and what all heads give to as many random tokens.

    Args:
        patterns: attention weights of all heads.
        query: the position that looks, in each prompt.
        place: positions [first, end) that are looked at. The first token is no part of them, nor is the query, where
            every prompt has others left.
        seed: of the random places.
    """
    weights = patterns.movedim(1, 2).flatten(0, 1)[:, range(len(query)), query]
    positions = torch.arange(weights.shape[-1], device=weights.device)
    inside = (positions >= place[:, :1]) & (positions < place[:, 1:])
    seen = positions <= query[:, None]
    for other in (positions > 0, positions < query[:, None]):
        if bool((inside & seen & other).any(-1).all()):
            inside, seen = inside & other, seen & other
    inside = inside & seen
    null = torch.stack([(weights * shuffled).sum(-1).mean(-1) for shuffled in _shuffles(inside, seen, seed)])
    threshold = float(np.percentile(null.double().cpu().numpy(), PERCENT))
    return RoleNumber((weights * inside).sum(-1), threshold, 1, SHARE)


def _shuffles(
    inside: Bool[Tensor, "batch key"], seen: Bool[Tensor, "batch key"], seed: int
) -> Iterator[Bool[Tensor, "batch key"]]:
    """As many random places in each prompt as the role's."""
    draw = torch.Generator().manual_seed(seed)
    for _ in range(SHUFFLES):
        noise = torch.rand(inside.shape, generator=draw).to(inside.device).masked_fill(~seen, -1)
        yield noise.argsort(-1, descending=True).argsort(-1) < inside.sum(-1, keepdim=True)


def role_writing(material: Material, role: Role) -> RoleNumber:
    """What every head writes directly towards what the role is for."""
    graph, sign = material.experiment.graph, role.direct or 1
    heads = torch.cat([material.last_nodes[graph.head_nodes(layer)] for layer in range(graph.layers)])
    if role.writes == "relation":
        values, null = _towards_relation(material, heads)
    else:
        effects = direct_effects(material)
        values = torch.cat([effects[graph.head_nodes(layer)] for layer in range(graph.layers)])
        shifts = np.random.default_rng(material.seed).permutation(material.n - 1)[:SHUFFLES] + 1
        null = torch.stack(
            [(heads * material.answer_directions.roll(int(shift), 0)).sum(-1).mean(-1) for shift in shifts]
        )
    percent = PERCENT if sign > 0 else 100 - PERCENT
    return RoleNumber(values, float(np.percentile(null.double().cpu().numpy(), percent)), sign)


def _towards_relation(
    material: Material, heads: Float[Tensor, "head batch d_model"]
) -> tuple[Float[Tensor, "head batch"], Float[Tensor, "draw head"]]:
    """What heads write towards the other prompts' answers, less the mean of all tokens; and towards random words."""
    readout, answers = material.readout, material.experiment.encoded.answers[:, 0]
    objects = answers.unique()
    rows = wide(readout.model.unembedding.weight)
    mean = rows.mean(0)

    def push(tokens: Tensor) -> Tensor:
        return readout.scale[:, None] * ((rows[tokens].mean(0) - mean) @ readout.map.T)

    others = torch.stack([rows[objects[objects != answer]].mean(0) - mean for answer in answers]) @ readout.map.T
    values = (heads * readout.scale[:, None] * others).sum(-1)
    words = torch.tensor(sorted(known_tokens(readout.model) - set(objects.tolist())), device=rows.device)
    draw = torch.Generator().manual_seed(material.seed)
    null = [
        (heads * push(words[torch.randperm(len(words), generator=draw)[: len(objects)].to(words.device)]))
        .sum(-1)
        .mean(-1)
        for _ in range(SHUFFLES)
    ]
    return values, torch.stack(null)
