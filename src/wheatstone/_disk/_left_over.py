"""What killed processes left, as `wheatstone doctor` lists it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wheatstone._disk._claim import claims_in, clear_dead
from wheatstone._disk._lock import is_held, owner_of
from wheatstone._disk._scratch import clear_scratch, scratch_folders
from wheatstone._errors import RequestError
from wheatstone._path import StrPath

_DEPTH = 3
"""Levels of folders below a folder that is looked through."""
_MOST = 200_000
"""Files and folders that are looked at."""


@dataclass(frozen=True)
class LeftOver:
    """A hidden folder of unfinished work.

    Args:
        path: which.
        alive: whether the process that it belongs to is at work.
        process: that process's number, or None.
        since: when it began, ISO 8601, or empty.
        bytes: that it takes on the disk.
    """

    path: Path
    alive: bool
    process: int | None
    since: str
    bytes: int


def left_over(*folders: StrPath) -> list[LeftOver]:
    """Unfinished work in folders and up to three levels below them, and scratch folders. Changes nothing."""
    claims = [path for folder in folders for path in _claims_below(Path(folder))]
    scratch = [path for place in _scratch_places(folders) for path in scratch_folders(place)]
    return [_described(path) for path in dict.fromkeys([*claims, *scratch])]


def clear_left_over(*folders: StrPath) -> list[Path]:
    """Removes what belongs to no living process; an older result that was moved aside is put back first."""
    cleared = [done for folder in folders for path in _claims_below(Path(folder)) for done in clear_dead(path.parent)]
    scratch = [done for place in _scratch_places(folders) for done in clear_scratch(place)]
    return list(dict.fromkeys([*cleared, *scratch]))


def _scratch_places(folders: Iterable[StrPath]) -> list[Path]:
    """Where scratch folders are made: the system's folder for temporary files, and `offload` in the home folder."""
    return [Path(tempfile.gettempdir()), *(Path(folder) / "offload" for folder in folders)]


def _claims_below(folder: Path) -> list[Path]:
    """The claims in a folder and up to three levels below it.

    Raises:
        RequestError: that is too much to look through.
    """
    found, level, seen = list[Path](), [folder], 0
    for depth in range(_DEPTH + 1):
        inner: list[Path] = []
        for each in level:
            found += claims_in(each)
            with suppress(OSError), os.scandir(each) as entries:
                for entry in entries if depth < _DEPTH else ():
                    seen += 1
                    if seen > _MOST:
                        raise RequestError(
                            expected=f"folders with at most {_MOST:,} files and folders in {_DEPTH} levels",
                            got=f"{folder}, which has more",
                            do="name the folders that hold runs",
                        )
                    if entry.name[0] != "." and entry.is_dir(follow_symlinks=False):
                        inner.append(each / entry.name)
        level = sorted(inner)
    return found


def _described(path: Path) -> LeftOver:
    process, since = owner_of(path) or (None, "")
    sizes = [os.lstat(entry).st_size for entry in path.rglob("*") if not entry.is_dir()]
    return LeftOver(path, is_held(path), process, since, sum(sizes))
