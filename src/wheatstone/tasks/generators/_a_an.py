"""The indefinite article: " an" before a vowel, " a" before a consonant, of a noun that is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About
from wheatstone.tasks.generators._generator import Generator, listed, placed

_FRUIT = listed("fruit")
_THINGS = listed("things")
_TREE = "I climbed up the {0} tree and picked {1}. I climbed up the {2} tree and picked"
_FORMS = (
    "I was told to draw the {0}, so I drew {1}. I was told to draw the {2}, so I drew",
    "I was asked to buy the {0}, so I bought {1}. I was asked to buy the {2}, so I bought",
    "She wanted to paint the {0}, so she painted {1}. She wanted to paint the {2}, so she painted",
)


def article(noun: str) -> str:
    """Of the nouns listed here, none of which sounds otherwise than it is spelled."""
    return "an" if noun[0] in "aeiou" else "a"


def _make(model: ResidualModel, nouns: Sequence[str], draw: Random) -> PromptPair | None:
    tree = draw.random() < 0.25
    form = _TREE if tree else draw.choice(_FORMS)
    fit = [noun for noun in nouns if not tree or noun in _FRUIT]
    vowels, consonants = ([noun for noun in fit if article(noun) == which] for which in ("an", "a"))
    if not vowels or not consonants or len(fit) < 3:
        return None
    asked, other = draw.sample((draw.choice(vowels), draw.choice(consonants)), 2)
    before = draw.choice([noun for noun in fit if noun not in (asked, other)])
    prompt, counterfactual = (form.format(before, f"{article(before)} {before}", noun) for noun in (asked, other))
    start = prompt.rindex(f"the {asked}") + 4
    return PromptPair(
        prompt=prompt,
        counterfactual=counterfactual,
        answers=(f" {article(asked)}",),
        distractors=(f" {article(other)}",),
        spans=placed(prompt, ("demonstration", prompt[: prompt.index(". ") + 1]))
        | {"subject": (start, start + len(asked))},
    )


A_AN = Generator(
    About(
        name="a-an",
        kind="generated",
        description='" an" or " a" by the sound of a noun still to come; the counterfactual names another noun.',
        templates=(_TREE, *_FORMS),
        provenance=("Sentences and lists by this project; the first after Miller and Neo, We Found An Neuron (2023).",),
        licence="Apache-2.0",
    ),
    words=lambda model: (*_FRUIT, *_THINGS),
    make=_make,
)
