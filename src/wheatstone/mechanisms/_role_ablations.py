"""Heads ablated by exact runs: one at a time, and all of a role together beside as many random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from wheatstone._intervals import SHARE, mean_intervals
from wheatstone._progress import Reporter
from wheatstone.lenses import Material
from wheatstone.mechanisms._roles import Role
from wheatstone.models import KnockOut, Replace, Tokens
from wheatstone.tasks import answer_ranks, gather

_DRAWS = 5
"""Sets of random heads."""
_ROWS = 512
"""Patched runs together."""


class RoleAblation(NamedTuple):
    """Heads ablated together: a row of role_ablations.parquet.

    Args:
        role: whose heads, or whose number of heads.
        ablated: `nothing`, `its heads` or `as many random heads` (mean over draws).
        heads: how many.
        names: which, one draw after another.
        measure: the metric, or `log-probability` of the answer.
        value: of the measure, mean over prompts.
        hit_at_1: share of prompts with an answer on top.
    """

    role: str
    ablated: str
    heads: int
    names: list[str]
    n: int
    measure: str
    value: float
    value_low: float | None
    value_high: float | None
    hit_at_1: float
    hit_low: float | None
    hit_high: float | None


def ablation_effects(
    material: Material, role: Role, heads: Sequence[str], report: Reporter
) -> list[Float[Tensor, " batch"]]:
    """What ablating each head alone costs, prompt by prompt, where the role has it look from.

    Args:
        material: the prompts, and the ablation of a role that writes the answer.
        role: says where, how and at what cost heads are ablated.
        heads: names, best in order of computation.
        report: progress callback.
    """
    experiment, graph = material.experiment, material.experiment.graph
    nodes, tokens = [graph.node_index[head] for head in heads], experiment.encoded.clean
    logits = experiment.clean_logits.new_empty(len(nodes), *experiment.clean_logits.shape)
    done, query = 0, _query(material, role)
    for length in tokens.lengths.unique().tolist():  # of one length: all runs begin at one position
        rows = (tokens.lengths == length).nonzero()[:, 0]
        plain = experiment.model.streams(Tokens(tokens.ids[rows, :length], tokens.lengths[rows]))
        at = torch.arange(length, device=rows.device) == query[rows, None]
        ablated = experiment.ablated_outputs.map(
            lambda value, rows=rows, length=length: value[rows.to(value.device), :length]
        )
        together = max(1, _ROWS // len(rows))
        for start in range(0, len(nodes), together):
            part = nodes[start : start + together]
            instead = 0 if role.writes == "relation" else ablated.some(part)
            changes = (instead - plain.nodes[part]) * at[..., None]
            logits[start : start + together, rows] = experiment.model.patched_logits(
                plain, part, changes, budget=experiment.memory
            )
            done += len(part) * len(rows)
            report("ablating heads", done, len(nodes) * tokens.batch)
    before = _values(material, role, experiment.clean_logits)
    return list((before - _values(material, role, logits)).cpu())


def role_ablations(
    material: Material, roles: Mapping[Role, Sequence[str]], every: Sequence[str], report: Reporter
) -> list[RoleAblation]:
    """Ablates all heads of each role together, and as many random heads that have none, several times.

    Args:
        material: the prompts, and the ablation of roles that write the answer.
        roles: each role's heads.
        every: all heads of the model.
        report: progress callback.

    When this misleads: under the counterfactual ablation a head goes on working on other words: what is lost is what it
    carries about this prompt, and the answer may turn into the counterfactual's.
    """
    draw = np.random.default_rng(material.seed)
    free = sorted(set(every) - {head for heads in roles.values() for head in heads})
    rows: list[RoleAblation] = []
    for done, (role, heads) in enumerate(roles.items()):
        report("ablating roles", done, len(roles))
        sets = {"nothing": [[]], "its heads": [list(heads)]}
        if len(free) >= len(heads):
            drawn = (draw.choice(free, len(heads), replace=False) for _ in range(_DRAWS))
            sets["as many random heads"] = [names.tolist() for names in drawn]
        for ablated, draws in sets.items():
            logits = torch.stack([_without(material, role, names) for names in draws])
            hit = (answer_ranks(logits, material.experiment.encoded) == 1).double().mean(0)
            measured = torch.stack([_values(material, role, logits).double().mean(0), hit]).cpu()
            intervals = mean_intervals(measured.numpy(), bounds=(None, SHARE))
            value, share = measured.mean(1).tolist()
            about = (role.name, ablated, len(draws[0]), [name for names in draws for name in names], material.n)
            measure = "log-probability" if role.writes == "relation" else material.experiment.metric.name
            rows.append(RoleAblation(*about, measure, value, *intervals[0], share, *intervals[1]))
    return rows


def _query(material: Material, role: Role) -> Int[Tensor, " batch"]:
    return material.experiment.encoded.spans[role.query][:, 1] - 1


def _values(material: Material, role: Role, logits: Float[Tensor, "*many batch vocab"]) -> Float[Tensor, "*many batch"]:
    """What an ablation is to cost: higher is more of what the role is for."""
    experiment = material.experiment
    if role.writes == "relation":
        return gather(logits.log_softmax(-1), experiment.encoded.answers, -torch.inf).logsumexp(-1)
    return experiment.values_of(logits) * (-1 if experiment.metric.name == "kl" else 1)


def _without(material: Material, role: Role, heads: Sequence[str]) -> Float[Tensor, "batch vocab"]:
    experiment, graph = material.experiment, material.experiment.graph
    if not heads:
        return experiment.clean_logits
    positions = tuple((position,) for position in _query(material, role).tolist())
    edits = [
        KnockOut(at=head, positions=positions)
        if role.writes == "relation"
        else Replace(at=head, positions=positions, value=experiment.ablated_outputs.some([graph.node_index[head]])[0])
        for head in heads
    ]
    return experiment.model.forward_with(experiment.encoded.clean, edits).logits
