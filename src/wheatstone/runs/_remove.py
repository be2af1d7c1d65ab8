"""Runs taken away: a folder goes at once or not at all, and the list is cleared of what is gone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wheatstone._disk import claimed, clear_place
from wheatstone._errors import RunError, reason
from wheatstone._path import StrPath
from wheatstone._view import Brief
from wheatstone.runs._catalogue import CatalogueEntry, catalogue_entries, catalogue_remove
from wheatstone.runs._run import Run


@dataclass(frozen=True)
class Prunable(Brief):
    """What `prune` would do.

    Args:
        gone: listed runs whose folder is not there; they are taken off the list.
        old: listed runs that were made long ago; they are taken off the list and their folders are deleted.
    """

    gone: tuple[CatalogueEntry, ...]
    old: tuple[CatalogueEntry, ...]


def prunable(older_than: timedelta | None = None, *, now: datetime | None = None) -> Prunable:
    """Looks for runs to prune; changes nothing.

    A folder on a disk that is not mounted looks gone; `catalogue_add` lists it again.

    Args:
        older_than: also runs made longer ago than this; None for no run whose folder is there.
        now: the time to count back from; the clock's by default.
    """
    entries = catalogue_entries()
    there = [entry for entry in entries if entry.exists]
    before = None if older_than is None else (now or datetime.now(UTC)) - older_than
    old = [entry for entry in there if before is not None and (_made(entry) or before) < before]
    return Prunable(tuple(entry for entry in entries if not entry.exists), tuple(old))


def prune(found: Prunable) -> None:
    """Deletes the folders of the old runs and takes old and gone ones off the list.

    Raises:
        RunError: one that was to be deleted is no run any more.
    """
    for entry in found.old:
        delete_run(Path(entry.path))
    for entry in found.gone:  # deleted by a process that was killed, perhaps
        clear_place(entry.path)
    catalogue_remove(*(Path(entry.path) for entry in found.gone))


def delete_run(run: StrPath) -> None:
    """Deletes a run's folder and takes it off the list; a listed run whose folder is gone is taken off the list.

    The folder is renamed first: even after an interruption, no part of a run is left where a run was. The same
    call then finishes it.

    Raises:
        RunError: the folder is not a run, or cannot be deleted, or another command is writing to it.
    """
    run = Path(run)
    try:
        clear_place(run)
        if run.exists():
            Run.open(run)
            with claimed(run) as claim:
                os.replace(run, claim.work)
        elif str(run.absolute()) not in {entry.path for entry in catalogue_entries()}:
            raise RunError(
                expected="a run", got=f"{run}, which is not there", do="list the runs with `wheatstone runs`"
            )
        catalogue_remove(run.absolute())
    except OSError as error:
        raise RunError(
            expected="a run that can be deleted", got=f"{run}: {reason(error)}", do="make its folder writable"
        ) from error


def _made(entry: CatalogueEntry) -> datetime | None:
    """When a run was made; None where its manifest has no time that can be read."""
    try:
        made = datetime.fromisoformat(entry.created)
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)
