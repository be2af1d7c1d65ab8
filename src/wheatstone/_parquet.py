"""Parquet from outside: whatever is wrong with a file comes out as one kind of error, and a small file stays small."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MOST_CELLS = 1 << 29
"""Rows times columns, at most: a run-length-encoded column of a billion rows takes a few bytes."""


def read_parquet(path: Path, *, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """A table; see `pyarrow.parquet.read_table` for the arguments.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is not Parquet, is damaged, lacks a column, or has too many cells.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "not a regular file")
    with readable():
        with pq.ParquetFile(path) as file:
            check_size(file)
        none: Any = None  # a folder's name is no column; pyarrow's types know only names of ways
        table = pq.read_table(path, columns=columns, filters=filters, partitioning=none)
        table.validate(full=True)
    if lacking := sorted(set(columns or ()) - set(table.column_names)):
        raise ValueError(f"no column {', '.join(lacking)}")
    return table


def check_size(file: pq.ParquetFile) -> None:
    """Refuses a file of too many cells.

    Raises:
        ValueError: it has more than `MOST_CELLS`.
    """
    cells = file.metadata.num_rows * max(1, file.metadata.num_columns)
    if not 0 <= cells <= MOST_CELLS:
        raise ValueError(f"{cells:,} cells, more than {MOST_CELLS:,}")


@contextmanager
def readable() -> Generator[None, None, None]:
    """Says of whatever pyarrow raises that the file is damaged.

    Raises:
        ValueError: instead of pyarrow's errors.
    """
    try:
        yield
    except OSError:
        raise
    except (pa.ArrowException, KeyError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}".replace("\n", " ")) from error
