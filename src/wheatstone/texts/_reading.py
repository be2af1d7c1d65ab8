"""Reading documents: the bundled ones, or a user's own files and datasets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

from wheatstone._errors import RequestError, reason
from wheatstone._json import read_bounded
from wheatstone._path import StrPath, below, expanded
from wheatstone.texts._document import Document, Skipped, bundled_texts
from wheatstone.texts._tables import ENDINGS, documents_in, is_table

BUNDLED = "bundled"
LARGEST = 100_000_000
"""Bytes of one document, at most."""
MOST_FILES = 100_000
"""Files and folders below a folder of documents."""


def read_documents(sources: Sequence[StrPath], skipped: Skipped | None = None) -> Generator[Document]:
    """Documents from files, folders, Hugging Face datasets, or the package, one at a time.

    A document that was already seen, to the letter, is left out, and so is an empty one or one that is not UTF-8.

    Args:
        sources: `bundled`, files, folders (read with everything below, in order of their paths), or ids such as
            `org/name`, whose rows are documents (needs the package `datasets`). The rows of a file that ends in
            .jsonl, .ndjson, .csv, .tsv or .parquet are documents, too. `:column` after the name of a file, a folder or
            a dataset says which column; by default `text`.
        skipped: counts what is left out.

    Raises:
        PromptError: a table cannot be read, or is too large.
        RequestError: a source or column that is not there.
    """
    skipped, seen = skipped if skipped is not None else Skipped(), set[bytes]()
    for source in sources:
        for document in _of_source(source, skipped):
            try:
                digest = hashlib.sha256(document.text.encode()).digest()
            except UnicodeEncodeError:
                skipped.add("not UTF-8")
                continue
            if not document.text.strip():
                skipped.add("empty")
            elif digest in seen:
                skipped.add("seen before")
            else:
                seen.add(digest)
                yield document


def check_sources(sources: Sequence[StrPath], out: StrPath | None = None) -> None:
    """Refuses sources that cannot be read; a dataset is only looked for when it is read.

    Args:
        sources: see `read_documents`.
        out: folder that results are written to while the sources are read; it must lie outside of them.

    Raises:
        RequestError: a source is neither `bundled`, a file or folder, nor a dataset's id; or it is a folder of too
            many files, or one that holds `out`.
    """
    for name in sources:
        source = os.fspath(name)
        path, column = _parted(source)
        if source != BUNDLED and not path.is_dir() and not path.is_file() and not _is_dataset(source):
            raise RequestError(
                expected="`bundled`, a file, a folder, or a dataset's id (org/name)",
                got=repr(source),
                do="name texts that are there",
            )
        if column and path.is_file() and not is_table(path):
            raise RequestError(
                expected=f"a table to take the column {column!r} of (a file ending in {', '.join(ENDINGS)})",
                got=source,
                do="name the file alone, which is one document",
            )
        if source != BUNDLED and path.is_dir():
            if out is not None and Path(out).resolve().is_relative_to(path.resolve()):
                raise RequestError(
                    expected="an --out outside the folders of texts, which must not change while they are read",
                    got=f"{os.fspath(out)!r} inside {source!r}",
                    do="choose another --out, or name the texts themselves",
                )
            _below(path)


def _is_dataset(source: str) -> bool:
    return source.count("/") == 1 and not source.startswith((".", "/"))


def _of_source(name: StrPath, skipped: Skipped) -> Iterable[Document]:
    source = os.fspath(name)
    path, column = _parted(source)
    if source == BUNDLED:
        return bundled_texts()
    if path.is_dir():
        return _files(_below(path), column, skipped, of_folder=True)
    check_sources([source])
    return _files([path], column, skipped) if path.is_file() else _rows(source)


def _parted(source: str) -> tuple[Path, str]:
    """The path and the column of a source; no column where the path alone is there."""
    path, (whole, _, column) = expanded(source), source.rpartition(":")
    if whole and not path.exists() and expanded(whole).exists():
        return expanded(whole), column
    return path, ""


def _below(folder: Path) -> list[Path]:
    """The files of a folder and of those in it, in order of their paths.

    Raises:
        RequestError: there are too many.
    """
    try:
        return sorted(Path(entry.path) for entry in below(folder, MOST_FILES) if entry.is_file())
    except ValueError as error:
        raise RequestError(
            expected=f"a folder of at most {MOST_FILES:,} files",
            got=f"{folder}, which has more",
            do="name a part of it",
        ) from error


def _files(paths: Iterable[Path], column: str, skipped: Skipped, *, of_folder: bool = False) -> Generator[Document]:
    for path in paths:
        if is_table(path):
            yield from documents_in(path, column, skipped, of_folder=of_folder)
            continue
        try:
            data = read_bounded(path, LARGEST)
        except ValueError:
            skipped.add(f"larger than {LARGEST / 1e6:.0f} MB")
            continue
        try:
            yield Document(str(path), data.decode("utf-8"), path.suffix.lstrip("."))
        except UnicodeDecodeError:
            skipped.add("not UTF-8")


def _rows(source: str) -> Generator[Document]:
    name, _, column = source.partition(":")
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise RequestError(
            expected=f"a file or folder {source!r}, or the package `datasets` to read it as a dataset's id",
            got="neither",
            do="name a file that is there, or pip install 'wheatstone[datasets]'",
        ) from error
    columns: list[str] = []
    try:
        for index, row in enumerate(load_dataset(name, split="train", streaming=True)):
            columns = list(row)
            yield Document(f"{name}/{index}", str(row[column or "text"]))
    except KeyError as error:
        raise RequestError(
            expected=f"a dataset with a column {column or 'text'!r}",
            got=f"{name} with {', '.join(map(repr, columns)) or 'no columns'}",
            do="name one that it has, as org/name:column",
        ) from error
    except (OSError, ValueError) as error:  # not there, no network, no split of that name
        raise RequestError(
            expected=f"a dataset {name!r} with a split `train` that can be read",
            got=reason(error),
            do="check its id and the network, or download it and name its files",
        ) from error
