"""Jobs on disk: one file each, of JSON lines. The first says what was asked for, each other one what happened."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from wheatstone._text import lines_of
from wheatstone.studio._jobs_schema import JobEvent, JobRequest

KEPT = 50
"""Jobs that are remembered."""


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

    @property
    def last(self) -> JobEvent:
        """Where the job stands."""
        return self.events[-1]

    @property
    def ended(self) -> bool:
        """Whether nothing more happens unless it is started again."""
        return self.last.state not in ("queued", "running")

    def begin(self) -> None:
        """Writes the first line."""
        self.path.write_text(self.asked.model_dump_json(), encoding="utf-8")

    def add(self, event: JobEvent) -> None:
        """Notes an event, on disk first."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + event.model_dump_json(exclude_defaults=True))  # a line cut short is left behind
        self.events.append(event)


def read_journals(folder: Path) -> list[Journal]:
    """The jobs that can be read, oldest first; a line that a crash cut short is passed over."""
    found: list[Journal] = []
    for path in folder.glob("*.jsonl"):
        try:
            first, *rest = lines_of(path.read_text(encoding="utf-8"))
            journal = Journal(path, Asked.model_validate_json(first))
        except (OSError, ValueError):
            continue
        for line in rest:
            with contextlib.suppress(ValidationError):
                journal.events.append(JobEvent.model_validate_json(line))
        if journal.events:
            found.append(journal)
    return sorted(found, key=lambda journal: journal.asked.created)
