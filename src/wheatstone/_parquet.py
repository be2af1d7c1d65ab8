"""Parquet files: what is wrong with one from outside comes out as one kind of error, and a small file stays small."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wheatstone._path import regular

_BUFFER = 1 << 20
MOST_CELLS = 1 << 29
"""Values of a table, at most."""
_SMALL, _DENSEST = 1 << 20, 16
"""A table of more values than the first has at most the second in each byte of its file: a run-length-encoded column of
a billion rows takes a few bytes, and what Wheatstone and others measure does not repeat itself so."""
_LONGEST, _UNPACKED = 1 << 26, 64
"""Likewise of texts: more bytes than the first are at most the second for each byte of the file."""


def write_parquet(table: pa.Table, path: Path, **options: Any) -> None:
    """Writes a table; see `pyarrow.parquet.write_table` for the options.

    Arrow writes a file in hundreds of small pieces; through a buffer these are one write, or a few.
    """
    with _buffered(path) as file:
        pq.write_table(table, file, **options)


@contextmanager
def parquet_writer(path: Path, schema: pa.Schema) -> Generator[pq.ParquetWriter]:
    """A writer of several row groups, through a buffer as `write_parquet`."""
    with _buffered(path) as file, pq.ParquetWriter(file, schema) as writer:
        yield writer


def _buffered(path: Path) -> pa.NativeFile:
    # Arrow would compress a file whose name ends in .gz or .zst as a whole.
    return pa.output_stream(path, compression=None, buffer_size=_BUFFER)


def open_parquet(path: Path) -> pq.ParquetFile:
    """A file whose table is of a size that goes with the file's; repeated texts are kept once.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is not Parquet, is damaged, or claims too much.
    """
    with readable():
        with pq.ParquetFile(regular(path)) as file:
            texts = _check_size(file, path.stat().st_size)
        return pq.ParquetFile(path, read_dictionary=texts)


def check_texts(path: Path, columns: Sequence[pa.Array | pa.ChunkedArray]) -> None:
    """Refuses columns whose texts, each written out, are too long for their file.

    Raises:
        ValueError: they are.
    """
    most = max(_LONGEST, _UNPACKED * path.stat().st_size)
    if (found := sum(map(_text_bytes, columns))) > most:
        raise ValueError(f"texts of {found:,} bytes, more than {most:,} for a file of this size")


def read_parquet(path: Path, *, columns: Sequence[str] | None = None, filters: Any = None) -> pa.Table:
    """A table; see `pyarrow.parquet.read_table` for the arguments.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is not Parquet, is damaged, lacks a column, or has too many cells.
    """
    with readable():
        with pq.ParquetFile(regular(path)) as file:
            texts = _check_size(file, path.stat().st_size)
        none: Any = None  # a folder's name is no column; pyarrow's types know only names of ways
        table = pq.read_table(path, columns=columns, filters=filters, partitioning=none, read_dictionary=texts)
        check_texts(path, table.columns)
        for at, field in enumerate(table.schema):
            if pa.types.is_dictionary(field.type):
                table = table.set_column(at, field.name, table.column(at).cast(field.type.value_type))
        table.validate(full=True)
    if lacking := sorted(set(columns or ()) - set(table.column_names)):
        raise ValueError(f"no column {', '.join(lacking)}")
    return table


def _check_size(file: pq.ParquetFile, size: int) -> list[str]:
    """Refuses a file that claims more than one of its size holds; gives its columns of texts.

    Raises:
        ValueError: it claims more.
    """
    about = file.metadata
    groups = [about.row_group(group) for group in range(about.num_row_groups)]
    values = [group.column(column).num_values for group in groups for column in range(about.num_columns)]
    cells = max(about.num_rows * max(1, about.num_columns), sum(values))
    most = min(MOST_CELLS, max(_SMALL, _DENSEST * size))
    if min([about.num_rows, *values]) < 0 or cells > most:
        raise ValueError(f"{cells:,} cells, more than {most:,} for a file of {size:,} bytes")
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > (most := max(_LONGEST, _UNPACKED * size)):
        raise ValueError(f"{unpacked:,} bytes when unpacked, more than {most:,} for a file of {size:,} bytes")
    columns = [about.schema.column(at) for at in range(about.num_columns)]
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _text_bytes(column: pa.Array | pa.ChunkedArray) -> int:
    """Bytes of a column's texts, those of lists and records included."""
    if isinstance(column, pa.ChunkedArray):
        return sum(_text_bytes(chunk) for chunk in column.chunks)
    if isinstance(column, pa.DictionaryArray):
        lengths = pc.call_function("binary_length", [column.dictionary])
        return pc.call_function("sum", [pc.take(lengths, column.indices)]).as_py() or 0
    if isinstance(column, pa.StructArray):
        return sum(map(_text_bytes, column.flatten()))
    return _text_bytes(column.flatten()) if isinstance(column, pa.ListArray | pa.LargeListArray) else 0


@contextmanager
def readable() -> Generator[None, None, None]:
    """Turns what pyarrow raises about a damaged file into one kind of error.

    Raises:
        ValueError: instead of pyarrow's errors.
    """
    try:
        yield
    except OSError:
        raise
    except (pa.ArrowException, KeyError, TypeError, RuntimeError, MemoryError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}".replace("\n", " ")) from error
