"""Reads the city tables of the R package maps, which are kept in R's own serialisation."""

from __future__ import annotations

import bz2
import gzip
import lzma
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas
import rdata
from relation import plain

# The gazetteer's names of 2006 that differ from today's.
_OLD_NAMES = {
    "Czech Republic": "Czechia",
    "East Timor": "Timor-Leste",
    "Korea North": "North Korea",
    "Korea South": "South Korea",
    "Macedonia": "North Macedonia",
    "Swaziland": "Eswatini",
    "UK": "United Kingdom",
    "USA": "United States",
}


@dataclass(frozen=True)
class City:
    """A city with its population and whether it is a capital."""

    name: str
    population: int
    capital: bool


def table(sources: Path, name: str) -> pandas.DataFrame:
    """One table of the package, such as `world.cities` or `us.cities`."""
    data = sources / "debian/usr/lib/R/site-library/maps/data"
    packed = (data / "Rdata.rdx").read_bytes()
    index = _read(zlib.decompress(packed) if packed[:1] == b"x" else gzip.decompress(packed))
    start, length = (int(number) for number in index["variables"][name])
    block = (data / "Rdata.rdb").read_bytes()[start : start + length]
    # Four bytes of length, then zlib at once, or a letter that names another packing.
    body = {b"2": bz2.decompress, b"Z": lzma.decompress}.get(block[4:5])
    return _read(body(block[5:]) if body else zlib.decompress(block[4:]))


def city_table(sources: Path, names: Mapping[str, str]) -> dict[str, list[City]]:
    """Cities of each country, by the country's name in `names`."""
    spelled = {plain(name): name for name in names.values()}
    cities: dict[str, list[City]] = {}
    for row in table(sources, "world.cities").itertuples():
        country = spelled.get(plain(_OLD_NAMES.get(row[2], row[2])))
        if country is not None:
            cities.setdefault(country, []).append(City(row[1], int(row[3]), bool(row[6])))
    return cities


def _read(data: bytes) -> pandas.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # environments of polygons in the same file, which we do not read
        return rdata.conversion.convert(rdata.parser.parse_data(data))
