"""A folder that long work fills bit by bit: it goes on where it stopped, and only where it began the same way."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wheatstone._errors import RunError
from wheatstone._path import StrPath
from wheatstone.runs._folder import check_free, new_run, read_json, write_json


def open_resumable(out: StrPath, settings: str, what: str, identity: dict[str, Any] | None = None) -> None:
    """Makes the folder, or checks that the work may go on there.

    Args:
        out: the folder.
        settings: name of the file that says what the results depend on.
        what: the work, such as `study`.
        identity: what goes into that file; None only looks whether the folder is free or holds such work.

    Raises:
        RunError: the folder holds something else, or such work with other settings.
    """
    out = Path(out)
    if not (out / settings).is_file():
        check_free(out, force=False)
        if identity is not None:
            with new_run(out) as work:  # at once: a folder without its settings would never be gone on with
                write_json(work / settings, identity)
        return
    there = read_json(out, settings)
    if identity is not None and there != identity:
        raise RunError(
            expected=f"the {what} in {out} to go on as it began",
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
def alone_in(out: Path, what: str) -> Generator[None, None, None]:
    """Keeps a second process out of the folder: each would write over what the other has finished.

    Work that ended without making its folder leaves no lock file either.
    """
    lock = FileLock(out.absolute().parent / f".{out.absolute().name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(
            expected=f"a folder that no other {what} is at work in",
            got=f"{out}, where one is running",
            do="wait for it, or choose another --out",
        ) from error
    try:
        yield
    finally:
        if not out.exists():
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
