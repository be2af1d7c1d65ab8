"""What the list of runs says of each, kept in the cache: to read it from the documents takes some 10 ms a run.

`studio/lines.json` has for every listed run when its files were last changed, and what was read of them then.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wheatstone._disk import replaced
from wheatstone._home import home
from wheatstone._json import load_json
from wheatstone._version import __version__
from wheatstone.studio._schema import RunSummary

State = tuple[tuple[int, int], ...]
"""Time and size of the files that a line is read from."""
Facts = tuple[str, dict[str, Any]]
"""A run's verb, and what its line says."""
_MADE_BY = [__version__, *RunSummary.model_fields]
"""Lines of another version are read again."""


class Lines:
    """The lines of one listing: those that are kept, and those that it reads."""

    def __init__(self, kept: dict[str, tuple[State, Facts]]) -> None:
        self._kept, self.used = kept, dict[str, tuple[State, Facts]]()

    def of(self, path: Path, state: State, read: Callable[[Path], Facts]) -> Facts:
        """A run's line, read again only where its files have changed.

        Args:
            path: of the run.
            state: of its files now.
            read: reads it.
        """
        known = self._kept.get(str(path))
        facts = known[1] if known and known[0] == state else read(path)
        self.used[str(path)] = (state, facts)
        return facts


_LOCK = threading.Lock()
"""While runs are listed: another request of the list waits, for what is read is kept."""
_kept: dict[Path, dict[str, tuple[State, Facts]]] = {}
"""By the file that they are kept in."""


@contextmanager
def kept_lines() -> Generator[Lines, None, None]:
    """The lines that are kept; those that the listing used are kept when it ends."""
    record = home() / "studio" / "lines.json"
    with _LOCK:
        kept = _kept[record] if record in _kept else _read(record)
        lines = Lines(kept)
        yield lines
        _kept[record] = lines.used
        if lines.used != kept:
            _write(record, lines.used)


def _read(record: Path) -> dict[str, tuple[State, Facts]]:
    """What a file keeps; nothing where it is not there, is damaged, or was written by another version."""
    try:
        document: Any = load_json(record)
        if document["made_by"] != _MADE_BY:
            return {}
        return {
            path: (tuple((int(time), int(size)) for time, size in state), (str(verb), _checked(facts)))
            for path, (state, verb, facts) in document["lines"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _checked(facts: Any) -> dict[str, Any]:
    RunSummary(id="", path="", example=False, **facts)
    return facts


def _write(record: Path, lines: dict[str, tuple[State, Facts]]) -> None:
    document = {"made_by": _MADE_BY, "lines": {path: [state, *facts] for path, (state, facts) in lines.items()}}
    with suppress(OSError):  # without a record, runs are read again when the studio is started
        record.parent.mkdir(parents=True, exist_ok=True)
        with replaced(record) as partial:
            partial.write_text(json.dumps(document), encoding="utf-8")
