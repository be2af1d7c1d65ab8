"""What a page of an explanation is made of: a section's stored rows, and the claims and pictures made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wheatstone._errors import RunError
from wheatstone._parquet import read_parquet
from wheatstone.figures._load import Row, RunData
from wheatstone.runs import read_json


class Claim(NamedTuple):
    """A sentence of the page.

    Args:
        text: the sentence, built from numbers of the section.
        table: whose rows show it.
        lead: whether it also belongs in the paragraph at the top of the page.
        brief: what that paragraph says instead, without intervals; the sentence itself by default.
    """

    text: str
    table: str
    lead: bool = False
    brief: str = ""


class Exhibit(NamedTuple):
    """A picture of the page.

    Args:
        name: of its files, without ending.
        chart: an Altair chart.
        caption: how to read it.
    """

    name: str
    chart: Any
    caption: str


@dataclass(frozen=True, eq=False)
class Told:
    """One section of a run's explanation, as it was stored.

    Args:
        run: the run.
        folder: that holds the section.
        about: its JSON: `summary`, `method`, `n`, `prompts`, `seed`, `tables`; or `missing`.
    """

    run: RunData
    folder: Path
    about: Mapping[str, Any]

    @property
    def summary(self) -> Mapping[str, Any]:
        """The numbers that words are built of."""
        return self.about["summary"]

    @property
    def n(self) -> int:
        """Prompts that were read."""
        return int(self.about["n"])

    @cached_property
    def tables(self) -> dict[str, list[Row]]:
        """All rows, by table."""
        return {name: self._rows(name) for name in self.about["tables"] if name.isidentifier()}  # no path

    def _rows(self, name: str) -> list[Row]:
        path = self.folder / f"{name}.parquet"
        try:
            return read_parquet(path).to_pylist()
        except (OSError, ValueError) as error:
            raise RunError(
                expected=f"a run folder with a readable {path.name}",
                got=f"{path}, which cannot be read ({error})",
                do="make the explanation again with `wheatstone explain`",
            ) from error


@dataclass(frozen=True)
class Part:
    """How the page shows one section.

    Args:
        title: its heading.
        claims: what it says.
        exhibits: its pictures.
    """

    title: str
    claims: Callable[[Told], list[Claim]]
    exhibits: Callable[[Told], list[Exhibit]]


def told(run: RunData, folder: Path) -> dict[str, Told]:
    """Every section that an explanation's folder holds, by name.

    Raises:
        RunError: there is none, or one cannot be read.
    """
    found: dict[str, Told] = {}
    for path in sorted(folder.glob("*.json")):
        found[path.stem] = Told(run, folder, read_json(folder, path.name))
    if not found:
        raise RunError(
            expected="a run with an explanation", got=f"{run.path}, which has none", do="run `wheatstone explain` on it"
        )
    return found
