"""What a public function accepts as a path."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterable
from contextlib import suppress
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


def is_file(path: StrPath) -> bool:
    """Whether a file is there. A text that is too long to be a path is none; `Path.is_file` fails with it."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def regular(path: Path) -> Path:
    """A file that ends: not a folder, a pipe or a device.

    Raises:
        OSError: it is something else. A path that is not there passes, for whoever opens it says so.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path


def below(folder: StrPath, most: int) -> Generator[os.DirEntry[str]]:
    """Everything in a folder and in the folders inside it, in no order. Links are not followed, and a folder that
    cannot be read counts as empty.

    Raises:
        ValueError: there is more than `most`.
    """
    waiting, count = [os.fspath(folder)], 0
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                if count > most:
                    raise ValueError(f"more than {most:,} files and folders")
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
