"""Documents as windows of tokens: each document by itself, cut at a fixed number of tokens."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from wheatstone._view import Brief
from wheatstone.models import ResidualModel

_CHARACTERS = 1 << 14
"""Of a document, tokenised together: a book as a whole would take much memory."""
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


@dataclass(frozen=True)
class Window(Brief):
    """Some tokens of a document that are run together.

    Args:
        document: its number.
        start: how many of the document's tokens come before the window.
        ids: the tokens; with what the model's tokenizer puts before a text, where it does so.
    """

    document: int
    start: int
    ids: tuple[int, ...]


def windows_of(model: ResidualModel, text: str, document: int, width: int) -> Generator[Window]:
    """Cuts a document into windows. A single token at its end, which nothing could be said of, is left out.

    Args:
        model: whose tokenizer to use.
        text: the document.
        document: its number.
        width: most tokens of a window.
    """
    before, _ = model.reader.frame
    room, start, rest = width - len(before), 0, list[int]()
    for place, piece in enumerate(_pieces(text)):
        # As a prompt at first: some tokenizers put a space before a text.
        rest += model.encode(piece)[len(before) :] if place == 0 else model.continuation(piece)
        while len(rest) >= room:
            yield Window(document, start, (*before, *rest[:room]))
            start, rest = start + room, rest[room:]
    if len(before) + len(rest) > 1:
        yield Window(document, start, (*before, *rest))


def _pieces(text: str) -> Generator[str]:
    """A text in parts, cut before a blank where there is one, as tokens rarely go over one."""
    start = 0
    while start < len(text):
        end = start + _CHARACTERS
        if end < len(text):
            blank = max(text.rfind(blank, start + 1, end) for blank in " \n")
            end = blank if blank > start else end
        yield text[start:end]
        start = end


def batches_of(windows: Iterable[Window], tokens: int) -> Generator[list[Window]]:
    """Windows in order, in batches of at least `tokens` tokens; the last as it is."""
    batch, size = list[Window](), 0
    for window in windows:
        batch.append(window)
        size += len(window.ids)
        if size >= tokens:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def ranks(places: Int[np.ndarray, "*n"], seed: int, bits: int) -> Int[np.ndarray, "*n"]:
    """A number from 0 to 2^bits − 1 for each place, as if drawn, and the same whenever it is asked for.

    Source: Steele, Lea and Flood 2014, Fast Splittable Pseudorandom Number Generators: the mixing of SplitMix64.
    """
    gamma, first, second = (np.uint64(number) for number in _MIX)
    with np.errstate(over="ignore"):
        x = (places.astype(np.uint64) + np.uint64(seed)) * gamma + gamma
        x = (x ^ (x >> np.uint64(30))) * first
        x = (x ^ (x >> np.uint64(27))) * second
        return ((x ^ (x >> np.uint64(31))) >> np.uint64(64 - bits)).astype(np.int64)
