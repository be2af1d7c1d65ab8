"""Induction: random tokens come a second time, and what followed the first time follows again."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from wheatstone.models import ResidualModel
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About
from wheatstone.tasks.generators._generator import Generator

_WORDS = 400
_LENGTH = 20
"""Random tokens before they repeat."""


def _words(model: ResidualModel) -> Sequence[str]:
    """Tokens of the vocabulary that are a word after a space, drawn once and for all."""
    vocabulary = model.vocabulary
    found: list[str] = []
    for token in Random(0).sample(range(vocabulary), vocabulary):
        word = model.decode([token])[0].strip()
        if len(word) > 1 and word.isalnum() and not word.isdigit() and model.continuation(f" {word}") == [token]:
            found.append(word)
            if len(found) == _WORDS:
                break
    return found


def _make(model: ResidualModel, words: Sequence[str], draw: Random) -> PromptPair | None:
    length = min(_LENGTH, len(words) - 1)
    if length < 2:
        return None
    *shown, other = draw.sample(words, length + 1)
    at = draw.randrange(max(length // 2, 1), length)
    prompt, counterfactual = (
        "".join(f" {word}" for word in (*shown[:at], asked, *shown[at + 1 :], *shown[:at]))
        for asked in (shown[at], other)
    )
    starts = [sum(len(word) + 1 for word in shown[:place]) for place in range(length + 1)]
    return PromptPair(
        prompt=prompt,
        counterfactual=counterfactual,
        answers=(f" {shown[at]}",),
        distractors=(f" {other}",),
        spans={"previous": (starts[at - 1], starts[at]), "subject": (starts[at], starts[at + 1])},
    )


INDUCTION = Generator(
    About(
        name="induction",
        kind="generated",
        description=f"{_LENGTH} random tokens that repeat; in the counterfactual the asked one was another.",
        templates=(" A B C … A B",),
        provenance=("Tokens of the model's own vocabulary, after Olsson et al., arXiv 2209.11895.",),
        licence="Apache-2.0",
    ),
    words=_words,
    make=_make,
)
