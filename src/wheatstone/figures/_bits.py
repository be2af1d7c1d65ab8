"""A page of a text with every token coloured by what it costs the model."""

from __future__ import annotations

from wheatstone.compression import Bits
from wheatstone.figures._report import template

_DARKEST = 16.0
"""Bits from which on a token is as dark as it gets; 16 is one in 65,536."""
_MOST = 20_000


def bits_page(found: Bits, model: str, name: str) -> str:
    """The page: totals, general compressors beside, and the first 20,000 tokens coloured.

    Args:
        found: what `wheatstone.compression.bits` found.
        model: what the model is called.
        name: of the text.
    """
    tokens = [
        {"text": token, "bits": cost, "share": min(1.0, cost / _DARKEST), "dark": cost > 0.6 * _DARKEST}
        for token, cost in zip(found.tokens[:_MOST], found.surprise[:_MOST], strict=True)
    ]
    return template("bits.html.jinja").render(found=found, model=model, name=name, tokens=tokens, darkest=_DARKEST)
