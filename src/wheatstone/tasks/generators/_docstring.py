"""Docstrings: the next argument to document is the next one of the definition."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About
from wheatstone.tasks.generators._generator import Generator, listed, placed, single_tokens

_WORDS = listed("arguments")
_FORM = """\
def {0}(self, {1}, {2}, {3}, {4}):
    \"\"\"{5} {6}

    :param {1}: {7} {8}
    :param {2}: {9} {10}
    :param"""


def _make(model: ResidualModel, words: Sequence[str], draw: Random) -> PromptPair | None:
    if len(words) < 11:
        return None
    drawn = draw.sample(words, 11)
    asked, other = drawn[3], drawn[4]
    prompt = _FORM.format(*drawn)
    swapped = prompt.replace(f"{asked}, {other})", f"{other}, {asked})", 1)
    parts = (("C_def", asked), ("D_def", other), ("A_doc", drawn[1]), ("B_doc", drawn[2]))
    definition = prompt.index(f"{asked}, {other})")
    spans = placed(prompt[definition:], *parts[:2])
    document = prompt.index(":param")
    spans = {name: (start + definition, end + definition) for name, (start, end) in spans.items()}
    documented = placed(prompt[document:], *((name, f" {word}:") for name, word in parts[2:]))
    spans |= {name: (start + document + 1, end + document - 1) for name, (start, end) in documented.items()}
    return PromptPair(
        prompt=prompt,
        counterfactual=swapped,
        answers=(f" {asked}",),
        distractors=(f" {other}",),
        spans=spans,
    )


DOCSTRING = Generator(
    About(
        name="docstring",
        kind="generated",
        description="The third argument is documented after the second; in the counterfactual the definition's last "
        "two arguments are exchanged.",
        templates=(_FORM,),
        provenance=(
            "Form and words by this project, after Heimersheim and Janiak, A circuit for Python docstrings (2023).",
        ),
        licence="Apache-2.0",
    ),
    words=lambda model: single_tokens(model, _WORDS),
    make=_make,
)
