"""Head roles, measured over a task: three numbers behind every label, and a null for each of them.

* attention: from the role's query to its place, summed over the place, mean over prompts. The first token is no part of
  a place, for attention rests on it; nor is the query itself, where a place reaches so far. Null: all heads, on as many
  random tokens in each prompt.
* direct effect: what the head writes towards the answer itself, in logits. Null: all heads, against other prompts'
  answers (of relation heads: towards as many random words of other facts).
* ablation effect: what is lost when the head's output alone is ablated at the role's query, by exact runs. Null: heads
  drawn at random from those that have no role's attention.

A number counts when its 95% interval lies beyond the 99th percentile of its null. A head has a role when every number
that the role asks for counts. The roles of indirect object identification ask for an effect along one path instead of
direct and ablation effect: their heads are those of the section `ioi`, by the same function. No threshold is chosen by
hand.

Roles are chosen on one half of the prompts. The numbers that are printed, and the runs with all heads of a role ablated
together, are of the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wheatstone._intervals import measured_on
from wheatstone._progress import Reporter
from wheatstone.lenses import Explanation, Material, Section, enough_prompts
from wheatstone.mechanisms._ioi_section import PROMPTS, classes_in
from wheatstone.mechanisms._role_ablations import RoleAblation, ablation_effects, role_ablations
from wheatstone.mechanisms._role_numbers import PERCENT, SHUFFLES, RoleNumber, head_names, role_attention, role_writing
from wheatstone.mechanisms._roles import MIXTURE, Role, roles_of
from wheatstone.runs import Table

_RANDOM = 30
"""Heads of the ablation null."""
_MOST = 24
"""Heads of a role whose ablation is measured: those of the strongest attention."""


class HeadRole(NamedTuple):
    """A head that has a role's attention: a row of head_roles.parquet.

    Args:
        role: such as `mover`.
        head: such as `a23.h4`.
        given: whether every number that the role asks for counts on the prompts that roles are chosen on.
        n: prompts that the numbers below are of: others, where there are enough.
        attention: from the role's query to its place, 0 to 1.
        direct: direct effect in logits; of a relation head on the relation's answers.
        ablation: loss of the metric when the head alone is ablated at the role's query, in the metric's unit; of a
            relation head, loss of the answer's log-probability when it is knocked out, in nats.
        attention_null: what the attention's interval must lie beyond; likewise the other two, None where the role
            does not ask for the number.
        in_circuit: whether the circuit keeps an edge from it.
        confirmed: whether every number that the role asks for counts on the prompts that they are printed of, too.
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
    confirmed: bool


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


@dataclass(frozen=True)
class _Measured:
    """A role's numbers of all heads on some prompts; ablation effects of those that were ablated."""

    look: RoleNumber
    write: RoleNumber
    costs: dict[int, RoleNumber]

    def passes(self, role: Role, head: int) -> bool:
        """Whether every number that the role asks for counts."""
        asked = [self.look, *([self.write] if role.direct else [])]
        return all(number.counts(head) for number in asked) and (role.by_path or self.costs[head].counts(0))


def head_roles(material: Material, report: Reporter, roles: Sequence[Role] | None = None) -> Explanation:
    """Measures roles over prompts.

    Args:
        material: four prompts or more.
        report: progress callback.
        roles: to measure; all that the prompts' spans allow by default.

    Returns:
        `head_roles`, the heads with a role's attention, given the role or not;
        `role_ablations`, each role's heads ablated together, and as many random ones;
        `relation_writers`, heads that write the relation's answers and do not look at its words.

    When this misleads: a backup head takes over when one is ablated, so that a real name mover may cost nothing. Roles
    are those of the whole model on these prompts; on others a head may do something else. Where all heads of a small
    model have a role there are no random heads, and the ablation's interval need only exclude 0. With fewer than eight
    prompts the numbers are of the prompts that the roles were chosen on.
    """
    report("head roles", 0, None)
    names, wanted = head_names(material), roles_of(material) if roles is None else roles
    classes = classes_in(material, report) if any(role.by_path for role in wanted) else None
    chosen, measured = _halves(material, by_path=classes is not None)
    looks = {role: role_attention(chosen, role) for role in wanted}
    candidates = {role: [head for head in range(len(names)) if look.counts(head)] for role, look in looks.items()}
    attended = set[int]().union(*candidates.values())
    others = sorted(set(range(len(names))) - attended)
    drawn = np.random.default_rng(material.seed).choice(others, min(_RANDOM, len(others)), replace=False)
    random = sorted(drawn.tolist())
    for role, heads in candidates.items():
        by_attention = sorted(heads, key=lambda h: -float(looks[role].values[h].mean()))
        members = set(classes.heads(role.name)) if classes is not None else set[str]()
        candidates[role] = sorted({*by_attention[:_MOST], *(head for head in heads if names[head] in members)})
    again = _measure(measured, candidates, random, report)
    here = again if measured is chosen or classes else _measure(chosen, candidates, random, report)
    rows: list[HeadRole] = []
    for role, heads in candidates.items():
        for head in heads:
            given, confirmed = here[role].passes(role, head), again[role].passes(role, head)
            if classes is not None:
                given, held = names[head] in classes.heads(role.name), classes.held(role.name, names[head])
                confirmed = confirmed and held is not None and held * role.ablation > 0
            rows.append(_row(measured, role, head, again[role], given=given, confirmed=confirmed))
    rows += list(_mixtures(rows))
    given = {role: [row.head for row in rows if row.given and row.role == role.name] for role in looks}
    ablations = role_ablations(measured, {role: heads for role, heads in given.items() if heads}, names, report)
    tables = {
        "head_roles": Table.of(HeadRole, sorted(rows, key=_order)),
        "role_ablations": Table.of(RoleAblation, ablations),
    }
    summary = _summary(measured, rows, list(looks), ablations, len(random)) | {
        "chosen_on": chosen.n,
        "held_out": measured is not chosen,
    }
    relation = next((role for role in looks if role.writes == "relation"), None)
    if relation is not None:
        heads = [head for head in range(len(names)) if not looks[relation].counts(head)]
        writers = list(_relation_writers(measured, heads, here[relation].write, again[relation]))
        tables["relation_writers"] = Table.of(RelationWriter, writers)
        summary["relation_writers"] = [row._asdict() for row in writers[:3]]
    return Explanation(tables, summary, _method(material, len(random), by_path=classes is not None))


