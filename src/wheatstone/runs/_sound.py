"""A run that came from anyone: what reading it gives besides errors of files, said as one kind of error."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wheatstone._errors import RunError, WheatstoneError
from wheatstone._path import StrPath


@contextmanager
def sound(run: StrPath) -> Generator[None, None, None]:
    """Says of a run whose documents or tables are not of its format that the run is damaged.

    When this misleads: a mistake in what reads the run is reported as damage too; the error's cause has the traceback.

    Raises:
        RunError: instead of the errors that reading it gives.
    """
    run = Path(run)
    try:
        yield
    except (WheatstoneError, OSError):
        raise
    except Exception as error:  # pyarrow's, altair's and jinja2's have no root in common
        raise RunError(
            expected="a run as Wheatstone writes it",
            got=f"{run}: {error!r}".replace("\n", " ")[:500],
            do="check it with `wheatstone runs check`, or make it again",
        ) from error
