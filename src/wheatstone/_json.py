"""JSON from outside: a run, a circuit or a task may come from anyone, so size, depth and numbers are bounded.

Python's own reader takes `NaN`, integers of any length, half a surrogate pair, and nesting until the stack ends. What
comes out of here can be walked, compared, stored in SQLite, printed and written again.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

DEEPEST = 64
"""Lists and records inside each other, at most. What Wheatstone writes has fewer than ten."""
LARGEST = 1 << 28
"""Bytes of one file, at most: a circuit of four million edges."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def load_json(path: Path) -> Any:
    """The document in a file.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is not JSON in UTF-8, or goes beyond a bound.
    """
    return parse_json(read_bounded(path))


def read_bounded(path: Path, largest: int = LARGEST) -> bytes:
    """A regular file's bytes; a pipe or a device would never end.

    Raises:
        OSError: the file cannot be read, or is not a regular file.
        ValueError: it is larger than `largest`.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "not a regular file")
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"more than {largest:,} bytes")
    return data


def parse_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The document in a text, or in bytes of UTF-8.

    Args:
        text: the text.
        finite: refuse `NaN` and `Infinity`, which are not JSON but which Python writes; otherwise they become floats.

    Raises:
        ValueError: it is not JSON, or goes beyond a bound.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
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
