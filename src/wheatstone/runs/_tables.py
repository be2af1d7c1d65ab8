"""Rows of named tuples as Parquet, columns typed as the tuple says: a table without rows keeps its columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pyarrow as pa

from wheatstone._parquet import write_parquet
from wheatstone._path import StrPath
from wheatstone._text import count
from wheatstone._view import Tabular

_TYPES = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}


@dataclass(frozen=True, repr=False)
class Table(Tabular):
    """Rows of one kind.

    Args:
        kind: the NamedTuple that they are; columns and their types are its.
        rows: of that kind.
    """

    kind: type[Any]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, kind: type[Any], rows: Any) -> Table:
        """Any iterable of rows."""
        return cls(kind, tuple(rows))

    def to_arrow(self, **renamed: str) -> pa.Table:
        """The rows as an Arrow table.

        Args:
            renamed: columns by fields whose name differs.
        """
        hints = get_type_hints(self.kind)
        schema = pa.schema([(renamed.get(name, name), _arrow(of)) for name, of in hints.items()])
        columns = list(zip(*self.rows, strict=True)) or [()] * len(schema)
        return pa.table(columns, schema=schema)

    def _title(self) -> str:
        return f"{count(len(self.rows), 'row')} of {self.kind.__name__}"


def write_table(table: Table, path: StrPath, **renamed: str) -> None:
    """Writes one table.

    Args:
        table: of rows whose fields are int, float, str, bool, a list of one of these, or one of these or None.
        path: of the Parquet file.
        renamed: columns by fields whose name differs.
    """
    write_parquet(table.to_arrow(**renamed), Path(path))


def _arrow(of: Any) -> pa.DataType:
    if of in _TYPES:
        return _TYPES[of]
    first = next(part for part in get_args(of) if part is not NoneType)
    return _arrow(first) if NoneType in get_args(of) else pa.list_(_arrow(first))
