"""Rows of a file of records, read as they come so that a large file fits in memory. The content says what it is."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from wheatstone._errors import PromptError, RequestError, reason
from wheatstone._json import parse_json, read_bounded
from wheatstone._parquet import check_texts, open_parquet, readable
from wheatstone._path import StrPath, regular
from wheatstone._view import Brief
from wheatstone.records._problems import Problem

MOST_ROWS = 10_000
"""Rows that are kept of a larger file: an even sample."""
MOST_READ = 1_000_000
"""Rows of a file, at most."""
LARGEST = 50_000_000
"""Bytes of one JSON document that are read; more records belong in JSON Lines, which is read line by line."""
_LARGEST_LINES = 500_000_000
"""Bytes of a file that is read line by line."""
_LONGEST = 1_000_000
"""Bytes of a line."""
_HEAD = 1 << 16
_DELIMITERS = ",;\t"
_LISTS = ("prompts", "records", "examples", "data", "pairs", "rows")
"""Keys under which a JSON object may hold its records."""
SPLITS = ("train", "validation", "test")
"""Parts of a task; a JSON object may hold its records by these."""
FORMATS = (
    "JSON (a list of records, an object that holds one, or a relation), JSON Lines, "
    "a table with commas, semicolons or tabs, or Parquet"
)
_FOREIGN = {
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd archive; unpack it",
    b"SQLite format 3\0": "an SQLite database; export the table as CSV",
}
"""First bytes of files that are mistaken for records, and what to do about each."""


@dataclass(frozen=True)
class Row(Brief):
    """One record as it was read.

    Args:
        where: file and line.
        fields: its columns.
    """

    where: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Content(Brief):
    """What a file holds.

    Args:
        path: of the file.
        form: `parquet`, `lines` of JSON, a `table` with a header, or one JSON `document`.
        document: the document.
    """

    path: Path
    form: Literal["parquet", "lines", "table", "document"]
    document: Any = None


def content_of(path: StrPath, *, largest: int = LARGEST) -> Content:
    """Finds out what a file holds, by its content; its name plays no part.

    JSON Lines may begin with comments: lines whose first sign is `#`.

    Args:
        path: of the file.
        largest: bytes of one JSON document, at most.

    Raises:
        PromptError: it cannot be read, or holds nothing that is understood.
    """
    path = Path(path)
    try:
        with regular(path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise _unreadable(path, reason(error)) from error
    for magic, words in _FOREIGN.items():
        if head.startswith(magic):
            got, _, do = words.partition("; ")
            raise PromptError(expected=f"records as {FORMATS}", got=f"{path}, {got}", do=do)
    if head.startswith(b"PAR1"):
        return Content(path, "parquet")
    if b"\0" in head:
        raise PromptError(
            expected=f"records as {FORMATS}", got=f"{path}, which is no text", do="check that it is the right file"
        )
    begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first = begin[:1]
    if first == b"#" and re.sub(rb"\A(\s*#[^\n]*\n)+\s*", b"", begin)[:1] == b"{":
        return Content(path, "lines")
    if first in (b"[", b"{"):
        return _json_content(path, first, largest)
    return Content(path, "table" if first else "lines")


def _json_content(path: Path, first: bytes, largest: int) -> Content:
    """A file that begins as JSON does: one document, or one record a line."""
    with path.open("rb") as file:
        lines = iter(lambda: file.readline(_LONGEST), b"")
        start = [line.removeprefix(b"\xef\xbb\xbf") for line in islice(filter(bytes.strip, lines), 2)]
    begun = [_object(line) for line in start]
    # With a record in the second line, a first line that cannot be read is a damaged record.
    if first == b"{" and len(start) > 1 and any(begun):
        return Content(path, "lines")
    try:
        text = read_bounded(path, largest).decode("utf-8-sig")
        return Content(path, "document", parse_json(text, finite=False))
    except UnicodeDecodeError as error:  # its own words would show the whole file
        line = error.object[: error.start].count(b"\n") + 1
        got = f"line {line}: byte 0x{error.object[error.start]:02x}, which is not UTF-8"
        raise PromptError(expected="JSON in UTF-8", got=f"{path} {got}", do="save it as UTF-8") from error
    except OSError as error:
        raise _unreadable(path, reason(error)) from error
    except ValueError as error:
        if first == b"{" and path.suffix == ".jsonl":  # its first records are damaged
            return Content(path, "lines")
        if str(error).startswith("more than"):
            raise PromptError(
                expected=f"a JSON document of at most {largest / 1e6:.0f} MB",
                got=f"{path}, {path.stat().st_size / 1e6:,.0f} MB",
                do="write it as JSON Lines or CSV, which are read line by line",
            ) from error
        if first == b"[" and path.suffix in (".csv", ".tsv"):
            return Content(path, "table")
        raise PromptError(expected=f"records as {FORMATS}", got=f"{path}: {error}", do="correct the file") from error


def _object(line: bytes) -> bool:
    with suppress(ValueError):
        return isinstance(parse_json(line, finite=False), dict)
    return False


def read_rows(content: Content, problems: list[Problem], *, seed: int = 0) -> tuple[list[Row], int]:
    """Rows of a file.

    Args:
        content: the file.
        problems: lines that cannot be read are added here.
        seed: of the sample, where there are more than `MOST_ROWS`.

    Returns:
        The rows in their order, and how many there were.

    Raises:
        PromptError: the file cannot be read at all.
    """
    return sampled(rows_of(content, problems), seed)


def rows_of(content: Content, problems: list[Problem]) -> Generator[Row, None, None]:
    """Rows of a file, one at a time; arguments and errors as `read_rows`."""
    path = content.path
    if content.form == "parquet":
        yield from _parquet(path)
        return
    if content.form == "document":
        yield from _document(content.document, path, problems)
        return
    try:
        with path.open("rb") as file:
            _check_lines(file, path)
            lines = _lines(file, path, problems)
            yield from _table(lines, path, problems) if content.form == "table" else _json_lines(lines, problems)
    except OSError as error:
        raise _unreadable(path, reason(error)) from error


def _check_lines(file: BinaryIO, path: Path) -> None:
    """Refuses a file of too many bytes or lines, before any is read as a record.

    Raises:
        PromptError: there are too many.
    """
    size, lines = os.fstat(file.fileno()).st_size, 0
    if size <= _LARGEST_LINES:
        lines = sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))
        file.seek(0)
    if size > _LARGEST_LINES or lines > MOST_READ:
        raise PromptError(
            expected=f"a file of at most {MOST_READ:,} records and {_LARGEST_LINES / 1e6:,.0f} MB",
            got=f"{path} of {size / 1e6:,.0f} MB" + (f" and {lines:,} lines" if lines else ""),
            do="take a part of it",
        )


def _unreadable(path: Path, why: str) -> PromptError:
    return PromptError(expected="a file that can be read", got=f"{path}: {why}", do="check the path")


def sampled(rows: Iterable[Row], seed: int) -> tuple[list[Row], int]:
    """All rows, or an even sample of `MOST_ROWS` in their order (Vitter's algorithm R), and how many there were."""
    draw, kept, total = Random(seed), list[tuple[int, Row]](), 0
    for row in rows:
        if total < MOST_ROWS:
            kept.append((total, row))
        elif (place := draw.randrange(total + 1)) < MOST_ROWS:
            kept[place] = (total, row)
        total += 1
    return [row for _, row in sorted(kept, key=lambda both: both[0])], total


def hub_rows(name: str) -> Generator[Row, None, None]:
    """Rows of a dataset on the Hugging Face hub, streamed.

    Raises:
        RequestError: the package `datasets` is not installed, or there is no such dataset.
    """
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RequestError(
            expected="a bundled task, a file, or a Hugging Face dataset with the package `datasets` installed",
            got=f"{name!r} without the package",
            do="list the bundled tasks with `wheatstone tasks`, check the path, or install `datasets`",
        ) from error
    try:
        parts = datasets.load_dataset(name, streaming=True)
    except Exception as error:  # datasets and the hub's client each have errors of their own
        raise RequestError(
            expected="a dataset on the Hugging Face hub", got=f"{name!r}: {reason(error)}", do="check its name"
        ) from error
    for split, rows in parts.items():
        for number, fields in enumerate(rows):
            yield Row(f"{name} {split} row {number}", dict(fields))


def _lines(file: BinaryIO, path: Path, problems: list[Problem]) -> Generator[tuple[str, str], None, None]:
    """Each line with where it is; one that cannot be read is empty and a problem."""
    number = 0
    while line := file.readline(_LONGEST + 1):
        number += 1
        where = f"{path} line {number}"
        if len(line) > _LONGEST:
            while line and not line.endswith(b"\n"):
                line = file.readline(_LONGEST)
            problems.append(Problem(where, f"longer than {_LONGEST:,} bytes"))
            yield where, ""
            continue
        try:
            yield where, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            problems.append(Problem(where, f"not UTF-8 (byte {error.object[error.start]:#x} at {error.start})"))
            yield where, ""


def _json_lines(lines: Iterable[tuple[str, str]], problems: list[Problem]) -> Generator[Row, None, None]:
    for where, line in lines:
        if not line.strip() or line.lstrip()[0] == "#":
            continue
        try:
            fields = parse_json(line, finite=False)
        except ValueError as error:
            problems.append(Problem(where, f"not JSON ({error})"))
            continue
        yield from _record(where, fields, problems)


def _record(where: str, fields: Any, problems: list[Problem]) -> Generator[Row, None, None]:
    if isinstance(fields, dict):
        yield Row(where, fields)
    else:
        problems.append(Problem(where, "not a record {…}"))


def _document(document: Any, path: Path, problems: list[Problem]) -> Generator[Row, None, None]:
    """Records of one JSON document: a list, lists under the names of splits, columns, or a single record."""
    records = document
    if isinstance(document, dict):
        # Under one of these keys a dictionary holds the splits, as in a run's own task.json.
        records = next((document[key] for key in _LISTS if isinstance(document.get(key), list | dict)), document)
    if isinstance(records, dict) and records and records.keys() <= set(SPLITS):
        for split, those in records.items():
            for row in _document(those, path, problems) if isinstance(those, list) else ():
                yield Row(f"{row.where} of {split}", {**row.fields, "split": split})
        return
    if isinstance(records, dict):
        records = _by_column(records) or [records]
    for number, fields in enumerate(records if isinstance(records, list) else [records], 1):
        yield from _record(f"{path} record {number}", fields, problems)


def _by_column(columns: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Records of an object of equally long columns, lists or pandas' {index: cell}; None where it is something else."""
    cells = [list(part.values()) if isinstance(part, dict) else part for part in columns.values()]
    if len(columns) < 2 or not all(isinstance(part, list) for part in cells) or len({len(part) for part in cells}) > 1:
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]


def _table(lines: Iterable[tuple[str, str]], path: Path, problems: list[Problem]) -> Generator[Row, None, None]:
    """Records of a table whose first line names the columns, which commas, semicolons or tabs separate."""
    texts = (line for _, line in lines)
    before, first = next(((number, line) for number, line in enumerate(texts, 1) if line.strip()), (0, ""))
    if "\r" in first.rstrip("\r\n"):
        raise PromptError(
            expected="a table whose lines end with a line feed",
            got=f"{path} with a carriage return inside line {before}",
            do="save it with the line ends of Unix or Windows",
        )
    delimiter = max(_DELIMITERS, key=lambda sign: len(next(csv.reader([first], delimiter=sign), [])))
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise PromptError(
            expected="a table whose columns have different names",
            got=f"{path} with two columns {twice[0]!r}",
            do="rename one of them",
        )
    reader = csv.reader(texts, delimiter=delimiter)
    while True:
        where = f"{path} line {before + reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(Problem(where, str(error)))
            continue
        if cells is None:
            return
        if cells and len(cells) != len(names):
            problems.append(Problem(where, f"{len(cells)} cells, {len(names)} columns"))
        elif cells:
            yield Row(where, dict(zip(names, cells, strict=True)))


def _parquet(path: Path) -> Generator[Row, None, None]:
    try:
        with readable(), open_parquet(path) as file:
            if file.metadata.num_rows > MOST_READ:
                raise ValueError(f"{file.metadata.num_rows:,} rows, more than {MOST_READ:,}")
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                check_texts(path, batch.columns)
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(f"{path} row {number}", fields)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise PromptError(expected="a Parquet file", got=f"{path}: {reason(error)}", do="check the file") from error
