"""What the disk refuses, in words."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from wheatstone._errors import ComputationError, reason
from wheatstone._path import StrPath


@contextmanager
def room_for(expected: str, where: StrPath, do: str) -> Generator[None]:
    """Converts an OSError of what is written inside it.

    Args:
        expected: such as `room and permission to write the run`, which people search for.
        where: the file or folder.
        do: the next step for the reader.

    Raises:
        ComputationError: something could not be written.
    """
    try:
        yield
    except OSError as error:
        raise ComputationError(expected=expected, got=f"{where}: {reason(error)}", do=do) from error
