"""Jobs on disk: one file each, of JSON lines. The first says what was asked for, each other one what happened."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wheatstone._json import read_bounded
from wheatstone._text import lines_of
from wheatstone.studio._jobs_schema import JobEvent, JobRequest

KEPT = 50
"""Jobs that are remembered."""
_LARGEST = 1 << 26
"""Bytes of a journal that is read."""


class Asked(BaseModel):
    """The first line."""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    created: str
    request: JobRequest


@dataclass(eq=False)
class Journal:
    """A job's file, read or begun.

    Args:
        path: of the file.
        asked: what for.
        events: what happened; only ever longer.
    """

    path: Path
    asked: Asked
    events: list[JobEvent] = field(default_factory=list)
    unsaved: list[str] = field(default_factory=list[str])
    """Events that could not be written yet, as lines; they are written before the next one."""

    @property
    def last(self) -> JobEvent:
        """The newest event."""
        return self.events[-1]

    @property
    def ended(self) -> bool:
        """Whether nothing more happens unless it is started again."""
        return self.last.state not in ("queued", "running")

    def begin(self) -> None:
        """Writes the first line.

        Raises:
            OSError: it could not be written; nothing is left.
        """
        try:
            self.path.write_text(self.asked.model_dump_json(), encoding="utf-8")
        except OSError:
            self.path.unlink(missing_ok=True)
            raise

    def add(self, event: JobEvent) -> None:
        """Notes an event and writes it. What cannot be written is kept until it can.

        Raises:
            OSError: it could not be written; it is noted all the same.
        """
        self.events.append(event)
        self.unsaved.append(event.model_dump_json(exclude_defaults=True))
        self.save()

    def save(self) -> None:
        """Writes what could not be written before.

        Raises:
            OSError: it still cannot.
        """
        with self.path.open("ab", buffering=0) as file:
            while self.unsaved:
                line = f"\n{self.unsaved[0]}".encode()  # the newline first, so that a line cut short is left behind
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                del self.unsaved[0]


def sent_file(folder: Path, name: str) -> Path:
    """Where a file that was sent is kept until no job reads it.

    Args:
        folder: of the jobs.
        name: its SHA-256.
    """
    return folder / "sent" / f"{name}.json"


def read_journals(folder: Path) -> list[Journal]:
    """The jobs that can be read, oldest first; a line that a crash cut short is passed over."""
    found: list[Journal] = []
    for path in folder.glob("*.jsonl"):
        try:
            first, *rest = lines_of(read_bounded(path, _LARGEST).decode())
            journal = Journal(path, Asked.model_validate_json(first))
        except (OSError, ValueError):
            continue
        for line in rest:
            with contextlib.suppress(ValidationError):
                journal.events.append(JobEvent.model_validate_json(line))
        if journal.events:
            found.append(journal)
    return sorted(found, key=lambda journal: journal.asked.created)
