"""How values look at a prompt and in a notebook: short; rows as a table that other tools read."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from wheatstone._errors import RequestError
from wheatstone._text import shown

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 10
"""Rows of a table that are shown."""
_WIDTH = 80
"""Letters of a line."""
_SCREEN = 24 * _WIDTH
"""Letters of a screen."""
_CELL = 40
"""Letters of a cell, at most."""


class Brief:
    """A dataclass whose `repr` fits a screen: it gives the shape of a tensor and the length of a collection."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in cls.__dict__:  # else `dataclass` writes one of its own into the class
            cls.__repr__ = Brief.__repr__

    def __repr__(self) -> str:
        parts = [f"{field.name}={_brief(getattr(self, field.name))}" for field in fields(cast(Any, self)) if field.repr]
        whole = f"{type(self).__name__}({', '.join(parts)})"
        return whole if len(whole) <= _SCREEN else whole[: _SCREEN - 2] + "…)"


class Tabular(ABC):
    """A result made of rows.

    At a prompt and in a notebook its first rows are shown. Anything that reads the Arrow stream interface takes it
    without a copy: `pyarrow.table(x)`, `polars.DataFrame(x)`, a DuckDB query.
    """

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """All rows as an Arrow table."""

    @abstractmethod
    def _title(self) -> str:
        """What the rows are, in one line."""

    def to_pandas(self) -> Any:
        """All rows as a pandas DataFrame.

        Raises:
            RequestError: pandas is not installed.
        """
        _require("pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """All rows as a polars DataFrame, without a copy.

        Raises:
            RequestError: polars is not installed.
        """
        return _require("polars").from_arrow(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        names, rows, total = self._cells()
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)) for row in (names, *rows)]
        more = [f"… and {total - len(rows):,} more rows"] if total > len(rows) else []
        return "\n".join([shown(self._title()), *(("  " + line.rstrip())[:_WIDTH] for line in (*lines, *more))])

    def _repr_html_(self) -> str:
        names, rows, total = self._cells()

        def row(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        more = f"<p>… and {total - len(rows):,} more rows</p>" if total > len(rows) else ""
        body = "".join(row(cells, "td") for cells in rows)
        title = html.escape(shown(self._title()))
        return f"<p>{title}</p><table><thead>{row(names, 'th')}</thead><tbody>{body}</tbody></table>{more}"

    def _cells(self) -> tuple[list[str], list[list[str]], int]:
        """The names of the columns, the first rows as text, and how many there are."""
        table = self.to_arrow()
        rows = table.slice(0, _ROWS).to_pylist()
        return table.column_names, [[_cell(value) for value in row.values()] for row in rows], table.num_rows


def _require(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise RequestError(
            expected=f"the package {package}",
            got="an environment without it",
            do=f"`pip install {package}`, or use to_arrow()",
        ) from error


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else shown(str(value))
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def _brief(value: object) -> str:
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{str(dtype).removeprefix('torch.')}{list(shape)}"
    if isinstance(value, Mapping):
        return f"{{{len(value)} entries}}"
    if isinstance(value, tuple | list) and len(value) > 8:
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value).partition("\n")[0]
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
