"""What a public function accepts as a path."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from wheatstone._errors import RequestError

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


def expanded(path: StrPath) -> Path:
    """A path with `~` or `~user` at its beginning replaced by that home folder.

    Raises:
        RequestError: there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RequestError(
            expected="a path that begins with the home folder of a user who exists",
            got=repr(os.fspath(path))[:200],
            do="write the whole path, or ./~name for a file of that name",
        ) from error


def regular(path: Path) -> Path:
    """A file that ends: not a folder, a pipe or a device.

    Raises:
        OSError: it is something else. A path that is not there passes, for whoever opens it says so.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "not a regular file")
    return path
