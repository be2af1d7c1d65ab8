"""A ledger as a folder: `ledger.json`, which lists the edits in their order, and each edit in `edits/NUMBER`.

A change of a ledger is put in place as a whole: `ledger.json` names every edit by its hashes, and a folder that it does
not name does not belong to the ledger.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wheatstone._disk import changed, claimed_for, finish_changes, room_for
from wheatstone._errors import RunError, reason
from wheatstone._json import load_json, sha256_of
from wheatstone._path import StrPath
from wheatstone.editing._ledger import Ledger, LedgerEntry
from wheatstone.editing._stored import StoredModel, edit_files, load_edit

FORMAT = "wheatstone.ledger/1"
_LARGEST = 1 << 33
"""Bytes of a file of an edit, at most."""
_SHA256 = Field(pattern=r"^[0-9a-f]{64}$")


class _Model(StoredModel):
    precision: str


class _Listed(BaseModel):
    """One edit in `ledger.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int = Field(ge=1, le=1_000_000_000)
    sha256: str = _SHA256
    files: dict[Literal["edit.json", "edit.safetensors"], str]


class _Stored(BaseModel):
    """`ledger.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["wheatstone.ledger/1"]
    model: _Model
    edits: tuple[_Listed, ...]
    base: dict[str, str]
    weights: dict[str, str]
    next_number: int = Field(ge=1, le=1_000_000_001)


def is_ledger(folder: StrPath) -> bool:
    """Whether a folder holds a ledger."""
    folder = Path(folder)
    with suppress(OSError):
        finish_changes(folder)
    return (folder / "ledger.json").is_file()


def open_ledger(folder: StrPath) -> Ledger:
    """Reads a ledger. A change that a killed process had completed is put in place first.

    Args:
        folder: of the ledger.

    Raises:
        RunError: a file is missing, damaged or of another form.
    """
    folder = Path(folder)
    stored = _read(folder)
    if damaged := _damaged(folder, stored):
        raise RunError(
            expected="a ledger whose files are as they were written",
            got=f"{folder}: {damaged[0]}" + (f" and {len(damaged) - 1:,} more" if len(damaged) > 1 else ""),
            do="put them back from a copy, or undo the edit they belong to (`wheatstone edit undo --damaged`)",
        )
    return _ledger(folder, stored)


def open_sound(folder: StrPath) -> tuple[Ledger, list[int]]:
    """The ledger without its damaged edits, and the numbers of these.

    Args:
        folder: of the ledger.

    Raises:
        RunError: `ledger.json` is missing, damaged or of another form.
    """
    folder = Path(folder)
    stored = _read(folder)
    bad = {edit.number for edit in stored.edits if _damaged(folder, stored, edit.number)}
    kept = tuple(edit for edit in stored.edits if edit.number not in bad)
    return _ledger(folder, stored.model_copy(update={"edits": kept})), sorted(bad)


def damaged_edits(folder: StrPath) -> list[str]:
    """Files of a ledger's edits that are missing or are not as they were written.

    Args:
        folder: of the ledger.

    Raises:
        RunError: `ledger.json` is missing, damaged or of another form.
    """
    folder = Path(folder)
    return _damaged(folder, _read(folder))


@contextmanager
def reserved_ledger(folder: StrPath) -> Generator[None, None, None]:
    """Claims a ledger for a change, from before the work for it starts.

    Args:
        folder: of the ledger, or of one to begin.

    Raises:
        RunError: something else is there, another command changes the ledger, or nothing can be written there.
    """
    folder = Path(folder).absolute()

    def check() -> None:
        if folder.exists() and not is_ledger(folder) and (not folder.is_dir() or any(folder.iterdir())):
            raise RunError(
                expected="the folder of a ledger, or an empty or new folder",
                got=f"{folder}, which holds something else",
                do="name another folder",
            )

    with claimed_for(folder, check):
        yield


