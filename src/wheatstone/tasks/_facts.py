"""Facts as a source of prompt pairs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random

from wheatstone._errors import RequestError
from wheatstone._view import Brief
from wheatstone.models import ResidualModel
from wheatstone.records import Problem
from wheatstone.tasks._counterfactuals import Fact, with_counterfactuals
from wheatstone.tasks._source import About, Draft
from wheatstone.tasks._templates import with_subject


@dataclass(frozen=True)
class Facts(Brief):
    """Facts whose counterfactuals are other facts of the same split.

    Args:
        about: what is said about them.
        facts: subjects with prompts and answers.
    """

    about: About
    facts: tuple[Fact, ...]

    def subjects(self, model: ResidualModel) -> Sequence[str]:
        """Each fact's key."""
        return [fact.key or fact.subject for fact in self.facts]

    def drafts(
        self, model: ResidualModel, subjects: frozenset[str], draw: Random, most: int, problems: list[Problem]
    ) -> list[Draft]:
        """One pair a fact, where another fact fits."""
        mine = [fact for fact in self.facts if (fact.key or fact.subject) in subjects]
        return [Draft(pair, fact.where) for fact, pair in with_counterfactuals(model, mine, draw)[0]]


def template_of(templates: tuple[str, ...], template: int | str, name: str) -> str:
    """The template asked for.

    Raises:
        RequestError: there is none.
    """
    if isinstance(template, str):
        with suppress(ValueError):
            return with_subject(template)
    if isinstance(template, str) or not 0 <= template < len(templates):
        raise RequestError(
            expected=f"a template of {name}, 0 to {len(templates) - 1}, or a text with {{subject}} once",
            got=repr(template),
            do="show them with `wheatstone tasks show`",
        )
    return templates[template]
