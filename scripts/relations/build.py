"""Builds the bundled relations: python scripts/relations/build.py SOURCES [NAME ...]."""

from __future__ import annotations

import sys
from pathlib import Path

import cities
import commonsense
import companies
import countries
import elements
import landmarks
import people
import stereotypes
import words

FOLDER = Path(__file__).resolve().parents[2] / "src/wheatstone/tasks/data/relations"
MODULES = (countries, cities, people, landmarks, companies, elements, words, commonsense, stereotypes)


def main() -> None:
    """Writes every relation, or the named ones, and prints how many facts each has."""
    sources, wanted = Path(sys.argv[1]), set(sys.argv[2:])
    FOLDER.mkdir(parents=True, exist_ok=True)
    total = 0
    for module in MODULES:
        for relation in module.relations(sources):
            if not wanted or relation.name in wanted:
                relation.write(FOLDER)
                total += len(relation.facts)
                print(f"{relation.name:28} {len(relation.facts):4}")
    print(f"{'facts':28} {total:4}")


if __name__ == "__main__":
    main()
