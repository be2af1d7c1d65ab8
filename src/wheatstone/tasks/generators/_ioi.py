"""Indirect object identification: of two people named, one acts again, and the other is the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About
from wheatstone.tasks.generators._generator import Generator, listed, placed, single_tokens

_NAMES = listed("names")
_PLACES = ("store", "park", "school", "office", "station", "library", "garden", "market", "beach", "restaurant")
_THINGS = ("drink", "book", "ring", "letter", "key", "basket", "camera", "ticket", "map", "flower")
_FORMS = (
    "When {0} and {1} went to the {place}, {S} gave a {thing} to",
    "While {0} and {1} were working at the {place}, {S} handed a {thing} to",
    "Then, {0} and {1} went to the {place}. {S} gave a {thing} to",
    "Then, {0} and {1} had a long talk. Afterwards, {S} passed a {thing} to",
    "After {0} and {1} met at the {place}, {S} decided to give a {thing} to",
    "Yesterday {0} and {1} found a {thing} near the {place}, and {S} brought it to",
)


def _names(model: ResidualModel) -> Sequence[str]:
    return single_tokens(model, _NAMES)


def _pair(
    other_subject: Callable[[str, str], str],
) -> Callable[[ResidualModel, Sequence[str], Random], PromptPair | None]:
    """Pairs in which the second subject is exchanged for `other_subject(indirect object, third name)`."""

    def make(model: ResidualModel, names: Sequence[str], draw: Random) -> PromptPair | None:
        if len(names) < 3:
            return None
        indirect, subject, third = draw.sample(names, 3)
        first = draw.random() < 0.5  # ABBA, else BABA
        named = (indirect, subject) if first else (subject, indirect)
        form, place, thing = draw.choice(_FORMS), draw.choice(_PLACES), draw.choice(_THINGS)
        prompt, counterfactual = (
            form.format(*named, S=acting, place=place, thing=thing)
            for acting in (subject, other_subject(indirect, third))
        )
        after = prompt.split(f"{subject} ", 1)[1].split()[0]
        parts = [("IO", indirect), ("S1", subject), ("S1+1", after), ("S2", subject)]
        if not first:
            parts = [("S1", subject), ("S1+1", after), ("IO", indirect), ("S2", subject)]
        return PromptPair(
            prompt=prompt,
            counterfactual=counterfactual,
            answers=(f" {indirect}",),
            distractors=(f" {subject}",),
            spans=placed(prompt, *parts),
        )

    return make


def _about(name: str, counterfactual: str) -> About:
    return About(
        name=name,
        kind="generated",
        description=f"Indirect object identification, ABBA and BABA; in the counterfactual {counterfactual}",
        templates=_FORMS,
        provenance=("Sentences and lists by this project, after Wang et al., arXiv 2211.00593.",),
        licence="Apache-2.0",
    )


IOI = Generator(
    _about("ioi", "a third name acts (ABC), so that neither name is to be preferred."),
    _names,
    _pair(lambda indirect, third: third),
)
IOI_SWAPPED = Generator(
    _about("ioi-swapped", "the other one acts, so that the answer is the other name."),
    _names,
    _pair(lambda indirect, third: indirect),
)
