"""The user's own files that a task is made from: where they were and what was in them, so that they are found again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheatstone._errors import PromptError, reason
from wheatstone._json import sha256_of
from wheatstone._path import StrPath, expanded
from wheatstone.tasks._bundled import relations_in

_LARGEST = 500_000_000
"""Bytes of a file that a task may be made from."""


def sha256_of_task(path: StrPath) -> str:
    """The SHA-256 of a task's file.

    Raises:
        PromptError: it cannot be read, or is larger than any task's.
    """
    try:
        return sha256_of(Path(path), _LARGEST)
    except (OSError, ValueError) as error:
        raise PromptError(expected="a task's file", got=f"{path}: {reason(error)}", do="check the path") from error


def files_of(task: str) -> dict[str, dict[str, str]]:
    """Each file that a task's name speaks of, with its whole path and the SHA-256 of its bytes.

    Args:
        task: as `load_task` takes it, such as `mine.json` or `reversed/mine.json`.
    """
    found = relations_in(task)
    paths = {name: expanded(name) for name in (task, *(found.relations if found else ()))}
    return {
        name: {"path": str(path.resolve()), "sha256": sha256_of_task(path)}
        for name, path in paths.items()
        if path.is_file()
    }


def task_now(task: str, files: Mapping[str, Any]) -> str:
    """A task's name with the whole paths of its files, so that it is the same from any folder.

    Args:
        task: as it was given.
        files: of it, as `files_of` gave them.
    """
    found = relations_in(task)
    names = found.relations if found else (task,)
    room = task[: len(task) - len("+".join(names))]
    return room + "+".join(str(files[name]["path"]) if name in files else name for name in names)


def missing_file(task: str, files: Mapping[str, Any]) -> str | None:
    """The first file of a task that is no longer what it was, as a noun phrase; None where all are.

    Args:
        task: as it was given.
        files: of it, as `files_of` gave them; without them only whether the file is there is known.
    """
    found = relations_in(task)
    for name in found.relations if found else ():
        about = files.get(name)
        path = Path(about["path"] if about else name)
        if not about and path.suffix != ".json":
            continue  # a bundled relation
        if not path.is_file():
            return f"the relation's file {path}, which is no longer there"
        if about and sha256_of_task(path) != about["sha256"]:
            return f"the relation's file {path} as it was when the circuit was found; it has changed since"
    return None
