"""What a part of the page is, and how its tables are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

CAPITAL, INDUCTION = "facts/country_capital", "induction"
"""The relation and the copying that several parts are about."""


class Part(NamedTuple):
    """A part of the page.

    Args:
        lines: in Markdown.
        pictures: Altair charts, by what follows `mechanisms-` in their files' names.
    """

    lines: list[str]
    pictures: Mapping[str, Any] = MappingProxyType({})


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(map(str, r))} |" for r in rows), ""]


def spread(row: Any, name: str, form: str = ".2f") -> str:
    """A mean with its interval."""
    low, high = (getattr(row, f"{name}_{end}") for end in ("low", "high"))
    return f"{getattr(row, name):{form}}" + ("" if low is None else f" [{low:{form}}, {high:{form}}]")
