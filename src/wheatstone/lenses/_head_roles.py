"""Head roles, measured over a task: three numbers behind every label, and a null for each of them.

* attention: from the role's query to its place, summed over the place, mean over prompts. The first token is no part of
  a place, for attention rests on it; nor is the query itself, where a place reaches so far. Null: all heads, on as many
  random tokens in each prompt.
* direct effect: what the head writes towards the answer itself, in logits. Null: all heads, against other prompts'
  answers (of relation heads: towards as many random words of other facts).
* ablation effect: what is lost when the head's output alone is ablated at the role's query, by exact runs. Null: heads
  drawn at random from those that have no role's attention.

A number counts when its 95% interval lies beyond the 99th percentile of its null. A head has a role when every number
that the role asks for counts. No threshold is chosen by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.lenses._attributes import known_tokens
from wheatstone.lenses._attribution import direct_effects
from wheatstone.lenses._role_ablations import RoleAblation, ablation_effects, role_ablations
from wheatstone.lenses._roles import MIXTURE, Role, roles_of
from wheatstone.lenses._section import Explanation, Material, Section, Table, several_prompts
from wheatstone.verification import mean_intervals

_DRAWS = 20
"""Shuffles of a null."""
_RANDOM = 30
"""Heads of the ablation null."""
_MOST = 24
"""Heads of a role whose ablation is measured: those of the strongest attention."""
_PERCENT = 99


class HeadRole(NamedTuple):
    """A head that has a role's attention: a row of head_roles.parquet.

    Args:
        role: such as `mover`.
        head: such as `a23.h4`.
        given: whether every number that the role asks for counts.
        attention: from the role's query to its place, 0 to 1.
        direct: direct effect in logits; of a relation head on the relation's answers.
        ablation: loss of the metric when the head alone is ablated at the role's query, in the metric's unit; of a
            relation head, loss of the answer's log-probability when it is knocked out, in nats.
        attention_null: what the attention's interval must lie beyond; likewise the other two, None where the role
            does not ask for the number.
        in_circuit: whether the circuit keeps an edge from it.
    """

    role: str
    head: str
    given: bool
    n: int
    attention: float
    attention_low: float
    attention_high: float
    attention_null: float
    direct: float
    direct_low: float
    direct_high: float
    direct_null: float | None
    ablation: float
    ablation_low: float
    ablation_high: float
    ablation_null: float | None
    in_circuit: bool


class RelationWriter(NamedTuple):
    """A head that writes the relation's answers without looking at its words: a row of relation_writers.parquet.

    Args:
        head: such as `a28.h8`.
        direct: direct effect on the relation's answers, in logits.
        attention: from the last token to the relation's words.
        first: from the last token to the first, where attention rests.
    """

    head: str
    n: int
    direct: float
    direct_low: float
    direct_high: float
    attention: float
    first: float


@dataclass(frozen=True, eq=False)
class _Number:
    """One of the three numbers for every head.

    Args:
        values: of every prompt.
        null: what it must lie beyond, signed.
        sign: the side on which it counts.
    """

    values: Float[Tensor, "head batch"]
    null: float
    sign: int
    seed: int

    def row(self, head: int) -> tuple[float, float, float]:
        """Mean and interval."""
        values = self.values[head].double().cpu()
        ((low, high),) = mean_intervals(values.numpy()[None], self.seed)
        assert low is not None
        assert high is not None
        return float(values.mean()), low, high

    def counts(self, head: int) -> bool:
        """Whether the interval lies beyond the null."""
        _, low, high = self.row(head)
        return low > self.null if self.sign > 0 else high < self.null


def head_roles(material: Material, report: Reporter, roles: Sequence[Role] | None = None) -> Explanation:
    """Measures roles over prompts.

    Args:
        material: two prompts or more.
        report: told how far it is.
        roles: to measure; all that the prompts' spans allow by default.

    Returns:
        `head_roles`, the heads with a role's attention, given the role or not;
        `role_ablations`, each role's heads ablated together beside as many random ones;
        `relation_writers`, heads that write the relation's answers and do not look at its words.

    When this misleads: a backup head takes over when one is ablated, so that a real name mover may cost nothing. Roles
    are those of the whole model on these prompts; on others a head may do something else. Where all heads of a small
    model have a role there are no random heads, and the ablation's interval need only exclude 0.
    """
    report("head roles", 0, None)
    names = _heads(material)
    looks = {role: _attention(material, role) for role in (roles_of(material) if roles is None else roles)}
    writes = {role: _direct(material, role) for role in looks}
    candidates = {role: [head for head in range(len(names)) if look.counts(head)] for role, look in looks.items()}
    attended = set[int]().union(*candidates.values())
    others = sorted(set(range(len(names))) - attended)
    drawn = np.random.default_rng(material.seed).choice(others, min(_RANDOM, len(others)), replace=False)
    random = sorted(drawn.tolist())
    nulls: dict[tuple[str, str], list[float]] = {}
    rows: list[HeadRole] = []
    for role, heads in candidates.items():
        chosen = sorted(sorted(heads, key=lambda h: -float(looks[role].values[h].mean()))[:_MOST])
        if chosen and role.ablated not in nulls:
            costs = ablation_effects(material, role, [names[head] for head in random], report)
            nulls[role.ablated] = [float(cost.mean()) for cost in costs]
        costs = ablation_effects(material, role, [names[head] for head in chosen], report)
        null = nulls.get(role.ablated, [])
        rows += _rows(material, role, dict(zip(chosen, costs, strict=True)), looks[role], writes[role], null)
    rows += list(_mixtures(rows))
    given = {role: [row.head for row in rows if row.given and row.role == role.name] for role in looks}
    ablations = role_ablations(material, {role: heads for role, heads in given.items() if heads}, names, report)
    tables = {
        "head_roles": Table.of(HeadRole, sorted(rows, key=_order)),
        "role_ablations": Table.of(RoleAblation, ablations),
    }
    summary = _summary(material, rows, looks, ablations, len(random))
    relation = next((role for role in looks if role.writes == "relation"), None)
    if relation is not None:
        heads = [head for head in range(len(names)) if head not in candidates[relation]]
        others = list(_relation_writers(material, heads, looks[relation], writes[relation]))
        tables["relation_writers"] = Table.of(RelationWriter, others)
        summary["relation_writers"] = [row._asdict() for row in others[:3]]
    return Explanation(tables, summary, _method(material, len(random)))


def _heads(material: Material) -> list[str]:
    graph = material.experiment.graph
    return [f"a{layer}.h{head}" for layer in range(graph.layers) for head in range(graph.heads)]


def _attention(material: Material, role: Role) -> _Number:
    encoded, every = material.experiment.encoded, range(material.n)
    query, place = encoded.spans[role.query][:, 1] - 1, encoded.spans[role.key]
    weights = material.patterns.movedim(1, 2).flatten(0, 1)[:, every, query]
    positions = torch.arange(weights.shape[-1], device=weights.device)
    inside = (positions >= place[:, :1]) & (positions < place[:, 1:])
    seen = positions <= query[:, None]
    for other in (positions > 0, positions < query[:, None]):
        if bool((inside & seen & other).any(-1).all()):
            inside, seen = inside & other, seen & other
    inside = inside & seen
    null = torch.stack([(weights * shuffled).sum(-1).mean(-1) for shuffled in _shuffles(material, inside, seen)])
    threshold = float(np.percentile(null.double().cpu().numpy(), _PERCENT))
    return _Number((weights * inside).sum(-1), threshold, 1, material.seed)


def _shuffles(
    material: Material, inside: Bool[Tensor, "batch key"], seen: Bool[Tensor, "batch key"]
) -> Iterator[Bool[Tensor, "batch key"]]:
    """As many random places in each prompt as the role's."""
    draw = torch.Generator().manual_seed(material.seed)
    for _ in range(_DRAWS):
        noise = torch.rand(inside.shape, generator=draw).to(inside.device).masked_fill(~seen, -1)
        yield noise.argsort(-1, descending=True).argsort(-1) < inside.sum(-1, keepdim=True)