def save_ledger(ledger: Ledger, folder: StrPath) -> None:
    """Writes a ledger into a folder; the one that is there is changed as a whole or not at all.

    Args:
        ledger: the ledger.
        folder: where to; edits that are there already are not written again.

    Raises:
        RunError: something else is there, or another command changes the ledger.
        ComputationError: a file could not be written; the ledger is as it was.
    """
    folder = Path(folder)
    with (
        reserved_ledger(folder),
        room_for("room and permission to write the ledger", folder, "free some space; the ledger is as it was"),
    ):
        _save(ledger, folder)


def _save(ledger: Ledger, folder: Path) -> None:
    there = {edit.number: edit for edit in _read(folder).edits} if is_ledger(folder) else {}
    folder.mkdir(parents=True, exist_ok=True)
    with changed(folder) as change:
        listed: list[_Listed] = []
        for entry in ledger.entries:
            known = there.get(entry.number)
            if known is None or known.sha256 != entry.edit.sha256:
                files = edit_files(entry.edit)
                for name, data in files.items():
                    change.file(f"edits/{entry.number}/{name}").write_bytes(data)
                hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
                about = {"number": entry.number, "sha256": entry.edit.sha256, "files": hashes}
                known = _Listed.model_validate(about)
            listed.append(known)
        stored = _Stored(
            format=FORMAT,
            model=_Model(id=ledger.model_id, sha256=ledger.model_sha256, precision=ledger.precision),
            edits=tuple(listed),
            base=dict(ledger.base),
            weights=dict(ledger.weights),
            next_number=ledger.next_number,
        )
        text = json.dumps(stored.model_dump(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        change.file("ledger.json").write_text(text, encoding="utf-8")
    _clear_unlisted(folder, {str(entry.number) for entry in ledger.entries})


def _clear_unlisted(folder: Path, numbers: set[str]) -> None:
    """Removes the folders of edits that have been undone."""
    with suppress(OSError):
        for left in (folder / "edits").iterdir():
            if left.name not in numbers and left.name.isdecimal():
                shutil.rmtree(left, ignore_errors=True)
        if not numbers:
            (folder / "edits").rmdir()


def _read(folder: Path) -> _Stored:
    with suppress(OSError):
        finish_changes(folder)
    try:
        return _Stored.model_validate(load_json(folder / "ledger.json"))
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{first['msg']} at {'.'.join(map(str, first['loc']))}" if first else reason(error)
        raise RunError(
            expected=f"the folder of a ledger of format {FORMAT}",
            got=f"{folder}: {said}",
            do="give the folder that `wheatstone edit add` wrote",
        ) from error


def _damaged(folder: Path, stored: _Stored, number: int | None = None) -> list[str]:
    found: list[str] = []
    for edit in stored.edits:
        for name, wanted in edit.files.items() if number in (None, edit.number) else ():
            path = f"edits/{edit.number}/{name}"
            try:
                if sha256_of(folder / path, _LARGEST) != wanted:
                    found.append(f"{path}: changed")
            except (OSError, ValueError) as error:
                found.append(f"{path}: {getattr(error, 'strerror', None) or error}")
    return found


def _ledger(folder: Path, stored: _Stored) -> Ledger:
    entries = tuple(LedgerEntry(edit.number, load_edit(folder / "edits" / str(edit.number))) for edit in stored.edits)
    shapes: dict[str, set[tuple[int, int]]] = {}
    for entry in entries:
        for name, delta in entry.edit.deltas.items():
            shapes.setdefault(name, set()).add(delta.shape)
    several = [name for name, found in shapes.items() if len(found) > 1]
    lacking = [name for name in shapes if name not in stored.base or name not in stored.weights]
    if several or lacking:
        raise RunError(
            expected="edits that fit each other, and a hash of every weight that they touch",
            got=f"{folder}: {'several shapes' if several else 'no hash'} of {(several or lacking)[0]}",
            do="put ledger.json back from a copy",
        )
    return Ledger(
        model_id=stored.model.id,
        model_sha256=stored.model.sha256,
        precision=stored.model.precision,
        entries=entries,
        base={name: stored.base[name] for name in shapes},
        weights={name: stored.weights[name] for name in shapes},
        next_number=stored.next_number,
    )
