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
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from wheatstone._progress import Reporter
from wheatstone.lenses._role_ablations import RoleAblation, ablation_effects, role_ablations
from wheatstone.lenses._role_numbers import PERCENT, SHUFFLES, RoleNumber, head_names, role_attention, role_writing
from wheatstone.lenses._roles import MIXTURE, Role, roles_of
from wheatstone.lenses._section import Explanation, Material, Section, Table, enough_prompts

_RANDOM = 30
"""Heads of the ablation null."""
_MOST = 24
"""Heads of a role whose ablation is measured: those of the strongest attention."""


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
    attention_low: float | None
    attention_high: float | None
    attention_null: float
    direct: float
    direct_low: float | None
    direct_high: float | None
    direct_null: float | None
    ablation: float
    ablation_low: float | None
    ablation_high: float | None
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
    direct_low: float | None
    direct_high: float | None
    attention: float
    first: float


def head_roles(material: Material, report: Reporter, roles: Sequence[Role] | None = None) -> Explanation:
    """Measures roles over prompts.

    Args:
        material: four prompts or more.
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
    names = head_names(material)
    looks = {role: role_attention(material, role) for role in (roles_of(material) if roles is None else roles)}
    writes = {role: role_writing(material, role) for role in looks}
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


def _relation_writers(
    material: Material, heads: list[int], look: RoleNumber, write: RoleNumber
) -> Iterator[RelationWriter]:
    """Of some heads those whose direct effect counts, the largest first."""
    names, last = head_names(material), material.experiment.encoded.last
    first = material.patterns[:, range(material.n), :, last, 0].mean(0).flatten().tolist()
    for head in sorted(filter(write.counts, heads), key=lambda head: -write.row(head)[0]):
        seen = float(look.values[head].mean())
        yield RelationWriter(names[head], material.n, *write.row(head), seen, first[head])


def _rows(
    material: Material, role: Role, costs: dict[int, Tensor], look: RoleNumber, write: RoleNumber, null: list[float]
) -> Iterator[HeadRole]:
    names = head_names(material)
    senders = {edge.sender.partition("@")[0] for edge in material.circuit.edges}
    threshold = float(np.percentile(null, PERCENT if role.ablation > 0 else 100 - PERCENT)) if null else 0.0
    for head, values in costs.items():
        cost = RoleNumber(values[None], threshold, role.ablation)
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
    material: Material, rows: list[HeadRole], looks: dict[Role, RoleNumber], ablations: list[RoleAblation], random: int
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
        f"({material.experiment.ablation}) of single heads; n = {material.n}, 95% intervals over prompts. A "
        f"number counts when its interval lies beyond the {PERCENT}th percentile of its null: all heads on random "
        f"places ({SHUFFLES} draws); all heads against other prompts' answers, or random words; {random} random heads "
        f"without any role's attention."
    )


ROLES = Section("roles", "What are the heads for?", head_roles, (enough_prompts,))
