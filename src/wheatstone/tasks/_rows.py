"""Rows of JSON Lines, CSV and Parquet files, read as they come so that a large file fits in memory."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from wheatstone._errors import PromptError, RequestError
from wheatstone._json import parse_json
from wheatstone.tasks._problems import Problem

MOST_ROWS = 10_000
"""Rows that are kept of a larger file: an even sample."""
_LONGEST = 1_000_000
"""Bytes of a line."""
ENDINGS = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One record as it was read.

    Args:
        where: file and line.
        fields: its columns.
    """

    where: str
    fields: dict[str, Any]


def read_rows(path: Path, problems: list[Problem], *, seed: int = 0) -> tuple[list[Row], int]:
    """Rows of a file.

    Args:
        path: JSON Lines, CSV with a header, or Parquet, by its ending.
        problems: lines that cannot be read are added here.
        seed: of the sample, where there are more than `MOST_ROWS`.

    Returns:
        The rows in their order, and how many there were.

    Raises:
        PromptError: the file cannot be read at all.
    """
    if path.suffix == ".parquet":
        return sampled(_parquet(path), seed)
    try:
        with path.open("rb") as file:
            lines = _lines(file, path, problems)
            return sampled(_csv(lines, path, problems) if path.suffix == ".csv" else _jsonl(lines, problems), seed)
    except OSError as error:
        raise PromptError(expected="a file that can be read", got=f"{path}: {error}", do="check the path") from error


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
            expected="a dataset on the Hugging Face hub", got=f"{name!r}: {error}", do="check its name"
        ) from error
    for split, rows in parts.items():
        for number, fields in enumerate(rows):
            yield Row(f"{name} {split} row {number}", dict(fields))


def _lines(file: BinaryIO, path: Path, problems: list[Problem]) -> Generator[tuple[str, str], None, None]:
    """Each line with where it stands; one that cannot be read is empty and a problem."""
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


def _jsonl(lines: Iterable[tuple[str, str]], problems: list[Problem]) -> Generator[Row, None, None]:
    for where, line in lines:
        if not line.strip():
            continue
        try:
            fields = parse_json(line)
        except ValueError as error:
            problems.append(Problem(where, f"not JSON ({error})"))
            continue
        if isinstance(fields, dict):
            yield Row(where, fields)
        else:
            problems.append(Problem(where, "not a record {…}"))


def _csv(lines: Iterable[tuple[str, str]], path: Path, problems: list[Problem]) -> Generator[Row, None, None]:
    reader = csv.reader(line for _, line in lines)
    names: list[str] | None = None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(Problem(f"{path} line {reader.line_num}", str(error)))
            continue
        if cells is None:
            return
        if names is None:
            names = cells
        elif cells and len(cells) != len(names):
            problems.append(Problem(f"{path} line {reader.line_num}", f"{len(cells)} cells, {len(names)} columns"))
        elif cells:
            yield Row(f"{path} line {reader.line_num}", dict(zip(names, cells, strict=True)))


def _parquet(path: Path) -> Generator[Row, None, None]:
    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(f"{path} row {number}", fields)
    except (OSError, pa.ArrowException) as error:
        raise PromptError(expected="a Parquet file", got=f"{path}: {error}", do="check the file") from error
