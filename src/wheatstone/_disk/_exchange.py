"""Putting a finished folder or file where an older one is, at once where the system can."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_EXCHANGE = 2
"""`RENAME_EXCHANGE` of Linux and `RENAME_SWAP` of macOS."""


def put(made: Path, place: Path, aside: Path) -> None:
    """Puts something finished in a place. What was there before is removed.

    Where the system can exchange two names, there is no moment without one of the two. Elsewhere a process that is
    killed in between leaves the older one as `aside`, from where the next command puts it back.

    Args:
        made: what is finished; on the same file system.
        place: where it goes.
        aside: a free name on the same file system.

    Raises:
        OSError: it could not be put there; what was there before is there still.
    """
    if not os.path.lexists(place) or not (made.is_dir() and any_inside(place)):
        os.replace(made, place)
    elif exchange(made, place):
        remove(made)
    else:
        os.replace(place, aside)
        try:
            os.replace(made, place)
        except BaseException:
            os.replace(aside, place)
            raise
        remove(aside)


def any_inside(place: Path) -> bool:
    """Whether something is there that a rename would not replace: a folder that is not empty, or a link."""
    return place.is_symlink() or (place.is_dir() and any(place.iterdir()))


def exchange(one: Path, other: Path) -> bool:
    """Exchanges two names at once. False where this system or file system cannot."""
    function = _function()
    return function is not None and function(os.fsencode(one), os.fsencode(other)) == 0


@cache
def _function() -> Any:
    if sys.platform == "win32":
        return None
    import ctypes

    library = ctypes.CDLL(None)
    if hasattr(library, "renameat2"):
        return lambda one, other: library.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _EXCHANGE)
    if hasattr(library, "renamex_np"):
        return lambda one, other: library.renamex_np(one, other, _EXCHANGE)
    return None


def linked(source: Path, target: Path, names: Iterable[str]) -> None:
    """Puts entries of a folder into another one as hard links, or as copies where the file system has no links.

    A linked file must be replaced, and never written to in place.

    Args:
        source: the folder that has them.
        target: an existing folder without them.
        names: of the entries; those that are not there are left out.
    """
    for name in names:
        entry = source / name
        if entry.is_dir():
            copied(entry, target / name, copy=_link)
        elif entry.is_file():
            _link(entry, target / name)


def copied(source: Path, target: Path, *, copy: Callable[[Path, Path], object] = shutil.copyfile) -> None:
    """Copies a folder and all in it into another, which may be there already.

    Ends at the first error, as the `OSError` that it is: `shutil.copytree` collects errors and loses their numbers, by
    which a full disk is recognised.

    Args:
        source: the folder.
        target: where its entries go; made if it is not there.
        copy: copies one file.
    """
    target.mkdir(exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            copied(entry, target / entry.name, copy=copy)
        else:
            copy(entry, target / entry.name)


def _link(source: Path | str, target: Path | str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def remove(path: Path) -> None:
    """Removes a folder with all in it, a file or a link; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink(missing_ok=True)
