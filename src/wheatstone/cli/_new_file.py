"""A file that a verb writes: whole or not at all."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wheatstone._disk import NO_ROOM, Claim, claimed_for, remove
from wheatstone._errors import ComputationError, RunError, reason


def check_new(path: Path, *, force: bool) -> None:
    """Refuses a file that must not be written.

    Raises:
        RunError: it is there and may not be replaced, or its folder is not.
    """
    if path.exists() and not path.is_file():  # not even with force: renaming would put a file in a device's place
        raise RunError(expected="a file to write", got=f"{path}, which is no regular file", do="choose another --out")
    if path.exists() and not force:
        raise RunError(expected="a new file", got=f"{path}, which exists", do="choose another --out or use --force")
    if not path.absolute().parent.is_dir():
        raise RunError(
            expected="an existing folder", got=str(path.absolute().parent), do="make it, or choose another --out"
        )


@contextmanager
def reserved_file(path: Path | None, *, force: bool) -> Generator[Claim | None, None, None]:
    """Claims a file before the work for it starts; `new_file` inside it uses the same claim.

    Args:
        path: of the file; None where none is to be written.
        force: whether a file that is there may be replaced.

    Raises:
        RunError: see `check_new`; or another command is writing it, or nothing can be written there.
    """
    if path is None:
        yield None
        return
    with claimed_for(path, lambda: check_new(path, force=force)) as claim:
        yield claim


@contextmanager
def new_file(path: Path, *, force: bool) -> Generator[Path, None, None]:
    """A path to write to that takes the place of `path` when all went well; otherwise nothing is left of it.

    Raises:
        RunError: see `reserved_file`.
        ComputationError: there is no room for it.
    """
    with reserved_file(path, force=force) as claim:
        assert claim is not None
        partial = claim.work / path.name
        try:
            claim.work.mkdir()
            yield partial
            check_new(path, force=force)
            claim.put(partial)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise ComputationError(
                expected=f"room to write {path}", got=reason(error), do="free some space, or choose another --out"
            ) from error
        finally:
            remove(claim.work)
