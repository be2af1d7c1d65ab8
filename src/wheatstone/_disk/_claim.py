"""A place to write to, claimed by one process from before its work until the result is in place.

A claim on `NAME` is the hidden folder `.NAME.partial-wheatstone` next to it: `lock`, which is locked while the process
lives, `work`, which is what is not whole yet, and `old`, which is an older result between two renames. `commit` holds
the files of a change that is complete and only has to be put in place.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wheatstone._disk._commit import apply
from wheatstone._disk._exchange import put, remove
from wheatstone._disk._lock import LOCK, owner_of, release, take
from wheatstone._errors import RunError
from wheatstone._home import home
from wheatstone._path import StrPath
from wheatstone._progress import Reporter

MARK = ".partial-wheatstone"
_PATIENCE = 0.5
"""Seconds to wait for a process that only clears what a killed one left."""
_PAUSE = 0.02
_HELD: ContextVar[dict[Path, Claim]] = ContextVar("held")


@dataclass(frozen=True)
class Claim:
    """A claimed place.

    Args:
        place: where the result goes.
        folder: hidden, next to it, for what is not whole yet.
    """

    place: Path
    folder: Path

    @property
    def work(self) -> Path:
        """Where what is not whole yet goes; a free name."""
        return self.folder / "work"

    def put(self, made: Path) -> None:
        """Puts something finished, which lies in the claim's folder, in the place.

        Raises:
            OSError: it could not be put there; what was there before is there still.
        """
        put(made, self.place, self.folder / "old")


@contextmanager
def claimed(
    place: StrPath, *, wait: float | None = 0.0, report: tuple[Reporter, str] | None = None
) -> Generator[Claim, None, None]:
    """Claims a place for as long as the context lasts. Inside it, the same thread may claim the place again.

    What a killed process left there is cleared, and an older result that it had moved aside is put back. In the same
    folder, all else that belongs to no living process is cleared too. Missing folders above the place are made, and
    removed again where they stay empty.

    Args:
        place: a file or folder, which may be there or not.
        wait: seconds to wait for another process that holds it; None for as long as it takes.
        report: progress callback and name of the stage to report while waiting.

    Raises:
        RunError: another process holds the place.
        OSError: nothing can be written next to the place.
    """
    place = Path(os.path.abspath(place))
    held = _HELD.get({})
    if place in held:
        yield held[place]
        return
    made = [path for path in place.parents if not path.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder = claim_folder(place)
        lock = _take(folder, place, wait, report)
        token = None
        try:
            clear_claim(place, folder)
            _clear_older_form(place)
            clear_dead(place.parent)
            clear_dead(place)
            _clear_cache(str(home()))
            claim = Claim(place, folder)
            token = _HELD.set(held | {place: claim})
            yield claim
        finally:
            if token is not None:
                _HELD.reset(token)
            with suppress(OSError):
                clear_claim(place, folder)
            release(folder, lock)
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def claimed_for(place: Path, check: Callable[[], object]) -> Generator[Claim, None, None]:
    """Claims the place of a result that a person named, before the work for it starts.

    Args:
        place: the file or folder.
        check: refuses a place that is taken; called when an older result that a killed process moved aside is back.

    Raises:
        RunError: what `check` raises; another process holds the place, or nothing can be written there.
    """
    with suppress(OSError):
        clear_place(place)
    check()
    with ExitStack() as stack:
        try:
            claim = stack.enter_context(claimed(place))
        except OSError as error:
            raise RunError(
                expected="a folder that can be written", got=f"{place}: {error.strerror}", do="choose another --out"
            ) from error
        yield claim


def claim_folder(place: Path) -> Path:
    """The hidden folder of a claim on a place.

    Raises:
        RunError: the place is the root of a file system, next to which nothing can be.
    """
    if not place.name:
        raise RunError(expected="a file or folder inside another", got=str(place), do="name one inside it")
    return place.with_name(f".{place.name}{MARK}")


def place_of(folder: Path) -> Path:
    """The place that a claim's folder is for."""
    return folder.with_name(folder.name[1 : -len(MARK)])


def _take(folder: Path, place: Path, wait: float | None, report: tuple[Reporter, str] | None) -> int:
    until = None if wait is None else time.monotonic() + max(wait, _PATIENCE)
    while (lock := take(folder)) is None:
        if report:
            report[0](report[1], 0, None)
        if until is not None and time.monotonic() > until:
            raise _busy(folder, place)
        time.sleep(_PAUSE)
    return lock


def _busy(folder: Path, place: Path) -> RunError:
    process, since = owner_of(folder) or (0, "")
    who = f" (process {process}, since {since})" if process else ""
    return RunError(
        expected="a place that no other command is writing to",
        got=f"{place}, where one is running{who}",
        do="wait for it, or write somewhere else",
    )


def clear_claim(place: Path, folder: Path) -> None:
    """Finishes or takes back what was begun under a claim, whose folder this process holds.

    Raises:
        OSError: a committed change or an older result could not be put in its place.
    """
    if (folder / "commit").is_dir():
        apply(folder / "commit", place.parent)
    if os.path.lexists(folder / "old") and not os.path.lexists(place):
        os.replace(folder / "old", place)
    for entry in list(folder.iterdir()):
        if entry.name != LOCK:
            remove(entry)


def clear_dead(folder: Path) -> list[Path]:
    """Clears what belongs to no living process in a folder.

    Returns:
        The claims that were cleared.
    """
    cleared: list[Path] = []
    for left in claims_in(folder):
        with suppress(OSError):
            if (lock := take(left, make=False)) is not None:
                try:
                    clear_claim(place_of(left), left)
                    cleared.append(left)
                finally:
                    release(left, lock)
    return cleared


@cache
def _clear_cache(folder: str) -> None:
    """Once in a process, the same for the cache folder and two levels below it."""
    for path in (Path(folder), *Path(folder).glob("[!.]*/"), *Path(folder).glob("[!.]*/[!.]*/")):
        clear_dead(path)


def claims_in(folder: Path) -> list[Path]:
    """Folders of claims in a folder, of living processes and of killed ones."""
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name for entry in entries if entry.name.endswith(MARK) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name.startswith(".") and len(name) > len(MARK) + 1]


def clear_place(place: StrPath, *, older: bool = True) -> None:
    """Clears what killed processes left of a place, next to it and inside it; leaves what belongs to living ones.

    Args:
        place: which.
        older: whether to look for what earlier versions left too, which takes a look at every name next to it.

    Raises:
        OSError: an older result could not be put back.
    """
    place = Path(os.path.abspath(place))
    folder = claim_folder(place)
    if folder.is_dir() and (lock := take(folder, make=False)) is not None:
        try:
            clear_claim(place, folder)
        finally:
            release(folder, lock)
    if older:
        _clear_older_form(place)
    clear_dead(place)


def _clear_older_form(place: Path) -> None:
    """Likewise of earlier versions, which left `.NAME.partial-RANDOM`, with the older result as `old` in it."""
    for left in place.parent.glob(f".{glob.escape(place.name)}.partial-*"):
        if left.name.endswith(MARK):
            continue
        if os.path.lexists(left / "old") and not os.path.lexists(place):
            os.replace(left / "old", place)
        remove(left)
