"""Tasks derived from relations: with demonstrations before, the other way round, and over two hops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType

from wheatstone._errors import RequestError
from wheatstone.models import ResidualModel
from wheatstone.records import Problem
from wheatstone.tasks._counterfactuals import Fact, with_counterfactuals
from wheatstone.tasks._facts import Facts
from wheatstone.tasks._relation import Relation
from wheatstone.tasks._source import About, Draft
from wheatstone.tasks._split import plain

SHOTS = 5
"""Demonstrations of `icl/RELATION`; `icl-2/RELATION` has two."""
QUESTION = "Q: {subject}\nA:"
"""The form of `icl/RELATION` with template 0. It does not say what is asked: only the demonstrations do."""
PHRASES: Mapping[str, str] = MappingProxyType(
    {
        "city_country": "the country where the city of {subject} is located",
        "city_us_state": "the state where the city of {subject} is located",
        "landmark_country": "the country where {subject} is located",
        "person_country": "the country where {subject} was born",
        "company_country": "the country where {subject} is based",
    }
)
"""How the first relation of two hops is said inside the second's template; a file says it as its `phrase`."""


@dataclass(frozen=True)
class Demonstrated:
    """Facts asked for after demonstrations of the same relation, which the counterfactual shows too.

    Args:
        about: what is said about them.
        facts: the facts, under the question's form.
        shots: demonstrations before each; other facts of its split.
    """

    about: About
    facts: tuple[Fact, ...]
    shots: int

    def subjects(self, model: ResidualModel) -> Sequence[str]:
        """Each fact's subject."""
        return [fact.subject for fact in self.facts]

    def drafts(
        self, model: ResidualModel, subjects: frozenset[str], draw: Random, most: int, problems: list[Problem]
    ) -> list[Draft]:
        """One pair a fact, its demonstrations drawn among the facts it is not compared with."""
        mine = [fact for fact in self.facts if fact.subject in subjects]
        shown: list[Fact] = []
        for fact in mine:
            others = [other for other in mine if other is not fact]
            # Two are left over to be compared with: a subject already shown cannot be the counterfactual.
            examples = draw.sample(others, min(self.shots, max(len(others) - 2, 0)))
            context = "".join(f"{example.question}{example.continuations[0]}\n\n" for example in examples)
            shown.append(replace(fact, context=context))
        return [Draft(pair, fact.where) for fact, pair in with_counterfactuals(model, shown, draw)[0]]


def demonstrated(relation: Relation, name: str, shots: int, question: str, problems: list[Problem]) -> Demonstrated:
    """A relation as questions after `shots` answered ones, all in the form of `question`."""
    facts = relation.asked(question, problems)
    forms = (QUESTION, *relation.templates)
    about = _about(relation, name, f"{relation.description} After {shots} demonstrations.", forms, len(facts))
    return Demonstrated(about, tuple(facts), shots)


def reversed_facts(relation: Relation, name: str, template: str, problems: list[Problem]) -> Facts:
    """A relation the other way round: from the answer to the subjects that have it.

    A fact is split by its original subject, as in the relation itself, where the answer belongs to one subject only.

    Args:
        relation: the relation.
        name: of the task.
        template: with `{subject}`, for what was the answer.
        problems: what cannot be used is added here.
    """
    grouped: dict[str, list[Fact]] = {}
    for fact in relation.asked("{subject}", problems):
        grouped.setdefault(fact.answers[0].strip(), []).append(fact)
    facts = tuple(
        Fact(
            subject=answer,
            template=template,
            answers=tuple(fact.subject for fact in those),
            where=those[0].where,
            key=those[0].subject,
        )
        for answer, those in grouped.items()
    )
    templates = tuple(text.replace("{object}", "{subject}") for text in relation.reverse_templates)
    return Facts(
        _about(relation, name, f"{relation.description} Asked the other way round.", templates, len(facts)), facts
    )


def two_hops(first: Relation, second: Relation, name: str, template: str, problems: list[Problem]) -> Facts:
    """Two relations in one prompt: the second's template asked about a phrase for the first.

    A fact whose answer is in its own prompt is left out: it could be copied.

    Args:
        first: one that says its `phrase`, or one of `PHRASES`.
        second: whose subjects are the first's answers.
        name: of the task.
        template: of the second relation.
        problems: what cannot be used is added here.

    Raises:
        RequestError: the first has no phrase, or the two do not meet.
    """
    phrase = first.phrase or PHRASES.get(first.name, "")
    if phrase.count("{subject}") != 1:
        raise RequestError(
            expected=f"a first relation with a phrase: a file that has one with {{subject}}, or {', '.join(PHRASES)}",
            got=repr(first.name),
            do="choose one of these, or add a phrase to the file",
        )
    answers = {plain(fact.subject): fact.answers for fact in second.asked("{subject}", problems)}
    whole = template.replace("{subject}", phrase)
    facts = tuple(
        replace(fact, template=whole, answers=answers[middle])
        for fact in first.asked("{subject}", problems)
        if (middle := plain(fact.answers[0])) in answers
        and not any(answer.strip() in fact.subject for answer in answers[middle])
    )
    if not facts:
        raise RequestError(
            expected=f"a second relation about what {first.name} answers",
            got=f"{second.name}, which knows none of it",
            do="list the pairs that meet: `wheatstone tasks`",
        )
    texts = tuple(text.replace("{subject}", phrase) for text in second.templates)
    about = _about(first, name, f"{second.description} Asked by way of {first.name}.", texts, len(facts))
    return Facts(replace(about, provenance=(*first.provenance, *second.provenance)), facts)


def _about(relation: Relation, name: str, description: str, templates: tuple[str, ...], size: int) -> About:
    return About(name, relation.kind, description, templates, relation.provenance, relation.licence, size=size)