def _direct(material: Material, role: Role) -> _Number:
    graph, sign = material.experiment.graph, role.direct or 1
    heads = torch.cat([material.last_nodes[graph.head_nodes(layer)] for layer in range(graph.layers)])
    if role.writes == "relation":
        values, null = _towards_relation(material, heads)
    else:
        effects = direct_effects(material)
        values = torch.cat([effects[graph.head_nodes(layer)] for layer in range(graph.layers)])
        shifts = np.random.default_rng(material.seed).permutation(material.n - 1)[:_DRAWS] + 1
        null = torch.stack(
            [(heads * material.answer_directions.roll(int(shift), 0)).sum(-1).mean(-1) for shift in shifts]
        )
    percent = _PERCENT if sign > 0 else 100 - _PERCENT
    return _Number(values, float(np.percentile(null.double().cpu().numpy(), percent)), sign, material.seed)


def _towards_relation(
    material: Material, heads: Float[Tensor, "head batch d_model"]
) -> tuple[Float[Tensor, "head batch"], Float[Tensor, "draw head"]]:
    """What heads write towards the other prompts' answers, less the mean of all tokens; and towards random words."""
    readout, answers = material.readout, material.experiment.encoded.answers[:, 0]
    objects = answers.unique()
    rows, mean = readout.model.unembedding.weight, readout.model.unembedding.weight.mean(0)

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
        for _ in range(_DRAWS)
    ]
    return values, torch.stack(null)


