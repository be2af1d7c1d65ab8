"""A run is saved in steps, each of which keeps what is done: the results, the line in the list, then the pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wheatstone._disk import linked
from wheatstone._path import StrPath
from wheatstone._side import LISTING, PICTURES, attempt
from wheatstone.runs._catalogue import catalogue_add
from wheatstone.runs._folder import changed_run, new_run, read_json, write_json
from wheatstone.runs._missing import note_missing
from wheatstone.runs._run import Run

_NOT_YET = "the command ended before they were drawn; make the run again, or draw one with `wheatstone export`"
_FIGURES, _PAGE, _MANIFEST = "figures", "report.html", "manifest.json"


def save_run(
    out: StrPath,
    write: Callable[[Path], object],
    *,
    task: Mapping[str, Any] | None = None,
    force: bool = False,
    pictures: Callable[[Path], object] | None = None,
) -> dict[str, str]:
    """Writes a run, lists it and draws its pictures.

    Args:
        out: its folder.
        write: writes the results into the folder that it is given.
        task: `Task.to_json` of the task that the run's prompts are of, kept as `task.json`.
        force: whether an older run may be replaced.
        pictures: draws into the folder of the run that it is given; None for no pictures.

    Returns:
        By name, why a side result is missing: what the run itself says, its line in the list, its pictures.

    Raises:
        RunError: `out` is taken, or another command is writing to it.
        ComputationError: the results could not be written.
    """
    with new_run(out, force=force) as folder:
        write(folder)
        if task:
            write_json(folder / "task.json", dict(task))
        if pictures:
            note_missing(folder, {PICTURES: _NOT_YET})
    missing = listed(out)
    if pictures:
        attempt(missing, PICTURES, lambda: add_pictures(out, pictures), None)
    return Run.open(out).missing | missing


def listed(run: StrPath) -> dict[str, str]:
    """Lists a run that is saved; where that fails, gives the reason as the side result that is missing."""
    missing: dict[str, str] = {}
    attempt(missing, LISTING, lambda: catalogue_add(run), None)
    return missing


def add_pictures(run: StrPath, pictures: Callable[[Path], object]) -> None:
    """Draws the pictures of a saved run and adds them, all together.

    Where drawing fails, the run says why, and keeps everything else.

    Raises:
        OSError: they could not be written; the run is as it was.
    """
    run = Path(run)
    with changed_run(run) as change:
        drawn = change.scratch / "run"  # the run without pictures, where they can be drawn out of sight
        drawn.mkdir()
        linked(run, drawn, (name for name in os.listdir(run) if name[0] != "." and name not in (_FIGURES, _PAGE)))
        missing: dict[str, str] = {}
        attempt(missing, PICTURES, lambda: pictures(drawn), None)
        manifest = read_json(drawn, _MANIFEST)
        others = {name: why for name, why in manifest.get("missing", {}).items() if name != PICTURES}
        write_json(change.file(_MANIFEST), manifest | {"missing": others | missing})
        for name in os.listdir(drawn / _FIGURES) if (drawn / _FIGURES).is_dir() else ():
            os.replace(drawn / _FIGURES / name, change.file(f"{_FIGURES}/{name}"))
        if (drawn / _PAGE).is_file():
            os.replace(drawn / _PAGE, change.file(_PAGE))
