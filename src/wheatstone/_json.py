"""JSON from outside: a run, a circuit or a task may come from anyone, so size, depth and numbers are bounded.

Python's own reader takes `NaN`, integers of any length, half a surrogate pair, and nesting until the stack ends. What
comes out of here can be walked, compared, stored in SQLite, printed and written again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from wheatstone._path import regular

DEEPEST = 64
"""Lists and records inside each other, at most. What Wheatstone writes has fewer than ten."""
LARGEST = 1 << 28
"""Bytes of one file, at most: a circuit of four million edges, see `MOST_IN_CIRCUIT`."""
MOST_IN_CIRCUIT = 1 << 24
"""Values of a circuit, at most."""
MOST_VALUES = 2_000_000
"""Values of one document, at most: an empty list takes three bytes in a file, and 64 in memory."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def load_json(path: Path, *, most: int = MOST_VALUES) -> Any:
    """The document in a file.

    Args:
        path: of the file.
        most: values that it may hold.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is not JSON in UTF-8, or goes beyond a bound.
    """
    return parse_json(read_bounded(path), most=most)


def read_bounded(path: Path, largest: int = LARGEST) -> bytes:
    """A regular file's bytes; a pipe or a device would never end.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is larger than `largest`.
    """
    with open_bounded(path, largest) as file:
        size = os.fstat(file.fileno()).st_size
        # A buffer of that size is made at once. Files of /proc claim no size, and some of them never end.
        data = file.read(min(size, largest) + 1) if size else b""
    if len(data) > largest:
        raise ValueError(f"more than {largest:,} bytes")
    return data


@contextmanager
def open_bounded(path: Path, largest: int) -> Generator[BufferedReader, None, None]:
    """Opens a regular file of bounded size for reading.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is larger than `largest`.
    """
    with regular(path).open("rb") as file:
        if os.fstat(file.fileno()).st_size > largest:
            raise ValueError(f"more than {largest:,} bytes")
        yield file


def sha256_of(path: Path, largest: int) -> str:
    """The SHA-256 of a file's bytes; errors as `open_bounded`."""
    with open_bounded(path, largest) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(text: str | bytes, *, finite: bool = True, most: int = MOST_VALUES) -> Any:
    """The document in a text, or in bytes of UTF-8.

    Args:
        text: the text.
        finite: refuse `NaN` and `Infinity`, which are not JSON but which Python writes; otherwise they become floats.
        most: values that it may hold.

    Raises:
        ValueError: it is not JSON, or goes beyond a bound.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    if len(text) > most and sum(map(text.count, ",[{")) > most:  # each begins or ends a value
        raise ValueError(f"more than {most:,} values")
    try:
        value = json.loads(text, parse_constant=_refused if finite else float, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    _check_depth(value)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a pair is no character
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for parent in level
            if isinstance(parent, dict | list)
            for part in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {DEEPEST} deep")


def _refused(word: str) -> float:
    raise ValueError(f"{word}, which is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]}, which is too large a number")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (value := int(digits)) < 2**63:
        raise ValueError(f"{digits[:20]}…, which is too large a number")
    return value
