"""What the cache holds for each model: its weights, and what edits measured of it."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheatstone._disk import claimed, clear_dead
from wheatstone._errors import ModelError, reason
from wheatstone._home import home
from wheatstone._json import load_json
from wheatstone._view import Brief
from wheatstone.checkpoints._known import KNOWN_MODELS

_DIGITS = 12
"""Of a SHA-256, as a name of weights that are not in the cache."""


@dataclass(frozen=True)
class CachedModel(Brief):
    """A model that the cache holds something for.

    Args:
        name: that `load_model` finds it by; the start of the weights' SHA-256 where the weights are not in the cache.
        title: what the weights are, where it is known.
        folders: its weights, and the statistics that editing measured of it.
        bytes: that they take on the disk.
        usable: whether its weights are there and their manifest can be read.
    """

    name: str
    title: str
    folders: tuple[Path, ...]
    bytes: int
    usable: bool = True


def cached_models() -> tuple[CachedModel, ...]:
    """Everything in the cache that belongs to a model, by name. Hugging Face's own cache is not looked at."""
    measured = {path.name: path for path in _folders("editing")}
    found: list[CachedModel] = []
    for folder in _folders("models"):
        name, title, sha256 = _about(folder)
        statistics = measured.pop(sha256, None)
        found.append(_cached(name, title, bool(sha256), folder, *([statistics] if statistics else [])))
    found += [_cached(sha256[:_DIGITS], "editing statistics alone", False, path) for sha256, path in measured.items()]
    return tuple(sorted(found, key=lambda model: model.name))


def remove_cached(name: str) -> CachedModel:
    """Removes what the cache holds for a model. It is fetched or measured again when it is next needed.

    Each folder is renamed first: if the removal is interrupted, no part of a model is left in its place.

    Args:
        name: as `cached_models` has it, or of its folder where several have one name.

    Returns:
        What was removed.

    Raises:
        ModelError: the cache holds nothing of that name, or several models, or it cannot be removed.
        RunError: another command makes or removes one of its folders.
    """
    for place in ("models", "editing"):
        clear_dead(home() / place)
    cached = cached_models()
    by_folder = [one for one in cached if any(folder.name == name for folder in one.folders)]
    found = by_folder or [one for one in cached if one.name == name]
    if len(found) > 1:
        folders = ", ".join(one.folders[0].name for one in found)
        raise ModelError(expected="one model of that name", got=f"the folders {folders}", do="name one of these")
    if not found:
        names = ", ".join(one.name for one in cached)
        raise ModelError(
            expected=f"a model in the cache ({names})" if names else "a model in the cache, which is empty",
            got=repr(name)[:200],
            do="list them with `wheatstone models list`",
        )
    (model,) = found
    for folder in model.folders:
        try:
            with claimed(folder) as claim:
                os.replace(folder, claim.work)
        except OSError as error:
            raise ModelError(
                expected="a folder that can be removed", got=f"{folder}: {reason(error)}", do="make it writable"
            ) from error
    return model


def _folders(place: str) -> list[Path]:
    """The finished folders in a part of the cache."""
    try:
        return sorted(path for path in (home() / place).iterdir() if path.is_dir() and path.name[0] != ".")
    except OSError:
        return []


def _about(folder: Path) -> tuple[str, str, str]:
    """A model's name, title and SHA-256; the folder's name where its manifest cannot be read."""
    known = KNOWN_MODELS.get(folder.name)
    try:
        manifest: Any = load_json(folder / "manifest.json")
        source, files = manifest.get("source") or {}, manifest["files"]
        title = known.title if known else str(source.get("title", ""))
        return str(manifest["id"]), title, str(files["model.safetensors"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return folder.name, "damaged: its manifest cannot be read", ""


def _cached(name: str, title: str, usable: bool, *folders: Path) -> CachedModel:
    size = 0
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        with suppress(OSError):  # another command may remove it meanwhile
            size += path.stat().st_size
    return CachedModel(name, title, folders, size, usable)
