"""Single files, and tensors, written whole."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wheatstone._disk._claim import claimed
from wheatstone._errors import RunError
from wheatstone._path import StrPath

if TYPE_CHECKING:
    from torch import Tensor

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""Numbers of errors that say that nothing more can be written."""
_WAIT = 10.0
"""Seconds to wait for another process that writes the same file."""


@contextmanager
def replaced(path: StrPath) -> Generator[Path, None, None]:
    """A file to write to that replaces `path` when the context ends without an error.

    Raises:
        OSError: it could not be written, or another process writes it and does not end.
    """
    try:
        with claimed(path, wait=_WAIT) as claim:
            yield claim.work
            claim.put(claim.work)
    except RunError as error:
        raise BlockingIOError(errno.EAGAIN, error.got, str(path)) from error


@contextmanager
def system_errors(path: StrPath) -> Generator[None, None, None]:
    """Raises what a library written in Rust says of the system, such as a full disk, as the `OSError` that it is.

    Such a library (safetensors, tokenizers) raises an exception of its own, whose text names the error's number.

    Args:
        path: what it writes.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) or not (found := re.search(r"\(os error (\d+)\)", str(error))):
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error


def write_tensors(tensors: Mapping[str, Tensor], path: StrPath, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file.

    Raises:
        OSError: it could not be written.
    """
    from safetensors.torch import save_file

    with system_errors(path):
        save_file(dict(tensors), path, metadata=None if metadata is None else dict(metadata))
