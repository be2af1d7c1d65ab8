"""A run is a folder: written whole or not at all, and checked when it is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from wheatstone._disk import (
    Change,
    Claim,
    changed,
    claimed,
    claimed_for,
    clear_dead,
    clear_place,
    remove,
    room_for,
)
from wheatstone._errors import RunError, reason
from wheatstone._json import load_json
from wheatstone._path import StrPath
from wheatstone.runs._contents import command_of
from wheatstone.runs._documents import SHAPES, check_document

FORMAT = "wheatstone.run/1"
_HASHES = "files.json"
_ADDED = SHAPES.keys() - {"manifest.json", "circuit.json"}
"""Documents that are checked together: a manifest is read first, a circuit where it is loaded, for it may be large."""


def check_free(out: StrPath, *, force: bool) -> None:
    """Refuses a folder that a run must not be written to.

    Args:
        out: where the run would go.
        force: whether a run that is there may be replaced. Anything else never is.

    Raises:
        RunError: the folder is taken.
    """
    out = Path(out)
    parent = next((path for path in out.absolute().parents if path.exists()), out)
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise RunError(expected="a folder that can be written", got=str(parent), do="choose another --out")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / "manifest.json").is_file():
        raise RunError(
            expected="an empty or new folder for the run",
            got=f"{out}, which holds something that is not a run",
            do="choose another --out",
        )
    if not force:
        raise RunError(
            expected="an empty or new folder for the run",
            got=f"{out}, which already holds a run",
            do="choose another --out, or replace the run with --force",
        )


@contextmanager
def reserved(out: StrPath, *, force: bool = False) -> Generator[Claim, None, None]:
    """Claims the folder of a run before the work for it starts; `new_run` inside it uses the same claim.

    Raises:
        RunError: `out` is taken, another command is writing to it, or it cannot be written.
    """
    out = Path(out).absolute()
    with claimed_for(out, lambda: check_free(out, force=force)) as claim:
        yield claim


@contextmanager
def new_run(out: StrPath, *, force: bool = False) -> Generator[Path, None, None]:
    """Gives a temporary folder near `out` and puts it in place when the work in it is done.

    An error, Ctrl-C, a kill or a full disk leaves no half run, and leaves an older run that was to be replaced.

    Raises:
        RunError: `out` is taken, or another command is writing to it.
        ComputationError: a file could not be written.
    """
    out = Path(out).absolute()
    with reserved(out, force=force) as claim:
        try:
            with room_for(
                "room and permission to write the run",
                out,
                "free some space or choose another --out; nothing was left behind",
            ):
                claim.work.mkdir()
                yield claim.work
                write_hashes(claim.work)
                check_free(out, force=force)
                claim.put(claim.work)
        finally:
            remove(claim.work)


@contextmanager
def new_part(run: StrPath, name: str) -> Generator[Path, None, None]:
    """Gives a temporary folder and puts it in place of a finished run's folder `name` when the work in it is done.

    An error, Ctrl-C, a kill or a full disk leaves the run as it was.

    Raises:
        RunError: another command is writing the same folder.
        ComputationError: a file could not be written.
    """
    with (
        part_reserved(run, name),
        room_for("room and permission to add to the run", Path(run) / name, "free some space; the run is as it was"),
        changed_run(run) as change,
    ):
        yield change.folder(name)


@contextmanager
def part_reserved(run: StrPath, name: str) -> Generator[None, None, None]:
    """Claims a folder of a finished run before the work for it starts; `new_part` inside it uses the same claim.

    Raises:
        RunError: another command is writing the same folder, or the run cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(claimed(Path(run) / name))
        except OSError as error:
            raise RunError(
                expected="a run that can be added to", got=f"{run}: {reason(error)}", do="make it writable, or copy it"
            ) from error
        yield


def changed_run(run: StrPath) -> AbstractContextManager[Change]:
    """Changes files and folders of a finished run together, with their hashes.

    Raises:
        OSError: a file could not be written; the run is as it was.
    """
    return changed(run, _note_hashes)


def clear_partial(place: StrPath) -> None:
    """Removes what a killed process left next to a run, or inside it next to a part."""
    with suppress(OSError):
        clear_place(place)
    clear_dead(Path(place).parent)


def read_json(run: StrPath, name: str) -> Any:
    """A JSON file of a run.

    Raises:
        RunError: it is missing or damaged, or a field of it is missing, of another type or out of range.
    """
    run = Path(run)
    document = _loaded(run, name)
    check_document(run, name, document)
    return document


def file_inside(run: Path, name: str) -> Path:
    """A file of a run by its name with ending.

    Raises:
        RunError: it is not there, or a link leads out of the run: a run may come from anyone, and what it links to is
            not part of it.
    """
    path = run / name
    if not path.is_file() or not path.resolve().is_relative_to(run.resolve()):
        raise RunError(
            expected=f"the file {name} inside the run",
            got=f"a link out of it at {path}" if path.is_file() else f"no {path}",
            do="check the run with `wheatstone runs check`, or make it again",
        )
    return path


