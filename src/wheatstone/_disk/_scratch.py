"""Folders for what is thrown away, with the lock of the process that uses them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from wheatstone._disk._lock import LOCK, is_held, release, take
from wheatstone._path import StrPath

_PREFIX = "wheatstone-"


@contextmanager
def scratch_folder(place: StrPath | None = None) -> Generator[Path, None, None]:
    """A folder for as long as the context lasts. Those of killed processes are removed first.

    Args:
        place: the existing folder to make it in; by default the system's for temporary files.
    """
    place = Path(place or tempfile.gettempdir())
    clear_scratch(place)
    folder, lock = _new(place)
    inside = folder / "files"
    inside.mkdir()
    try:
        yield inside
    finally:
        shutil.rmtree(inside, ignore_errors=True)
        release(folder, lock)


def _new(place: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        if (lock := take(folder)) is not None:
            return folder, lock


def scratch_folders(place: Path) -> list[Path]:
    """This user's scratch folders in a folder, of living processes and of killed ones."""
    found: list[Path] = []
    with suppress(OSError):
        for path in sorted(place.glob(f"{_PREFIX}*")):
            with suppress(OSError):
                if not path.is_symlink() and (path / LOCK).is_file() and _is_ours(path):
                    found.append(path)
    return found


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "geteuid") or path.stat().st_uid == os.geteuid()


def clear_scratch(place: Path) -> list[Path]:
    """Removes scratch folders in a folder that belong to no living process.

    An empty one is that of a process that was killed before it locked it; a living process makes its own again.

    Returns:
        Those that were removed.
    """
    cleared: list[Path] = []
    for folder in place.glob(f"{_PREFIX}{'[a-z0-9_]' * 8}"):  # as `mkdtemp` names them
        with suppress(OSError):
            if not folder.is_symlink() and _is_ours(folder):
                folder.rmdir()
                cleared.append(folder)
    for folder in scratch_folders(place):
        with suppress(OSError):
            if not is_held(folder) and (lock := take(folder, make=False)) is not None:
                shutil.rmtree(folder / "files", ignore_errors=True)
                release(folder, lock)
                cleared.append(folder)
    return cleared
