"""Pages of a text with every token coloured by what it costs the model, or by what a circuit saves on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheatstone.compression import Bits, CircuitBits
from wheatstone.figures._report import template

_DARKEST = 16.0
"""Bits from which on a token is as dark as it gets; 16 is one in 65,536."""
_DARKEST_WORTH = 8.0
"""Bits saved or lost from which on a token is as dark as it gets."""
_LIGHT_TEXT_FROM = 0.8
"""Of the darkest; white letters are the easier to read from there on, dark ones before."""
_MOST = 20_000
_SURPRISES, _AROUND = 10, 12
"""Tokens listed as the most surprising, and how many before each are shown."""


def bits_page(found: Mapping[str, Bits], name: str) -> str:
    """The page: totals, general compressors beside, and of each model the first 20,000 tokens coloured.

    Args:
        found: what `wheatstone.compression.bits` found, by what the model is called; of one text.
        name: of the text.
    """
    models = [
        {"name": model, "cost": cost, "tokens": _coloured(cost), "surprises": _surprises(cost)}
        for model, cost in sorted(found.items(), key=lambda row: row[1].total)
    ]
    text = next(iter(found.values()))
    return template("bits.html.jinja").render(models=models, text=text, name=name, darkest=_DARKEST)


def _coloured(cost: Bits) -> list[dict[str, Any]]:
    """The first tokens, as the page shows them."""
    return [
        {"text": token, "bits": bits, "share": min(1.0, bits / _DARKEST), "dark": bits > _LIGHT_TEXT_FROM * _DARKEST}
        for token, bits in zip(cost.tokens[:_MOST], cost.surprise[:_MOST], strict=True)
    ]


def _surprises(cost: Bits) -> list[dict[str, Any]]:
    """The tokens that cost most, each with the text before and after it."""
    order = sorted(range(len(cost.tokens)), key=lambda at: -cost.surprise[at])[:_SURPRISES]
    return [
        {
            "place": at,
            "before": "".join(cost.tokens[max(0, at - _AROUND) : at]),
            "text": cost.tokens[at],
            "after": "".join(cost.tokens[at + 1 : at + 1 + _AROUND // 3]),
            "bits": cost.surprise[at],
            "linked": at < _MOST,
        }
        for at in order
    ]


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
