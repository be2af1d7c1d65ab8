"""A run is a folder: written whole or not at all, and checked when it is read."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wheatstone._errors import ComputationError, RunError
from wheatstone._json import load_json
from wheatstone._path import StrPath
from wheatstone.runs._sound import check_manifest

FORMAT = "wheatstone.run/1"
_HASHES = "files.json"
CIRCUITS = ("discover", "import")
"""Verbs whose runs hold one circuit."""


def check_free(out: StrPath, *, force: bool) -> None:
    """Refuses a folder that a run must not be written to.

    Args:
        out: where the run would go.
        force: whether a run that is there may be replaced. Anything else never is.

    Raises:
        RunError: the folder is taken.
    """
    out = Path(out)
    parent = next(path for path in out.absolute().parents if path.exists())
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
def new_run(out: StrPath, *, force: bool = False) -> Generator[Path, None, None]:
    """Gives a temporary folder beside `out` and puts it in place when the work in it is done.

    An error, Ctrl-C or a full disk leaves no half run, and leaves an older run that was to be replaced.

    Raises:
        RunError: `out` is taken.
        ComputationError: a file could not be written.
    """
    out = Path(out)
    out = out.absolute()
    check_free(out, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        clear_partial(out)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    except OSError as error:
        raise RunError(
            expected="a folder that can be written", got=f"{out}: {error.strerror}", do="choose another --out"
        ) from error
    try:
        yield work
        write_hashes(work)
        work.chmod(0o755)
        check_free(out, force=force)
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
            try:
                os.replace(out, old / "old")
                os.replace(work, out)
            finally:
                if not out.exists():
                    os.replace(old / "old", out)
                shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(work, out)
    except OSError as error:
        raise ComputationError(
            expected="room and permission to write the run",
            got=f"{out}: {error.strerror or error}",
            do="free some space or choose another --out; nothing was left behind",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def new_part(run: StrPath, name: str) -> Generator[Path, None, None]:
    """Gives a temporary folder and puts it in place of a finished run's folder `name` when the work in it is done.

    An error, Ctrl-C or a full disk leaves the run as it was.

    Raises:
        ComputationError: a file could not be written.
    """
    run = Path(run)
    part = run / name
    try:
        clear_partial(part)
        work = Path(tempfile.mkdtemp(prefix=f".{name}.partial-", dir=run))
        try:
            made, old = work / "new", work / "old"
            made.mkdir()
            yield made
            if part.exists():
                os.replace(part, old)
            try:
                os.replace(made, part)
            finally:
                if not part.exists():
                    os.replace(old, part)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        _note_hashes(run, name)
    except OSError as error:
        raise ComputationError(
            expected="room and permission to add to the run",
            got=f"{part}: {error.strerror or error}",
            do="free some space; the run is as it was",
        ) from error


def clear_partial(place: StrPath) -> None:
    """Removes what a killed process left beside a run, or inside it beside a part."""
    place = Path(place)
    for left in place.parent.glob(f".{glob.escape(place.name)}.partial-*"):
        shutil.rmtree(left, ignore_errors=True)


def read_json(run: StrPath, name: str) -> Any:
    """A JSON file of a run.

    Raises:
        RunError: it is missing or damaged.
    """
    run = Path(run)
    try:
        return load_json(run / name)
    except (OSError, ValueError) as error:
        raise RunError(
            expected=f"a run folder with a {name}",
            got=f"{run}: {getattr(error, 'strerror', None) or error}",
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
    manifest: Any = read_json(run, "manifest.json")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise RunError(
            expected=f"a run of format {FORMAT}",
            got=f"{run} of format {found!r}",
            do="make the run again with this version of wheatstone",
        )
    check_manifest(run, manifest)
    if verbs and manifest["verb"] not in verbs:
        raise RunError(
            expected="a run of " + " or ".join(f"`wheatstone {command_of(verb)}`" for verb in verbs),
            got=f"{run}, a run of {command_of(manifest['verb'])!r}",
            do="give the folder of such a run; `wheatstone runs` lists what there is",
        )
    return manifest


def command_of(verb: str) -> str:
    """The words of the command that a manifest's verb stands for."""
    return {"neuron": "neuron screen", "scan": "neuron scan"}.get(verb, verb)


def write_json(path: StrPath, value: Any) -> None:
    """Writes JSON by replacing the file at once; refuses NaN."""
    path = Path(path)
    _write_text(path, json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def add_file(run: StrPath, name: str, value: Any) -> None:
    """Adds a JSON file to a finished run, or replaces it, and notes its hash."""
    run = Path(run)
    write_json(run / name, value)
    _note_hashes(run, name)


def add_text(run: StrPath, name: str, text: str) -> None:
    """Adds a text file to a finished run, or replaces it, and notes its hash."""
    run = Path(run)
    _write_text(run / name, text)
    _note_hashes(run, name)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def damaged_files(run: StrPath) -> list[str]:
    """Files of a run that are missing or not as they were written."""
    run = Path(run)
    expected = _noted_hashes(run)
    if expected is None:
        return [_HASHES]
    found = _hashes(run)
    return sorted(name for name, digest in expected.items() if found.get(name) != digest)


def write_hashes(run: StrPath) -> None:
    """Notes the hash of every file of a run."""
    run = Path(run)
    write_json(run / _HASHES, _hashes(run))


def _note_hashes(run: Path, name: str) -> None:
    """Notes the hash of one file, or of all in one folder, and leaves the others.

    Hashing all again would take damage for what was written.
    """
    noted = _noted_hashes(run)
    if noted is not None:
        others = {path: digest for path, digest in noted.items() if path != name and not path.startswith(f"{name}/")}
        paths = [run / name] if (run / name).is_file() else (run / name).rglob("*")
        ours = {path.relative_to(run).as_posix(): _hash(path) for path in paths if path.is_file()}
        write_json(run / _HASHES, dict(sorted((others | ours).items())))


def _noted_hashes(run: Path) -> dict[str, str] | None:
    try:
        noted = load_json(run / _HASHES)
    except (OSError, ValueError):
        return None
    return noted if isinstance(noted, dict) else None


def _hashes(run: Path) -> dict[str, str]:
    paths = sorted(path for path in run.rglob("*") if path.is_file() and path != run / _HASHES)
    return {path.relative_to(run).as_posix(): _hash(path) for path in paths}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