def _loaded(run: Path, name: str) -> Any:
    if (run / name).is_file():
        file_inside(run, name)
    try:
        return load_json(run / name)
    except (OSError, ValueError) as error:
        got = f"{run}: {reason(error)}"
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            got = f"{run}, " + (
                f"a folder without a {name}" if run.is_dir() else "a file" if run.exists() else "which is not there"
            )
        raise RunError(
            expected=f"a run folder with a {name}",
            got=got,
            do="give the folder that --out named, or list runs with `wheatstone runs`",
        ) from error


def read_manifest(run: StrPath, *verbs: str) -> dict[str, Any]:
    """A run's manifest.

    Args:
        run: its folder.
        verbs: those that may have made it; any by default.

    Raises:
        RunError: there is no run, it is of another format version or verb, or a field is not of its type.
    """
    run = Path(run)
    _recover(run)
    manifest: Any = _loaded(run, "manifest.json")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise RunError(
            expected=f"a run of format {FORMAT}",
            got=f"{run} of format {found!r}",
            do="make the run again with this version of wheatstone",
        )
    check_document(run, "manifest.json", manifest)
    if verbs and manifest["verb"] not in verbs:
        raise RunError(
            expected="a run of " + " or ".join(f"`wheatstone {command_of(verb)}`" for verb in verbs),
            got=f"{run}, a run of {command_of(manifest['verb'])!r}",
            do="give the folder of such a run; `wheatstone runs` lists what there is",
        )
    return manifest


def read_sound_manifest(run: StrPath, *verbs: str) -> dict[str, Any]:
    """Likewise, after every other document of the run was checked: a damaged one is refused before the work, not after
    it. Sections of `explain` are made again one by one, and a circuit is checked where it is loaded.

    Raises:
        RunError: see `read_manifest` and `read_json`.
    """
    run = Path(run)
    manifest = read_manifest(run, *verbs)
    for name in sorted(_ADDED):
        if (run / name).exists():
            read_json(run, name)
    return manifest


def _recover(run: Path) -> None:
    """Finishes what a killed process had only to put in place: the older run, or a change."""
    with suppress(OSError):
        clear_place(run, older=not (run / "manifest.json").is_file())


def write_json(path: StrPath, value: Any) -> None:
    """Writes JSON by replacing the file at once; refuses NaN."""
    path = Path(path)
    _write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def add_file(run: StrPath, name: str, value: Any) -> None:
    """Adds a JSON file to a finished run, or replaces it, and notes its hash."""
    with changed_run(run) as change:
        write_json(change.file(name), value)


def add_text(run: StrPath, name: str, text: str) -> None:
    """Adds a text file to a finished run, or replaces it, and notes its hash."""
    with changed_run(run) as change:
        change.file(name).write_text(text, encoding="utf-8")


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def damaged_files(run: StrPath) -> list[str]:
    """Files of a run that are missing, not as they were written, or documents that Wheatstone does not write so."""
    run = Path(run)
    expected = _noted_hashes(run)
    if expected is None:
        return [_HASHES]
    return sorted(
        name for name, digest in expected.items() if not (_is_intact(run, name, digest) and _is_sound(run, name))
    )


def _is_sound(run: Path, name: str) -> bool:
    """Whether a document has its shape."""
    if PurePosixPath(name).name not in _ADDED:
        return True
    try:
        read_json(run, name)
    except RunError:
        return False
    return True


def write_hashes(run: StrPath) -> None:
    """Notes the hash of every file of a run."""
    run = Path(run)
    write_json(run / _HASHES, _hashes(run))


def _note_hashes(run: Path, change: Change) -> None:
    """Notes the hashes of the files of a change, and leaves the others.

    Hashing all again would take damage for what was written.
    """
    noted = _noted_hashes(run)
    if noted is not None:
        files, folders = change.named()
        others = {name: digest for name, digest in noted.items() if name.partition("/")[0] not in folders}
        ours = {name: _hash(path) for name, path in files.items()}
        write_json(change.file(_HASHES), dict(sorted((others | ours).items())))


def _noted_hashes(run: Path) -> dict[str, Any] | None:
    """The hashes as the file has them, which may be of any type: a run may come from anyone."""
    try:
        noted = load_json(run / _HASHES)
    except (OSError, ValueError):
        return None
    return noted if isinstance(noted, dict) else None


def _hashes(run: Path) -> dict[str, str]:
    paths = sorted(path for path in run.rglob("*") if path.is_file() and path != run / _HASHES)
    return {path.relative_to(run).as_posix(): _hash(path) for path in paths}


def _is_intact(run: Path, name: str, digest: object) -> bool:
    """Whether a file of a run has a hash; only what was noted is read, and other files in the folder are ignored."""
    inside = PurePosixPath(name)
    try:
        return (
            not inside.is_absolute()
            and ".." not in inside.parts
            and (run / name).is_file()
            and _hash(run / name) == digest
        )
    except (OSError, ValueError):  # a name that no file can have
        return False


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
