"""Named parts of prompts, from character offsets to token positions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from wheatstone._errors import PromptError
from wheatstone.models import ResidualModel, Tokens
from wheatstone.tasks._pair import PromptPair

NOWHERE = (-1, -1)
"""Positions of a span that a prompt lacks."""


def token_spans(
    model: ResidualModel, pairs: Sequence[PromptPair], clean: Tokens, counterfactual: Tokens
) -> dict[str, Int[Tensor, "batch 2"]]:
    """Token positions [first, end) of every span of every prompt.

    A token belongs to a span if they share a character, so a span that begins inside a token includes that token.
    `last` is each prompt's last token; `subject`, where a prompt does not name it, reaches from the first to the
    last token in which prompt and counterfactual differ.

    Args:
        model: whose tokenizer is used.
        pairs: the records.
        clean: tokens of their prompts.
        counterfactual: tokens of their counterfactuals.

    Raises:
        PromptError: the tokenizer cannot say where its tokens are in the text, or a span holds no token.
    """
    lengths = clean.lengths.tolist()
    differing = (clean.ids != counterfactual.ids).tolist()
    rows: list[dict[str, tuple[int, int]]] = []
    for pair, length, differs in zip(pairs, lengths, differing, strict=True):
        places = [position for position, here in enumerate(differs[:length]) if here]
        row = {"last": (length - 1, length), "subject": (places[0], places[-1] + 1)}
        rows.append(row | (_of_pair(model, pair) if pair.spans else {}))
    names = sorted({name for row in rows for name in row})
    device = clean.ids.device
    return {name: torch.tensor([row.get(name, NOWHERE) for row in rows], device=device) for name in names}


def _of_pair(model: ResidualModel, pair: PromptPair) -> dict[str, tuple[int, int]]:
    offsets = _offsets(model, pair.prompt)
    return {name: _within(offsets, pair.prompt, at, name) for name, at in pair.spans.items()}


def token_span(model: ResidualModel, prompt: str, characters: tuple[int, int], name: str) -> tuple[int, int]:
    """Token positions [first, end) of a part of a prompt.

    Args:
        model: whose tokenizer is used.
        prompt: the prompt.
        characters: where the part begins and ends.
        name: what to call it in an error.

    Raises:
        PromptError: the tokenizer cannot say where its tokens are in the text, or the part holds no token.
    """
    return _within(_offsets(model, prompt), prompt, characters, name)


def _offsets(model: ResidualModel, prompt: str) -> list[tuple[int, int]]:
    offsets = model.reader.offsets(prompt)
    if offsets is None:
        raise PromptError(
            expected="a tokenizer that knows where in the text its tokens are",
            got=f"{type(model.tokenizer).__name__}, which does not",
            do="use a fast tokenizer (tokenizer.json), or leave the spans out",
        )
    return offsets


def _within(offsets: list[tuple[int, int]], prompt: str, characters: tuple[int, int], name: str) -> tuple[int, int]:
    start, end = characters
    inside = [place for place, (first, stop) in enumerate(offsets) if first < min(end, stop) and start < stop]
    if not inside:
        raise PromptError(
            expected=f"a span {name!r} that holds a token",
            got=f"characters {start} to {end} of {prompt!r}: {prompt[start:end]!r}",
            do="correct its offsets",
        )
    return inside[0], inside[-1] + 1
