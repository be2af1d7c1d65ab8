"""What a public function accepts as a path."""

from __future__ import annotations

import os
from collections.abc import Iterable

StrPath = str | os.PathLike[str]
"""A path as text or as an object such as `pathlib.Path`. It is taken as it is: only the command expands `~`."""


def keep_as_text(settings: object, field: str, paths: Iterable[StrPath]) -> None:
    """Replaces a frozen value's tuple of names or paths by their texts, so that equal settings are written alike.

    Args:
        settings: the value; to be called in its `__post_init__`.
        field: name of the tuple.
        paths: what it holds.
    """
    object.__setattr__(settings, field, tuple(os.fspath(path) for path in paths))
