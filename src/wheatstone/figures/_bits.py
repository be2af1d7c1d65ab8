"""Pages of a text with every token coloured by what it costs the model, or by what a circuit saves on it."""

from __future__ import annotations

from wheatstone.compression import Bits, CircuitBits
from wheatstone.figures._report import template

_DARKEST = 16.0
"""Bits from which on a token is as dark as it gets; 16 is one in 65,536."""
_DARKEST_WORTH = 8.0
"""Bits saved or lost from which on a token is as dark as it gets."""
_LIGHT_TEXT_FROM = 0.8
"""Of the darkest; white letters are the easier to read from there on, dark ones before."""
_MOST = 20_000


def bits_page(found: Bits, model: str, name: str) -> str:
    """The page: totals, general compressors beside, and the first 20,000 tokens coloured.

    Args:
        found: what `wheatstone.compression.bits` found.
        model: what the model is called.
        name: of the text.
    """
    tokens = [
        {"text": token, "bits": cost, "share": min(1.0, cost / _DARKEST), "dark": cost > _LIGHT_TEXT_FROM * _DARKEST}
        for token, cost in zip(found.tokens[:_MOST], found.surprise[:_MOST], strict=True)
    ]
    return template("bits.html.jinja").render(found=found, model=model, name=name, tokens=tokens, darkest=_DARKEST)


def circuit_bits_page(found: CircuitBits, edges: int, model: str, name: str) -> str:
    """The page of what a circuit saves on each token: blue where it helps, orange where it is in the way.

    Args:
        found: what `wheatstone.compression.circuit_bits` found.
        edges: of the circuit.
        model: what the model is called.
        name: of the text.
    """
    columns = zip(found.tokens, found.intact, found.ablated, found.alone, found.worth, strict=True)
    tokens = [
        {
            "text": text,
            "intact": intact,
            "ablated": ablated,
            "alone": alone,
            "worth": worth,
            "share": min(1.0, abs(worth) / _DARKEST_WORTH),
            "dark": worth > _LIGHT_TEXT_FROM * _DARKEST_WORTH,
        }
        for text, intact, ablated, alone, worth in columns
    ]
    return template("circuit_bits.html.jinja").render(
        found=found, edges=edges, model=model, name=name, tokens=tokens, darkest=_DARKEST_WORTH
    )
