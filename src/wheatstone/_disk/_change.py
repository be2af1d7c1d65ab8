"""A change of a finished folder: several files and folders in it are replaced together or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wheatstone._disk._claim import claimed, clear_dead
from wheatstone._disk._commit import FILES, FOLDERS
from wheatstone._path import StrPath

_CHANGES = "changes"
_WAIT = 30.0
"""Seconds to wait for another change of the same folder, which only renames files."""


@dataclass(frozen=True)
class Change:
    """A change that is being prepared.

    Args:
        scratch: a folder for what is thrown away, on the same file system.
        ready: holds what is prepared.
    """

    scratch: Path
    ready: Path

    def file(self, name: str) -> Path:
        """Where to write a file that will be there under this name."""
        path = self.ready / FILES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def folder(self, name: str) -> Path:
        """A new folder that will be there under this name, instead of the one that is there now."""
        path = self.ready / FOLDERS / name
        path.mkdir(parents=True)
        return path

    def named(self) -> tuple[dict[str, Path], set[str]]:
        """What is prepared: every file under the name that it will have, and the names of folders that are replaced."""
        folders = self.ready / FOLDERS
        files = {
            path.relative_to(top).as_posix(): path
            for top in (self.ready / FILES, folders)
            for path in top.rglob("*")
            if path.is_file()
        }
        return files, {path.name for path in folders.iterdir()} if folders.is_dir() else set()


@contextmanager
def changed(
    folder: StrPath, before: Callable[[Path, Change], object] = lambda folder, change: None
) -> Generator[Change, None, None]:
    """Changes a folder when the context ends without an error; a killed process leaves it as it was or changed.

    Args:
        folder: what is changed.
        before: called with the folder and the change just before it is put in place, when no other change can be.

    Raises:
        RunError: another process's change of the folder did not end.
        OSError: a file could not be written; the folder is as it was.
    """
    folder = Path(folder).absolute()
    with claimed(folder / f"change-{os.getpid()}-{secrets.token_hex(4)}") as own:
        change = Change(own.folder / "scratch", own.work)
        change.scratch.mkdir()
        change.ready.mkdir()
        yield change
        with claimed(folder / _CHANGES, wait=_WAIT) as all_changes:
            before(folder, change)
            os.replace(change.ready, all_changes.folder / "commit")  # from here on it is done, or done by the next


def finish_changes(folder: StrPath) -> None:
    """Puts a change in place that a killed process had committed, and removes one that it had not."""
    clear_dead(Path(folder).absolute())
