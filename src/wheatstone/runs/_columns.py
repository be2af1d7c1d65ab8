"""A table of a run, read within bounds and compared with the columns that its verb registered."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheatstone._errors import RunError, reason
from wheatstone.runs._contents import Columns

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]
"""One row of a table: column -> value."""


def read_table(
    path: Path, known: Columns | None = None, *, columns: Sequence[str] | None = None, filters: Any = None
) -> pa.Table:
    """A table.

    Args:
        path: of the file.
        known: the columns that it must have.
        columns: to read; all by default.
        filters: of rows, see `pyarrow.parquet.read_table`.

    Raises:
        RunError: it is missing or damaged, or a column is missing or of another type.
    """
    from wheatstone._parquet import read_parquet

    with _readable(path):
        table = read_parquet(path, columns=columns, filters=filters)
        wanted = known if known and table.num_columns else {}  # earlier versions wrote a table without rows so
        for column, type_ in wanted.items():
            name = column.removesuffix("?")
            if name not in table.column_names:
                if column == name and (columns is None or name in columns):
                    raise ValueError(f"no column {name}")
            elif not _is(table.schema.field(name).type, type_):
                raise ValueError(f"column {name} holds {table.schema.field(name).type}")
        return table


def count_rows(path: Path) -> int:
    """The rows of a table, from its metadata alone; errors as `read_table`."""
    import pyarrow.parquet as pq

    from wheatstone._parquet import readable

    with _readable(path), readable():
        return pq.read_metadata(path).num_rows


def first_rows(path: Path, most: int) -> list[Row]:
    """The first rows of a table, without reading the others; errors as `read_table`."""
    from wheatstone._parquet import open_parquet, readable

    with _readable(path), open_parquet(path) as file, readable():
        return next(file.iter_batches(batch_size=most)).to_pylist() if file.metadata.num_rows else []


def _is(type_: pa.DataType, wanted: Any) -> bool:
    """Whether a column of Arrow has a type of the register; one of nulls alone has any."""
    from pyarrow import types

    if types.is_dictionary(type_):
        type_ = type_.value_type
    if types.is_null(type_):
        return True
    if isinstance(wanted, list):
        lists = types.is_list(type_) or types.is_fixed_size_list(type_)
        return lists and _is(type_.value_type, wanted[0])
    number = types.is_integer(type_) or types.is_floating(type_)
    return {str: types.is_string(type_), bool: types.is_boolean(type_), int: number, float: number}[wanted]


@contextmanager
def _readable(path: Path) -> Generator[None, None, None]:
    """Says of a table that cannot be read which it is."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise RunError(
            expected=f"a run with a readable {path.name}", got=f"{path}: {reason(error)}", do="make the run again"
        ) from error
