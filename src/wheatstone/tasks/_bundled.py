"""Tasks by name: `ioi`, `facts/R`, `reversed/R`, `icl/R`, `two-hop/R+R`, and the generated ones.

R is a bundled relation, or the path of a relation's JSON file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from wheatstone._errors import RequestError
from wheatstone.records import Problem
from wheatstone.tasks._derived import PHRASES, QUESTION, SHOTS, demonstrated, reversed_facts, two_hops
from wheatstone.tasks._facts import Facts, template_of
from wheatstone.tasks._relation import Relation, bundled_relation, bundled_relations, relation_named
from wheatstone.tasks._source import About, Source
from wheatstone.tasks.generators import GENERATORS

_LEAST = 10
"""Facts that two relations must share for their chain to be listed."""


class Relations(NamedTuple):
    """What a task's name says about its relations.

    Args:
        room: `facts`, `reversed`, `icl` or `two-hop`.
        relations: bundled names or files, in the order of the hops.
        shots: demonstrations before each question.
    """

    room: str
    relations: tuple[str, ...]
    shots: int = 0


def relations_in(task: str) -> Relations | None:
    """The relations that a task asks about, by its name alone; None for tasks that are made from none.

    Args:
        task: as `load_task` takes it; a JSON file counts as a relation.
    """
    found = re.fullmatch(r"(facts|reversed|two-hop|icl(?:-(\d{1,9}))?)/(.+)", task)
    if found is None or Path(task).is_file():
        return Relations("facts", (task,)) if task.endswith(".json") else None
    room, shots, of = found.groups()
    if room == "two-hop":
        return Relations(room, tuple(of.split("+", 1)))
    if room in ("facts", "reversed"):
        return Relations(room, (of,))
    return Relations("icl", (of,), SHOTS if shots is None else int(shots))


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
    found = relations_in(name)
    if found is None or found.relations == (name,):
        return None
    relation = relation_named(found.relations[0])
    if found.room == "facts":
        return facts_of(relation, name, template, problems)
    if found.room == "reversed":
        templates = tuple(text.replace("{object}", "{subject}") for text in relation.reverse_templates)
        if not templates:
            raise RequestError(
                expected=f"a relation with reverse_templates: a file that has them, or {', '.join(_reversible())}",
                got=repr(relation.name),
                do="choose one of these, or add reverse_templates to the file",
            )
        return reversed_facts(relation, name, template_of(templates, template, name), problems)
    if found.room == "two-hop":
        outer = relation_named(found.relations[1] if len(found.relations) == 2 else "")
        return two_hops(relation, outer, name, template_of(outer.templates, template, name), problems)
    question = template_of((QUESTION, *relation.templates), template, name)
    return demonstrated(relation, name, found.shots, question, problems)


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