def _relation_writers(material: Material, heads: list[int], look: _Number, write: _Number) -> Iterator[RelationWriter]:
    """Of some heads those whose direct effect counts, the largest first."""
    names, last = _heads(material), material.experiment.encoded.last
    first = material.patterns[:, range(material.n), :, last, 0].mean(0).flatten().tolist()
    for head in sorted(filter(write.counts, heads), key=lambda head: -write.row(head)[0]):
        seen = float(look.values[head].mean())
        yield RelationWriter(names[head], material.n, *write.row(head), seen, first[head])


def _rows(
    material: Material, role: Role, costs: dict[int, Tensor], look: _Number, write: _Number, null: list[float]
) -> Iterator[HeadRole]:
    names = _heads(material)
    senders = {edge.sender.partition("@")[0] for edge in material.circuit.edges}
    threshold = float(np.percentile(null, _PERCENT if role.ablation > 0 else 100 - _PERCENT)) if null else 0.0
    for head, values in costs.items():
        cost = _Number(values[None], threshold, role.ablation, material.seed)
        yield HeadRole(
            role.name,
            names[head],
            cost.counts(0) and (not role.direct or write.counts(head)),
            material.n,
            *look.row(head),
            look.null,
            *write.row(head),
            write.null if role.direct else None,
            *cost.row(0),
            threshold,
            names[head] in senders,
        )


def _mixtures(rows: list[HeadRole]) -> Iterator[HeadRole]:
    """Heads that are movers and relation heads; their numbers are the mover's."""
    relation = {row.head for row in rows if row.role == "relation" and row.given}
    for row in rows:
        if row.role == "mover" and row.given and row.head in relation:
            yield row._replace(role=MIXTURE)


def _order(row: HeadRole) -> tuple[bool, str, float]:
    return not row.given, row.role, -abs(row.ablation)


def _summary(
    material: Material, rows: list[HeadRole], looks: dict[Role, _Number], ablations: list[RoleAblation], random: int
) -> dict[str, Any]:
    names = [*(role.name for role in looks), *({MIXTURE} if any(role.name == "mover" for role in looks) else ())]
    given = {
        name: [row._asdict() for row in sorted(rows, key=_order) if row.role == name and row.given] for name in names
    }
    return {
        "roles": given,
        "places": {role.name: [role.query, role.key] for role in looks},
        "unit": material.experiment.metric.unit,
        "metric": material.experiment.metric.name,
        "random_heads": random,
        "ablations": [row._asdict() for row in ablations],
    }


def _method(material: Material, random: int) -> str:
    return (
        f"Attention to the role's place (without the first token), direct effect, and exact ablation "
        f"({material.experiment.ablation}) of single heads; n = {material.n}, bootstrap 95% intervals over prompts. A "
        f"number counts when its interval lies beyond the {_PERCENT}th percentile of its null: all heads on random "
        f"places ({_DRAWS} draws); all heads against other prompts' answers, or random words; {random} random heads "
        f"without any role's attention."
    )


ROLES = Section("roles", "What are the heads for?", head_roles, (several_prompts,))
