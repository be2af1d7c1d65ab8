"""A folder that long work fills bit by bit: it goes on where it stopped, and only where it began the same way."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from wheatstone._disk import NO_ROOM, claimed, linked, remove
from wheatstone._errors import ComputationError, RunError, reason
from wheatstone._path import StrPath
from wheatstone.runs import check_free, new_run, read_json, write_hashes, write_json


def settings_file(verb: str) -> str:
    """Name of the file that says what the results of a verb's work depend on."""
    return f"{verb}-settings.json"


def open_resumable(out: StrPath, verb: str, identity: dict[str, Any] | None = None) -> None:
    """Makes the folder, or checks that the work may go on there.

    Args:
        out: the folder.
        verb: the work, such as `study`.
        identity: what its results depend on; None only looks whether the folder is free or holds such work.

    Raises:
        RunError: the folder holds something else, or such work with other settings.
    """
    out = Path(out)
    settings = settings_file(verb)
    if not (out / settings).is_file():
        check_free(out, force=False)
        if identity is not None:
            with new_run(out) as work:  # at once: a folder without its settings would never be gone on with
                write_json(work / settings, identity)
        return
    there = read_json(out, settings)
    if identity is not None and there != identity:
        raise RunError(
            expected=f"the {verb} in {out} to go on as it began",
            got="another " + "; another ".join(_differences(there, identity)),
            do="repeat its settings, or choose another --out",
        )


def work_begun(out: StrPath) -> dict[str, Any] | None:
    """What unfinished work in a folder is: its `verb`, and the `identity` it began with; None where there is none."""
    out = Path(out)
    for path in out.glob("*-settings.json"):
        return {"verb": path.name.removesuffix("-settings.json"), "identity": read_json(out, path.name)}
    return None


def _differences(there: Any, asked: dict[str, Any], before: str = "") -> list[str]:
    found: list[str] = []
    for key, value in asked.items():
        old = there.get(key) if isinstance(there, dict) else None
        if isinstance(value, dict):
            found += _differences(old, value, f"{before}{key} ")
        elif old != value:
            found.append(f"{before}{key}: {value!r}, where it began with {old!r}")
    return found


@contextmanager
def alone_in(out: StrPath, verb: str) -> Generator[None, None, None]:
    """Claims the folder of a verb's work, before the model is loaded: a second process would write over what the first
    has finished.

    Where the work is refused before anything is finished, no empty folder is left.

    Raises:
        RunError: the folder holds something else, another process is at work there, or it cannot be written.
        ComputationError: the disk failed or is full; what is finished is kept.
    """
    out = Path(out).absolute()
    open_resumable(out, verb)
    new = not out.exists()
    with ExitStack() as stack:
        try:
            stack.enter_context(claimed(out))
        except OSError as error:
            raise RunError(
                expected=f"a folder that the {verb} can be written to",
                got=f"{out}: {reason(error)}",
                do="choose another --out",
            ) from error
        if new:
            stack.callback(_remove_empty, out)
        try:
            yield
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise ComputationError(
                expected=f"room and permission to write the {verb}",
                got=f"{error.filename or out}: {reason(error)}",
                do="free some space; what is finished is kept, and the same command continues from there",
            ) from error


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # it holds something, or was never made
        folder.rmdir()


@contextmanager
def finished(out: StrPath, *kept: str) -> Generator[Path, None, None]:
    """A folder that replaces a claimed one, as a run, when the context ends: until then the work is unfinished.

    Args:
        out: the folder that was filled bit by bit.
        kept: files and folders of it that are in the new one from the start. They must not be written to.

    Raises:
        OSError: a file could not be written; `out` is as it was.
    """
    with claimed(out) as claim:
        try:
            claim.work.mkdir()
            linked(claim.place, claim.work, kept)
            yield claim.work
            write_hashes(claim.work)
            claim.put(claim.work)
        finally:
            remove(claim.work)
