"""Chemical elements, by two packages that keep periodic tables of their own."""

from __future__ import annotations

from pathlib import Path

import periodictable
from mendeleev.fetch import fetch_table
from relation import Relation, Source, agreed, without_leaks

MENDELEEV = Source("mendeleev", "1.3.0", "MIT", "pypi: mendeleev")
PERIODICTABLE = Source("periodictable", "2.1.0", "Public domain / BSD", "pypi: periodictable")


def relations(sources: Path) -> list[Relation]:
    """The symbols of the elements."""
    elements = fetch_table("elements")
    symbols = agreed(
        {row.name.casefold(): [row.symbol] for row in elements.itertuples() if row.atomic_number <= 103},
        {item.name: [item.symbol] for item in periodictable.elements if item.number},
    )
    return [
        Relation(
            name="element_symbol",
            kind="factual",
            description="The symbol of a chemical element.",
            templates=(
                "The chemical symbol of {subject} is",
                "The element {subject} is written with the chemical symbol",
                "Chemists write {subject} with the symbol",
            ),
            reverse_templates=(
                "The chemical symbol {object} stands for the element",
                "In the periodic table, {object} is the symbol of",
            ),
            facts=without_leaks(symbols),
            sources=(MENDELEEV, PERIODICTABLE),
            checked="The same symbol in both; elements 1 to 103.",
        )
    ]
