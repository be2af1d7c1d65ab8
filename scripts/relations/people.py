"""Famous people: what they did and where they are from, by WordNet's glosses and the Pantheon dataset."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

from countries import WITH_ARTICLE, WORDNET, WORLD_COUNTRIES
from relation import Relation, Source, plain, without_leaks
from wordnet import WordNet

PANTHEON = Source("Pantheon 1.0 (Yu et al. 2016)", "9888164", "CC-BY-SA-4.0", "github: Ram-N/lifespans")
ENOUGH = 110
# As exact a word as Pantheon's is right too, where the gloss has it.
ALSO = {
    "writer": ("novelist", "poet", "playwright", "dramatist", "author", "essayist"),
    "painter": ("artist", "sculptor"),
    "mathematician": ("physicist", "astronomer", "philosopher"),
    "physicist": ("mathematician", "astronomer", "chemist"),
    "philosopher": ("mathematician", "physicist", "economist", "writer"),
    "composer": ("pianist", "musician", "conductor"),
    "astronomer": ("mathematician", "physicist", "physician"),
    "chemist": ("physicist", "biologist"),
}


def relations(sources: Path) -> list[Relation]:
    """All relations whose subject is a person."""
    wordnet = WordNet(sources)
    with open(sources / "github/Ram-N/lifespans/data/pantheon.tsv", encoding="utf-8") as lines:
        rows = sorted(csv.DictReader(lines, delimiter="\t"), key=lambda row: -float(row["HPI"]))
    people = [
        (row, meanings[0].gloss)
        for row in rows
        # Two names at least, and one meaning only: Plato is a crater too.
        if " " in row["name"] and len(meanings := wordnet.meanings(row["name"], "noun")) == 1
    ]
    occupation: dict[str, list[str]] = {}
    for row, gloss in people:
        first = row["occupation"].casefold()
        if re.search(rf"\b{first}\b", gloss) and len(occupation) < ENOUGH:
            also = [word for word in ALSO.get(first, ()) if re.search(rf"\b{word}\b", gloss)]
            occupation[row["name"]] = [first, *also]
    demonyms = _demonyms(sources)
    country: dict[str, list[str]] = {}
    nationality: dict[str, list[str]] = {}
    for row, gloss in people:
        home = next((name for name in demonyms if plain(name) == plain(row["countryName"])), None)
        # The gloss begins with the nationality, and mentions no birth elsewhere.
        if home is None or "born in" in gloss or re.search("ancient|Roman|Alexandrian", gloss):
            continue
        if gloss.removeprefix("prolific ").startswith(demonyms[home]) and len(nationality) < ENOUGH:
            nationality[row["name"]] = [demonyms[home][0] if home != "United States" else "American"]
            if home not in WITH_ARTICLE:
                country[row["name"]] = [home]
    return [
        Relation(
            name="person_occupation",
            kind="factual",
            description="What a famous person is known as.",
            templates=(
                "By profession, {subject} was a famous",
                "{subject} is remembered today as a great",
                "The occupation of {subject} was",
            ),
            facts=without_leaks(occupation),
            sources=(PANTHEON, WORDNET),
            checked="The occupation of the first is in WordNet's gloss; kindred ones in the gloss are right too.",
        ),
        Relation(
            name="person_country",
            kind="factual",
            description="The country, within today's borders, that a famous person came from.",
            templates=(
                "The native country of {subject} was",
                "{subject} was born in the country of",
                "{subject} came from",
            ),
            facts=without_leaks(country),
            sources=(PANTHEON, WORDNET, WORLD_COUNTRIES),
            checked="Born in what is that country today, and WordNet's gloss begins with its demonym and tells of no"
            " birth elsewhere. Countries that are written with an article are left out.",
        ),
        Relation(
            name="person_nationality",
            kind="factual",
            description="The nationality of a famous person, as an adjective.",
            templates=(
                "The great {subject} was a famous",
                "The nationality of {subject} was",
                "By nationality, {subject} was",
            ),
            facts=without_leaks(nationality),
            sources=(PANTHEON, WORDNET, WORLD_COUNTRIES),
            checked="Born in what is that country today, and WordNet's gloss begins with its demonym and tells of no"
            " birth elsewhere.",
        ),
    ]


def _demonyms(sources: Path) -> dict[str, tuple[str, ...]]:
    """How a gloss can begin for someone of a country, the adjective first."""
    countries = json.loads((sources / "npm/node_modules/world-countries/countries.json").read_text("utf-8"))
    named = {c["name"]["common"]: (c["demonyms"]["eng"]["m"],) for c in countries if c["unMember"]}
    return {**named, "United States": ("United States", "American")}
