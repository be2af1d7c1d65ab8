"""A file that a verb writes: whole or not at all."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wheatstone._errors import ComputationError, RunError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
def new_file(path: Path, *, force: bool) -> Generator[Path, None, None]:
    """A path to write to that takes the place of `path` when all went well; otherwise nothing is left of it.

    Raises:
        RunError: see `check_new`, or nothing can be written there.
        ComputationError: there is no room for it.
    """
    check_new(path, force=force)
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.partial-", dir=path.absolute().parent)
    except OSError as error:
        raise RunError(
            expected="a folder that can be written", got=f"{path}: {error.strerror}", do="choose another --out"
        ) from error
    with folder as work:
        partial = Path(work) / path.name
        try:
            yield partial
            partial.replace(path)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise ComputationError(
                expected=f"room to write {path}", got=str(error.strerror), do="free some space, or choose another --out"
            ) from error
