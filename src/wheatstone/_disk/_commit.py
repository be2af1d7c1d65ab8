"""A change of several files and folders that is complete, and only has to be put in place."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

FILES, FOLDERS = "files", "folders"
LAST = "files.json"
"""Put in place last: it lists the hashes of the others."""


def apply(commit: Path, folder: Path) -> None:
    """Puts a change in place. After an interruption, doing it again finishes it.

    Args:
        commit: holds `files`, which replace files of the same names, and `folders`, which replace whole folders.
        folder: what is changed.

    Raises:
        OSError: something could not be put in place; `commit` holds the rest.
    """
    for new in _entries(commit / FOLDERS):
        old = folder / new.name
        shutil.rmtree(commit / "old", ignore_errors=True)
        if os.path.lexists(old):
            os.replace(old, commit / "old")
        os.replace(new, old)
    files = sorted(path for path in (commit / FILES).rglob("*") if path.is_file())
    for new in sorted(files, key=lambda path: path.name == LAST):
        old = folder / new.relative_to(commit / FILES)
        old.parent.mkdir(parents=True, exist_ok=True)
        os.replace(new, old)
    shutil.rmtree(commit, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
