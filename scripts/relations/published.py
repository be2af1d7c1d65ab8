"""Samples of the published relation data of Hernandez et al. (2024), which we only compare our values with."""

from __future__ import annotations

import json
from pathlib import Path

from relation import Source

LRE = Source(
    "Linearity of Relation Decoding, relation data (Hernandez et al. 2024)",
    "1b9ec3c",
    "MIT",
    "github: evandez/relations",
)


def samples(sources: Path, name: str) -> list[tuple[str, str]]:
    """Pairs of subject and object, such as of `linguistic/adj_antonym`."""
    data = json.loads((sources / f"github/evandez/relations/data/{name}.json").read_text("utf-8"))
    return [(sample["subject"], sample["object"]) for sample in data["samples"]]
