"""Companies: where they have their headquarters, and what they make."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from relation import Relation, Source, plain, without_leaks
from wordfreq import zipf_frequency

FINANCE = Source("FinanceDatabase", "268be5d", "MIT", "github: JerBouma/FinanceDatabase, database/equities")
CONSTITUENTS = Source(
    "S&P 500 companies, after Wikipedia", "56509dd", "PDDL-1.0", "github: datasets/s-and-p-500-companies"
)
TREX = Source("T-REx (ElSahar et al. 2018), in ParaRel (Wikidata)", "cb55546", "MIT", "github: yanaiela/pararel")
HAND = Source("chosen by hand", "2026", "Apache-2.0", "scripts/relations/companies.py")
LISTED = {"Google": "Alphabet", "Facebook": "Meta Platforms"}  # the name under which its shares are traded
PRODUCTS = {
    "Apple": [
        "iPhone",
        "iPad",
        "iPod",
        "iTunes",
        "Mac",
        "iCloud",
        "Safari",
        "macOS",
        "iOS",
        "Final Cut Pro",
        "AirPods",
    ],
    "Microsoft": ["Windows", "Xbox", "Outlook", "Skype", "OneDrive", "Bing", "Azure", "Excel", "SharePoint"],
    "Google": ["Android", "Gmail", "Chrome", "YouTube", "Chromecast"],
    "Amazon": ["Kindle", "Alexa", "Echo", "Prime Video", "Fire TV", "AWS"],
    "Facebook": ["Instagram", "WhatsApp", "Messenger", "Oculus"],
    "Sony": ["PlayStation", "PlayStation 2", "PlayStation 3", "Walkman", "PlayStation Portable", "Xperia", "Bravia"],
    "Nintendo": ["Game Boy", "Wii", "GameCube", "Super Mario", "Wii U"],
    "Adobe": ["Photoshop", "Illustrator", "Acrobat", "InDesign", "Creative Cloud"],
    "IBM": ["Watson", "OS/2", "AIX", "DB2"],
    "Intel": ["Pentium", "Xeon", "Itanium", "Core i7", "Celeron"],
    "Ford": ["Mustang", "Fiesta", "Model T"],
    "Toyota": ["Corolla", "Camry", "Prius", "Lexus", "Land Cruiser", "Hilux"],
    "Honda": ["Civic", "Accord", "Acura"],
    "Volkswagen": ["Golf", "Beetle", "Passat"],
    "Nissan": ["Infiniti", "Leaf"],
    "Chevrolet": ["Corvette", "Camaro", "Impala", "Malibu"],
    "Mattel": ["Barbie", "Hot Wheels"],
    "Hasbro": ["Monopoly", "Transformers", "My Little Pony", "Nerf", "Play-Doh"],
    "Pfizer": ["Viagra", "Lipitor", "Lyrica"],
    "Sega": ["Dreamcast", "Mega Drive", "Sonic the Hedgehog"],
    "Blizzard": ["World of Warcraft", "Diablo", "StarCraft", "Overwatch", "Hearthstone"],
    "PepsiCo": ["Lay's", "Doritos", "Gatorade", "Mountain Dew", "Cheetos"],
    "Unilever": ["Dove", "Axe"],
    "Nestle": ["Nescafe"],
}
ALSO = {"Facebook": ["Meta"], "Blizzard": ["Activision"]}
# Names that are ordinary words or lost a part; a city that is another one's namesake; headquarters that are moving.
UNCLEAR = {
    "American International", "Southern", "Mosaic", "Booking", "Travelers", "Cooper", "APA", "Old Dominion", "Lilly",
    "Cardinal Health", "Ross Stores", "Merck", "PTC", "Target", "Visa", "Trade Desk", "Global Payments", "CME",
    "Hewlett Packard Enterprise", "HP", "Southwest Airlines", "Charles Schwab", "Chipotle Mexican Grill",
}  # fmt: skip
FORMS = (
    "Inc|Incorporated|Corp|Corporation|Company|Co|Companies|Group|Ltd|Limited|plc|PLC|The|AG|SE|S\\.A|N\\.V|Holdings"
)


def relations(sources: Path) -> list[Relation]:
    """All relations about companies."""
    return [
        Relation(
            name="company_headquarters",
            kind="factual",
            description="The city in which a company has its headquarters.",
            templates=(
                "The headquarters of {subject} are in the city of",
                "The company {subject} is based in",
                "The head office of {subject} is located in",
            ),
            facts=without_leaks(_headquarters(sources)),
            sources=(CONSTITUENTS, FINANCE),
            checked="The same city in both; companies whose name is made of common enough words.",
        ),
        Relation(
            name="product_company",
            kind="factual",
            description="The company that makes a product.",
            templates=(
                "The name {subject} is a trademark of",
                "The product called {subject} is made by",
                "The company behind {subject} is",
            ),
            facts=without_leaks(_products(sources)),
            sources=(HAND, TREX, FINANCE),
            checked="By hand, and confirmed: made or developed by that company in the second source, or named in the"
            " company's own profile in the third.",
        ),
    ]


def _short(name: str) -> str:
    """A company's name without its legal form."""
    while name != (shorter := re.sub(rf"[, ]+({FORMS})\.?$", "", name.strip())):
        name = shorter
    return name


def _rows(sources: Path, exchange: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(10**7)
    with open(sources / f"github/JerBouma/FinanceDatabase/database/equities/{exchange}.csv", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def _headquarters(sources: Path) -> dict[str, list[str]]:
    # Mexico's exchange lists American companies under their own ticker symbols.
    cities = {row["symbol"].removesuffix(".MX"): row["city"] for row in _rows(sources, "MEX")}
    facts: dict[str, list[str]] = {}
    path = sources / "github/datasets/s-and-p-500-companies/data/constituents.csv"
    with open(path, encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            name = _short(re.sub(r" \(.*\)", "", row["Security"]))
            city = row["Headquarters Location"].split(",")[0].replace("New York City", "New York")
            name = name.removesuffix(" &").replace("’", "'")
            common = name not in UNCLEAR and min(zipf_frequency(word, "en") for word in plain(name).split()) > 3.0
            if common and plain(cities.get(row["Symbol"], "")) == plain(city):
                facts[name] = [city]
    return facts


def _products(sources: Path) -> dict[str, list[str]]:
    made: set[tuple[str, str]] = set()
    for relation in ("P176", "P178"):
        pairs = (sources / f"github/yanaiela/pararel/data/trex_lms_vocab/{relation}.jsonl").read_text("utf-8")
        made.update(
            (plain(pair["sub_label"]), plain(pair["obj_label"])) for pair in map(json.loads, pairs.splitlines())
        )
    rows = [row for exchange in ("MUN", "MEX") for row in _rows(sources, exchange)]
    profiles = [(plain(row["name"]), plain(row["summary"])) for row in rows]
    return {
        product: [company, *ALSO.get(company, [])]
        for company, products in PRODUCTS.items()
        for product in products
        if (plain(product), plain(company)) in made
        or any(plain(LISTED.get(company, company)) in name and f" {plain(product)} " in text for name, text in profiles)
    }
