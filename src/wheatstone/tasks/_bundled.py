"""The bundled tasks by name: `ioi`, `facts/R`, `reversed/R`, `icl/R`, `two-hop/R+R`, and the generated ones."""

from __future__ import annotations

import re

from wheatstone._errors import RequestError
from wheatstone.tasks._derived import PHRASES, SHOTS, demonstrated, reversed_facts, two_hops
from wheatstone.tasks._facts import Facts, template_of
from wheatstone.tasks._problems import Problem
from wheatstone.tasks._relation import Relation, bundled_relation, bundled_relations
from wheatstone.tasks._source import About, Source
from wheatstone.tasks.generators import GENERATORS

_LEAST = 10
"""Facts that two relations must share for their chain to be listed."""


def bundled_task(name: str, template: int | str, problems: list[Problem]) -> Source | None:
    """The source behind a bundled name, or None where the name has not the form of one.

    Raises:
        RequestError: it has the form, but there is no such relation, template or chain.
    """
    if name in GENERATORS:
        if template != 0:
            raise RequestError(
                expected=f"no template: {name} draws from all its forms", got=repr(template), do="leave it out"
            )
        return GENERATORS[name]
    found = re.fullmatch(r"(facts|reversed|two-hop|icl(?:-(\d+))?)/(.+)", name)
    if found is None:
        return None
    room, shots, of = found.groups()
    if room == "facts":
        return facts_of(bundled_relation(of), name, template, problems)
    if room == "reversed":
        relation = bundled_relation(of)
        templates = tuple(text.replace("{object}", "{subject}") for text in relation.reverse_templates)
        if not templates:
            raise RequestError(
                expected=f"a relation with reverse templates out of {', '.join(_reversible())}",
                got=repr(of),
                do="choose one of these",
            )
        return reversed_facts(relation, name, template_of(templates, template, name), problems)
    if room == "two-hop":
        first, _, second = of.partition("+")
        outer = bundled_relation(second)
        return two_hops(bundled_relation(first), outer, name, template_of(outer.templates, template, name), problems)
    return demonstrated(bundled_relation(of), name, SHOTS if shots is None else int(shots), problems)


def bundled_tasks() -> tuple[About, ...]:
    """All bundled tasks: what each is about and how many facts it has."""
    relations = {name: bundled_relation(name) for name in bundled_relations()}
    names = [f"facts/{name}" for name in relations]
    names += [f"reversed/{name}" for name, relation in relations.items() if relation.reverse_templates]
    names += [f"icl/{name}" for name in relations]
    names += [
        f"two-hop/{first}+{second}" for first in PHRASES if first in relations for second in _chained(first, relations)
    ]
    sources = [*GENERATORS.values(), *(bundled_task(name, 0, []) for name in names)]
    return tuple(source.about for source in sources if source is not None)


def _reversible() -> list[str]:
    return [name for name in bundled_relations() if bundled_relation(name).reverse_templates]


def _chained(first: str, relations: dict[str, Relation]) -> list[str]:
    answers = [fact.answers[0] for fact in relations[first].facts if fact.answers]
    return [
        name
        for name, relation in relations.items()
        if sum(answer in {fact.subject for fact in relation.facts} for answer in answers) >= _LEAST
    ]


def facts_of(relation: Relation, name: str, template: int | str, problems: list[Problem]) -> Facts:
    """A relation under one of its templates, or under one of the caller's."""
    facts = relation.asked(template_of(relation.templates, template, name), problems)
    about = About(
        name=name,
        kind=relation.kind,
        description=relation.description,
        templates=relation.templates,
        provenance=relation.provenance,
        licence=relation.licence,
        size=len(facts),
    )
    return Facts(about, tuple(facts))
