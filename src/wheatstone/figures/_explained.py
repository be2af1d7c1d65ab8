"""What a page of an explanation is made of: a section's stored rows, and the claims and pictures made from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from wheatstone._errors import RunError
from wheatstone.figures._load import RunData
from wheatstone.runs import Row, Section, Summary, summary_of


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
class StoredSection:
    """One section of a run's explanation, as it was stored.

    Args:
        run: the run.
        section: the section.
    """

    run: RunData
    section: Section

    @property
    def about(self) -> Mapping[str, Any]:
        """Its JSON: `summary`, `method`, `n`, `prompts`, `seed`, `tables`; or `missing`."""
        return self.section.about

    @property
    def summary(self) -> Mapping[str, Any]:
        """The numbers that words are built of."""
        return self.about["summary"]

    def read(self, kind: type[Summary]) -> Summary:
        """Those numbers as the value that the section computed; see `wheatstone.runs.summary_of`."""
        return summary_of(kind, self.summary)

    @property
    def n(self) -> int:
        """Prompts that were read."""
        return int(self.about["n"])

    @cached_property
    def tables(self) -> dict[str, list[Row]]:
        """All rows, by table."""
        return {name: self.section.rows(name) for name in self.section.tables}


@dataclass(frozen=True)
class Part:
    """How the page shows one section.

    Args:
        title: its heading.
        claims: what it says.
        exhibits: its pictures.
    """

    title: str
    claims: Callable[[StoredSection], list[Claim]]
    exhibits: Callable[[StoredSection], list[Exhibit]]


def stored_sections(run: RunData, folder: Path) -> dict[str, StoredSection]:
    """Every section that an explanation's folder holds, by name.

    Raises:
        RunError: there is none, or one cannot be read.
    """
    if sections := run.run.sections(folder):
        return {name: StoredSection(run, section) for name, section in sections.items()}
    raise RunError(
        expected="a run with an explanation", got=f"{run.path}, which has none", do="run `wheatstone explain` on it"
    )
