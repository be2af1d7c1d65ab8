"""What a task is made from: anything with subjects to split and prompt pairs about some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol, runtime_checkable

from wheatstone._view import Brief
from wheatstone.models import ResidualModel
from wheatstone.records import Problem
from wheatstone.tasks._pair import PromptPair


@dataclass(frozen=True)
class About(Brief):
    """What is said about a task.

    Args:
        name: as `load_task` takes it.
        kind: `factual`, `linguistic`, `commonsense`, `bias`, `generated` or `prompts`.
        description: one sentence.
        templates: forms of its prompts.
        provenance: where its material comes from, a line each.
        licence: of that material.
        metric: what it is usually measured by.
        size: facts or records; None where prompts are generated at will.
    """

    name: str
    kind: str
    description: str
    templates: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()
    licence: str = ""
    metric: str = "logit_diff"
    size: int | None = None


@dataclass(frozen=True)
class Draft:
    """A pair that is still to be checked.

    Args:
        pair: the record.
        where: file and line, or what made it.
    """

    pair: PromptPair
    where: str


@runtime_checkable
class Source(Protocol):
    """Makes prompt pairs about subjects."""

    @property
    def about(self) -> About:
        """What is said about it."""
        ...

    def subjects(self, model: ResidualModel) -> Sequence[str]:
        """What the splits divide: the subjects of facts, or the words that prompts are generated from."""
        ...

    def drafts(
        self, model: ResidualModel, subjects: frozenset[str], draw: Random, most: int, problems: list[Problem]
    ) -> list[Draft]:
        """Pairs about these subjects and no others, counterfactuals included.

        Args:
            model: whose tokens they must align in.
            subjects: of one split.
            draw: makes every choice.
            most: generated pairs to give; facts are given all.
            problems: what cannot be used is added here.
        """
        ...
