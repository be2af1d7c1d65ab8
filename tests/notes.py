"""Shards that leave notes of how often, and in which process, they were run, and die or wait when told to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheatstone._progress import Reporter
from wheatstone.executors import Done
from wheatstone.models import ResidualModel


@dataclass(frozen=True)
class Note:
    """A shard that writes what the model says after two words.

    Args:
        name: of the shard.
        notes: folder of what the test looks at: `NAME.N` holds the process of the N-th time, from 0.
        kills: how often it ends its process before it lets it live.
        waits: whether it waits for the file `go` in that folder.
    """

    name: str
    notes: Path
    kills: int = 0
    waits: bool = False

    @property
    def content(self) -> dict[str, Any]:
        return {"note": self.name}

    def run(self, model: ResidualModel, folder: Path, report: Reporter, /) -> None:
        before = len(list(self.notes.glob(f"{self.name}.*")))
        partial = self.notes / f"partial-{self.name}"
        partial.write_text(str(os.getpid()))
        partial.rename(self.notes / f"{self.name}.{before}")
        if before < self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        while self.waits and not (self.notes / "go").exists():
            time.sleep(0.02)
        logits = model.forward(model.tokens([f"w{len(self.name)} w2 w3"])).logits
        (folder / "deep").mkdir()
        (folder / "deep" / "logits.bin").write_bytes(logits.numpy().tobytes())
        (folder / "name.txt").write_text(self.name)


def notes(folder: Path, count: int, **of: dict[str, Any]) -> list[Note]:
    """Shards `n0`, `n00`, … that leave their notes in a new folder; `of` has what is special about some."""
    folder.mkdir(exist_ok=True)
    names = ["n" + "0" * (index + 1) for index in range(count)]
    return [Note(name, folder, **of.get(name, {})) for name in names]


def by_name(results: Sequence[Done]) -> dict[str, tuple[dict[str, bytes], str | None]]:
    """What came of each, whatever the order and the time."""
    assert len({done.shard for done in results}) == len(results)
    return {done.shard: (done.files, done.refused) for done in results}


def times_run(shard: Note) -> int:
    """How often it was begun."""
    return len(list(shard.notes.glob(f"{shard.name}.*")))


def processes_of(folder: Path) -> set[int]:
    """Every process that a shard of this folder ran in."""
    return {int(path.read_text()) for path in folder.glob("n*.*")}


def wait_until(true: Any, what: str, seconds: float = 240) -> None:
    """Waits for a condition, however slow the machine is."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


def gone(process: int) -> bool:
    """Whether it has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def same_bytes(out: Path) -> dict[str, bytes]:
    """A folder's files but for those that say when and how fast they were made. Nothing hidden is left in it."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    assert not [path for path in paths if path.name.startswith(".")]
    timed = {"shard.json", "files.json", "manifest.json", "report.html"}
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in paths if path.name not in timed}
