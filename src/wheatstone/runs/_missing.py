"""What a run lacks: side results that could not be made, with the reason, in the manifest's `missing`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from wheatstone._path import StrPath
from wheatstone._side import PICTURES, attempt
from wheatstone.runs._folder import read_json, write_json


def note_missing(folder: StrPath, missing: Mapping[str, str]) -> None:
    """Adds side results that could not be made to the manifest of a run that is being written."""
    if missing:
        manifest = read_json(folder, "manifest.json")
        write_json(Path(folder) / "manifest.json", manifest | {"missing": {**manifest.get("missing", {}), **missing}})


def draw(folder: StrPath, pictures: Callable[[Path], object]) -> None:
    """Draws the pictures of a run that is being written. Where that fails, the run says why and keeps everything else.

    Args:
        folder: of the run.
        pictures: draws them into the folder.
    """
    missing: dict[str, str] = {}
    attempt(missing, PICTURES, lambda: pictures(Path(folder)), None)
    note_missing(folder, missing)
