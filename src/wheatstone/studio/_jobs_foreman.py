"""Does one job after the other in the worker's process: starts it, relays its progress, stops it, clears up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wheatstone._errors import RequestError, RunError
from wheatstone.runs import clear_partial
from wheatstone.studio._jobs_journal import Journal, sent_file
from wheatstone.studio._jobs_schema import Ask, Discover, Import, Question
from wheatstone.studio._jobs_worker import Ended, Order, Progress, Worker
from wheatstone.studio._library import Library, identity
from wheatstone.studio._schema import Problem

Why = Literal["cancelled", "interrupted", "late"]
"""Why a job is stopped: someone asked for it, the studio ends, or its time is over."""


@dataclass(frozen=True)
class Bounds:
    """How much jobs may take.

    Args:
        waiting: jobs in the queue.
        seconds: of one job.
        idle: seconds for which the worker, and the model in it, is kept without a job.
        patience: seconds a job has to stop before its process is killed.
        paths: whether a model may be given by its path on this machine.
    """

    waiting: int = 20
    seconds: float = 6 * 3600.0
    idle: float = 600.0
    patience: float = 15.0
    paths: bool = True


class _Rate:
    """How fast a stage is, from its first report on."""

    def __init__(self) -> None:
        self._stage, self._since, self._from = "", 0.0, 0.0

    def left(self, now: Progress, at: float) -> float | None:
        """Seconds that the stage will still take at the rate so far; None where that is not known."""
        if now.stage != self._stage:
            self._stage, self._since, self._from = now.stage, at, now.done
        made = now.done - self._from
        return None if now.total is None or made <= 0 else (now.total - now.done) * (at - self._since) / made


class Foreman:
    """Has the worker, and knows the job it is at.

    Args:
        library: where runs are looked up and new ones go.
        bounds: of a job.
        tell: notes what happens: (journal, state, the rest of the event).
    """

    def __init__(self, library: Library, bounds: Bounds, tell: Callable[..., None]) -> None:
        self._library, self._bounds, self._tell = library, bounds, tell
        self._worker: Worker | None = None
        self._stopped: tuple[Why, float] | None = None
        self._current: str | None = None
        self._lock = threading.Lock()

    @property
    def rests(self) -> bool:
        """Whether there is no worker."""
        return self._worker is None

    @property
    def stopping(self) -> bool:
        """Whether the job that runs was asked to stop."""
        return self._stopped is not None

    def do(self, journal: Journal) -> None:
        """Does a job from its start to its end, also if it fails."""
        try:
            folder = self._folder_for(journal)
            again = (folder / "manifest.json").is_file()
            if isinstance(journal.asked.request, Discover | Import):  # a job that is resumed continues in this folder
                self._tell(journal, "running", stage="starting", run=identity(str(folder)))
            self._hear_out(journal, self._start(journal, folder, again), folder)
        except RequestError as error:
            self._fail(journal, f"expected {error.expected}; got {error.got}", error.do)
        finally:
            self._current = self._stopped = None

    def stop(self, why: Why) -> None:
        """Has the job that runs stopped as Ctrl-C would; by force where it does not stop."""
        with self._lock:
            if self._stopped is None:
                self._stopped = (why, time.monotonic())
                if self._worker and self._current:
                    self._worker.send(self._current)

    def let_go(self) -> int | None:
        """Ends the worker, which gives its memory back; its exit code."""
        with self._lock:
            worker, self._worker = self._worker, None
        return worker.end(self._bounds.patience) if worker else None

    def _start(self, journal: Journal, folder: Path, again: bool) -> Worker:
        with self._lock:
            worker = self._worker = self._worker or Worker()
            self._current = journal.asked.id
            request = journal.asked.request
            sent = sent_file(journal.path.parent, request.file) if isinstance(request, Import) else None
            worker.send(Order(journal.asked.id, request, folder, again, sent))
            if self._stopped:  # the word came before there was anyone to hear it
                worker.send(journal.asked.id)
        return worker

    def _hear_out(self, journal: Journal, worker: Worker, folder: Path) -> None:
        until = time.monotonic() + self._bounds.seconds
        rate = _Rate()
        while True:
            try:
                heard = worker.hear(0.2)
            except EOFError:
                self._lost(journal, folder)
                return
            if isinstance(heard, Ended):
                self._ended(journal, heard, folder)
                return
            if heard:
                at = {"stage": heard.stage, "done": heard.done, "total": heard.total}
                self._tell(journal, "running", **at, left=rate.left(heard, time.monotonic()), **heard.about)
            now = time.monotonic()
            if now > until:
                self.stop("late")
            if self._stopped and now > self._stopped[1] + self._bounds.patience:
                worker.kill()

    def _ended(self, journal: Journal, ended: Ended, folder: Path) -> None:
        if ended.state == "cancelled":
            self._was_stopped(journal)
        elif ended.state == "done" and not isinstance(journal.asked.request, Question):
            self._tell(journal, "done", run=identity(str(folder)))
        else:
            self._tell(journal, ended.state, **ended.about)

    def _lost(self, journal: Journal, folder: Path) -> None:
        """The worker died, and could not clear up."""
        code = self.let_go()
        for place in (folder, folder / "explain"):
            clear_partial(place)
        if self._stopped:
            self._was_stopped(journal)
            return
        how = f"killed by signal {-code}" if code and code < 0 else f"ended with code {code}"
        self._fail(
            journal,
            f"the worker's process is gone: {how}" + (", as happens when memory runs out" if code == -9 else ""),
            "free some memory or ask for less, then resume it; the next job has a new process",
        )

    def _was_stopped(self, journal: Journal) -> None:
        why = self._stopped[0] if self._stopped else "interrupted"
        if why == "late":
            self._fail(journal, f"it took longer than {self._bounds.seconds:,.0f} s", "ask for less, or use the shell")
        else:
            self._tell(journal, why)

    def _fail(self, journal: Journal, said: str, do: str) -> None:
        self._tell(journal, "failed", problem=Problem(title="ComputationError", status=500, detail=said, do=do))

    def _folder_for(self, journal: Journal) -> Path:
        request = journal.asked.request
        if isinstance(request, Discover):
            return self._begun(journal) or self._library.free_folder(request.about)
        if isinstance(request, Import):
            return self._begun(journal) or self._library.free_folder(request.name)
        if isinstance(request, Ask):
            return self._library.new_runs  # where nothing is written
        return self._library.find(request.run)

    def _begun(self, journal: Journal) -> Path | None:
        """The run that an earlier start of the job saved before it was stopped; None where there is none."""
        for name in {event.run for event in journal.events if event.run}:
            with suppress(RunError):
                return self._library.find(name)
        return None