def _halves(material: Material, *, by_path: bool) -> tuple[Material, Material]:
    """The prompts that roles are chosen on, and those that they are measured on; the same where there are few."""
    chosen, measured = material.halves or (material, material)
    if by_path and chosen.n > PROMPTS:  # the prompts that the section ioi chooses on
        chosen = chosen.first(PROMPTS)
    return chosen, measured


def _measure(
    material: Material, candidates: dict[Role, list[int]], random: list[int], report: Reporter
) -> dict[Role, _Measured]:
    """All numbers of each role on some prompts."""
    names = head_names(material)
    nulls: dict[tuple[str, str], list[float]] = {}
    found: dict[Role, _Measured] = {}
    for role, heads in candidates.items():
        if heads and role.ablated not in nulls:
            costs = ablation_effects(material, role, [names[head] for head in random], report)
            nulls[role.ablated] = [float(cost.mean()) for cost in costs]
        null = nulls.get(role.ablated, [])
        bar = float(np.percentile(null, PERCENT if role.ablation > 0 else 100 - PERCENT)) if null else 0.0
        costs = ablation_effects(material, role, [names[head] for head in heads], report)
        numbers = {
            head: RoleNumber(values[None], bar, role.ablation) for head, values in zip(heads, costs, strict=True)
        }
        found[role] = _Measured(role_attention(material, role), role_writing(material, role), numbers)
    return found


def _row(material: Material, role: Role, head: int, numbers: _Measured, *, given: bool, confirmed: bool) -> HeadRole:
    name, cost = head_names(material)[head], numbers.costs[head]
    return HeadRole(
        role.name,
        name,
        given,
        material.n,
        *numbers.look.row(head),
        numbers.look.null,
        *numbers.write.row(head),
        numbers.write.null if role.direct else None,
        *cost.row(0),
        None if role.by_path else cost.null,
        name in {edge.sender.partition("@")[0] for edge in material.circuit.edges},
        confirmed,
    )


def _relation_writers(
    material: Material, heads: list[int], chosen: RoleNumber, numbers: _Measured
) -> Iterator[RelationWriter]:
    """Of some heads those whose direct effect counts on the prompts that chose them, the largest there first."""
    names, last = head_names(material), material.experiment.encoded.last
    first = material.patterns[:, range(material.n), :, last, 0].mean(0).flatten().tolist()
    for head in sorted(filter(chosen.counts, heads), key=lambda head: -chosen.row(head)[0]):
        seen = float(numbers.look.values[head].mean())
        yield RelationWriter(names[head], material.n, *numbers.write.row(head), seen, first[head])


def _mixtures(rows: list[HeadRole]) -> Iterator[HeadRole]:
    """Heads that are movers and relation heads; their numbers are the mover's."""
    relation = {row.head for row in rows if row.role == "relation" and row.given}
    for row in rows:
        if row.role == "mover" and row.given and row.head in relation:
            yield row._replace(role=MIXTURE)


def _order(row: HeadRole) -> tuple[bool, str, float]:
    return not row.given, row.role, -abs(row.ablation)


def _summary(
    material: Material, rows: list[HeadRole], roles: list[Role], ablations: list[RoleAblation], random: int
) -> dict[str, Any]:
    names = [*(role.name for role in roles), *({MIXTURE} if any(role.name == "mover" for role in roles) else ())]
    given = {
        name: [row._asdict() for row in sorted(rows, key=_order) if row.role == name and row.given] for name in names
    }
    return {
        "roles": given,
        "places": {role.name: [role.query, role.key] for role in roles},
        "n": material.n,
        "unit": material.experiment.metric.unit,
        "metric": material.experiment.metric.name,
        "random_heads": random,
        "ablations": [row._asdict() for row in ablations],
    }


def _method(material: Material, random: int, *, by_path: bool) -> str:
    halves = (
        f"roles {measured_on(material.n)}"
        if material.halves
        else f"roles chosen and measured on the same {material.n} prompts"
    )
    rule = (
        "A head has a role if it has a class in the section ioi (attention, and effect along the role's path); direct "
        "and ablation effect are shown beside and decide nothing."
        if by_path
        else f"A number counts when its interval lies beyond the {PERCENT}th percentile of its null: all heads on "
        f"random places ({SHUFFLES} draws); all heads against other prompts' answers, or random words; {random} random "
        "heads without any role's attention."
    )
    return (
        f"Attention to the role's place (without the first token), direct effect, and exact ablation "
        f"({material.experiment.ablation}) of single heads; {halves}, 95% intervals over prompts. {rule}"
    )


ROLES = Section("roles", "What are the heads for?", head_roles, (enough_prompts,))
