"""A section of an explanation, as `wheatstone explain` stored it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheatstone._view import Brief
from wheatstone.runs._columns import Row, read_table
from wheatstone.runs._folder import file_inside


@dataclass(frozen=True, eq=False)
class Section(Brief):
    """A section of an explanation.

    Args:
        folder: that holds it.
        about: its document.
    """

    folder: Path
    about: Mapping[str, Any]

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of its tables; a name that would be a path is none."""
        return tuple(name for name in self.about.get("tables") or {} if name.isidentifier())

    def rows(self, table: str) -> list[Row]:
        """The rows of a table.

        Raises:
            RunError: it is missing or damaged.
        """
        return read_table(file_inside(self.folder, f"{table}.parquet")).to_pylist()
