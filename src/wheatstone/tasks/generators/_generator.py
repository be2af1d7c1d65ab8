"""A generated task: words that the splits divide, and a way to draw one pair from them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from random import Random

from wheatstone._errors import PromptError
from wheatstone.models import ResidualModel
from wheatstone.records import Problem
from wheatstone.tasks._encode import encode
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._source import About, Draft

_TRIES = 20
"""Draws for each pair wanted, before it is taken that these words give no more."""


@dataclass(frozen=True)
class Generator:
    """Draws prompt pairs at random.

    Args:
        about: what is said about the task.
        words: what the splits divide, given a model; a word of the test split is in no training prompt.
        make: one pair from some of the words, or None where the draw is no good.
    """

    about: About
    words: Callable[[ResidualModel], Sequence[str]]
    make: Callable[[ResidualModel, Sequence[str], Random], PromptPair | None]

    def subjects(self, model: ResidualModel) -> Sequence[str]:
        """The words."""
        return self.words(model)

    def drafts(
        self, model: ResidualModel, subjects: frozenset[str], draw: Random, most: int, problems: list[Problem]
    ) -> list[Draft]:
        """Up to `most` different pairs whose tokens line up; draws that do not are drawn again."""
        words = sorted(subjects)
        found: dict[PromptPair, None] = {}
        for _ in range(_TRIES * most):
            if len(found) == most or not words:
                break
            pair = self.make(model, words, draw)
            if pair is not None and pair not in found and _refusal(model, pair) is None:
                found[pair] = None
        return [Draft(pair, f"{self.about.name} {pair.prompt!r}") for pair in found]

    def why_none(self, model: ResidualModel) -> str:
        """Why a model's tokenizer gives no pair, for an error message."""
        words, draw = sorted(self.words(model)), Random(0)
        drawn = [pair for _ in range(_TRIES) if words and (pair := self.make(model, words, draw))]
        refusals = [refusal for pair in drawn if (refusal := _refusal(model, pair))]
        if refusals:
            return f"none with {refusals[0].expected} in {len(drawn)} drawn, such as {drawn[0].prompt!r}"
        of_one_token = (
            "1 word that is one token" if len(words) == 1 else f"{len(words):,} words that are one token each"
        )
        return f"{of_one_token} in its tokenizer, too few to draw prompts from"


def _refusal(model: ResidualModel, pair: PromptPair) -> PromptError | None:
    """Why a pair cannot be used; None where it can."""
    try:
        encode(model, [pair])
    except PromptError as error:
        return error
    return None


def listed(name: str) -> tuple[str, ...]:
    """One of the lists of words in `data/words.json`."""
    text = (files("wheatstone.tasks") / "data" / "words.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)[name])


def single_tokens(model: ResidualModel, words: Sequence[str]) -> list[str]:
    """Words that are one token after a space."""
    return [word for word in words if len(model.continuation(f" {word}")) == 1]


def placed(text: str, *parts: tuple[str, str]) -> dict[str, tuple[int, int]]:
    """Spans of parts of a text, each looked for after the one before.

    Args:
        text: the prompt.
        parts: name and words, in their order there.
    """
    spans: dict[str, tuple[int, int]] = {}
    end = 0
    for name, words in parts:
        start = text.index(words, end)
        end = start + len(words)
        spans[name] = (start, end)
    return spans
