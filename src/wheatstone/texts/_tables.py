"""Documents out of tables: a column of JSON Lines, Parquet, or a table with commas, semicolons or tabs."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from wheatstone._errors import RequestError
from wheatstone.records import Problem, content_of, rows_of
from wheatstone.texts._document import Document, Skipped

ENDINGS = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""Of files that are tables of documents; every other file is one document."""
COLUMN = "text"
"""That is read by default."""


def is_table(path: Path) -> bool:
    """Whether a file's rows are documents, by its ending."""
    return path.suffix.lower() in ENDINGS


def documents_in(path: Path, column: str, skipped: Skipped, *, of_folder: bool = False) -> Generator[Document]:
    """The rows of a table, one at a time.

    Args:
        path: the file.
        column: whose texts are taken; empty for `text`.
        skipped: counts lines that cannot be read and rows without a text.
        of_folder: whether a table without the column is counted, too, instead of refused.

    Raises:
        PromptError: the file cannot be read, or is too large.
        RequestError: it has no such column.
    """
    wanted, problems, seen = column or COLUMN, list[Problem](), list[str]()
    for row in rows_of(content_of(path), problems):
        seen += [name for name in row.fields if name not in seen]
        text = row.fields.get(wanted)
        if isinstance(text, str):
            yield Document(row.where, text, path.suffix.lstrip("."))
        elif wanted in seen:
            skipped.add("row without a text")
        elif of_folder:
            skipped.add(f"table without a column {wanted}")
            return
        else:
            raise RequestError(
                expected=f"a table with a column {wanted!r}",
                got=f"{path} with {', '.join(map(repr, seen)) or 'no columns'}"[:300],
                do=f"name one that it has, as {path.name}:COLUMN",
            )
    for _ in problems:
        skipped.add("line that cannot be read")
