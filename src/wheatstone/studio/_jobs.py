"""The jobs: asked for, in a queue, followed as they happen, remembered when the studio ends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wheatstone._disk import replaced, room_for
from wheatstone._errors import RequestError, RunError, reason
from wheatstone._home import home
from wheatstone.checkpoints import tokenizer_here
from wheatstone.runs import Run
from wheatstone.studio._jobs_foreman import Bounds, Foreman
from wheatstone.studio._jobs_journal import KEPT, Asked, Journal, read_journals, sent_file
from wheatstone.studio._jobs_schema import (
    Ask,
    Discover,
    Import,
    Job,
    JobEvent,
    JobList,
    JobRequest,
    Question,
)
from wheatstone.studio._library import Library
from wheatstone.studio._schema import Problem


class Jobs:
    """The jobs of one studio.

    The first studio of a user owns the queue; another one beside it shows the jobs and starts none.

    Args:
        library: where runs are looked up and new ones go.
        folder: of the jobs' files; by default in the cache folder.
        bounds: of queue and jobs.
    """

    def __init__(self, library: Library, folder: Path | None = None, bounds: Bounds | None = None) -> None:
        self._library, self._bounds, self._given = library, bounds or Bounds(), folder
        self._journals: dict[str, Journal] = {}
        self._changed = threading.Condition(threading.RLock())
        self._listening: set[Callable[[], None]] = set()
        self._foreman = Foreman(library, self._bounds, self._tell)
        self._thread: threading.Thread | None = None
        self._owns: FileLock | None = None
        self._sending: list[str] = []
        """Files that are being kept, by their SHA-256: a large one is written without the lock."""
        self._closing = False
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """What keeps jobs from being saved or done; empty where nothing does."""
        return self._trouble

    def list(self) -> JobList:
        """All jobs, the newest first."""
        with self._changed:
            self._open()
            jobs = [self._job(journal) for journal in reversed(self._journals.values())]
        return JobList(jobs=jobs, folder=str(self._library.new_runs))

    def job(self, id: str) -> Job:
        """One job.

        Raises:
            RunError: there is none of this name.
        """
        with self._changed:
            return self._job(self._find(id))

    def submit(self, request: JobRequest) -> Job:
        """Puts a job at the end of the queue. A request that equals a job's that has not ended gives that job.

        Raises:
            RequestError: the queue is full, or another studio has it.
            ComputationError: the job could not be saved.
            RunError: there is no such run.
            ModelError: no such model.
        """
        title = self._checked(request)
        with self._changed:
            self._mine()
            for journal in self._journals.values():
                stopping = journal.last.state == "running" and self._foreman.stopping
                if journal.asked.request == request and not journal.ended and not stopping:
                    return self._job(journal)
            self._check_room()
            created = datetime.now(UTC)
            asked = Asked(
                id=f"{created:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
                title=title,
                created=created.isoformat(),
                request=request,
            )
            journal = Journal(self._folder / f"{asked.id}.jsonl", asked)
            again = "free some space, or set WHEATSTONE_HOME to another folder, then ask again"
            with room_for("room and permission to save the job", journal.path, again):
                journal.begin()
            self._journals[asked.id] = journal
            self._tell(journal, "queued")
            self._forget_old()
            return self._job(journal)

    def submit_file(self, content: bytes, name: str, model: str) -> Job:
        """Keeps a file that was sent, and puts the job that reads it at the end of the queue.

        Raises:
            ComputationError: the file could not be kept.
            RequestError: as `submit`.
        """
        request = Import(file=hashlib.sha256(content).hexdigest(), name=name, model=model)
        with self._changed:
            self._check_room()
            self._sending.append(request.file)
        try:
            path = sent_file(self._folder, request.file)
            again = "free some space, or set WHEATSTONE_HOME to another folder, then send it again"
            with room_for("room and permission to keep the file", path, again):
                path.parent.mkdir(exist_ok=True)
                with replaced(path) as partial:
                    partial.write_bytes(content)
            return self.submit(request)
        finally:
            with self._changed:
                self._sending.remove(request.file)
                self._forget_sent()

    def _forget_sent(self) -> None:
        """Removes files that no job reads any more."""
        wanted = set(self._sending)
        for journal in self._journals.values():
            if isinstance(journal.asked.request, Import) and journal.last.state != "done":
                wanted.add(journal.asked.request.file)
        for path in self._folder.glob("sent/*.json"):
            if path.stem not in wanted:
                path.unlink(missing_ok=True)

    def cancel(self, id: str) -> Job:
        """Drops a job from the queue, or stops it; one that has ended stays as it is."""
        with self._changed:
            journal = self._find(id)
            if not journal.ended:
                self._mine()
                if journal.last.state == "running":
                    self._foreman.stop("cancelled")
                else:
                    self._tell(journal, "cancelled")
            return self._job(journal)

    def resume(self, id: str) -> Job:
        """Puts a job that did not come to its end into the queue once more, as it was asked for.

        Raises:
            RequestError: it has not ended, or is done; or the queue is full.
        """
        with self._changed:
            journal = self._find(id)
            if journal.last.state not in ("interrupted", "cancelled", "failed"):
                raise RequestError(
                    expected="a job that ended early", got=f"one that is {journal.last.state}", do="ask for a new one"
                )
            self._check_room()
            self._tell(journal, "queued")
            return self._job(journal)

    def forget(self, id: str) -> None:
        """Takes a job that has ended off the list; what it made stays.

        Raises:
            RequestError: it has not ended.
        """
        with self._changed:
            journal = self._find(id)
            if not journal.ended:
                raise RequestError(
                    expected="a job that has ended", got=f"one that is {journal.last.state}", do="cancel it first"
                )
            self._mine()
            self._journals.pop(id).path.unlink(missing_ok=True)
            self._forget_sent()

    def follow(self, id: str, after: int = 0) -> AsyncIterator[JobEvent]:
        """What happened to a job since an event, then what happens as it does, until the job or the studio ends.

        Raises:
            RunError: there is no job of this name.
        """
        with self._changed:
            return self._events(self._find(id), after)

    def close(self) -> None:
        """Stops the job that runs and ends the worker; what has not ended is marked as interrupted."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if any(journal.last.state == "running" for journal in self._journals.values()):
                self._foreman.stop("interrupted")
        if self._thread:
            self._thread.join()
        with self._changed:
            if self._owns:
                self._interrupt("the studio was ended")
                self._owns.release()
                self._owns = None
            self._wake()

    async def _events(self, journal: Journal, after: int) -> AsyncIterator[JobEvent]:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # a loop that has ended
                loop.call_soon_threadsafe(woken.set)

        self._listening.add(wake)
        try:
            while True:
                woken.clear()
                ended = journal.ended or self._closing
                for event in journal.events[after:]:
                    yield event
                    after = event.id
                if ended:
                    return
                await woken.wait()
        finally:
            self._listening.discard(wake)

    def _tell(self, journal: Journal, state: str, **about: Any) -> None:
        """Notes an event and wakes whoever waits for one."""
        if state in ("failed", "cancelled", "interrupted"):  # a text that is half written is kept
            about = {"generated": journal.last.generated} | about
        event = JobEvent.model_validate(
            {"id": len(journal.events) + 1, "at": datetime.now(UTC).isoformat(), "state": state, **about}
        )
        with self._changed:
            try:
                journal.add(event)
                self._trouble = ""
            except OSError as error:  # the job goes on; what could not be written is written with the next event
                self._trouble = f"events of jobs could not be saved in {journal.path}: {reason(error)}"
            if state == "done":
                self._forget_sent()
            self._wake()
            self._changed.notify_all()
            if state == "queued" and not self._thread and not self._closing:
                self._thread = threading.Thread(target=self._serve, name="wheatstone-jobs", daemon=True)
                self._thread.start()

    def _wake(self) -> None:
        for wake in tuple(self._listening):
            wake()

    def _serve(self) -> None:
        """The foreman's day: one job after the other; without any for long, the worker is let go."""
        while True:
            with self._changed:
                queue = self._queue()
                if self._closing:
                    break
                if not queue:
                    woken = self._changed.wait(None if self._foreman.rests else self._bounds.idle)
                    if not woken:
                        self._foreman.let_go()
                    continue
                self._tell(queue[0], "running", stage="starting")
            try:
                self._foreman.do(queue[0])
            except Exception as error:  # the jobs after it are still to be done
                self._foreman.let_go()
                said = f"{type(error).__name__}: {reason(error)}"[:1000]
                problem = Problem(title="ComputationError", status=500, detail=said, do="resume it")
                self._tell(queue[0], "failed", problem=problem)
        self._foreman.let_go()

    def _checked(self, request: JobRequest) -> str:
        """Refuses what can be refused before the queue; a title for the rest."""
        if isinstance(request, Discover | Ask | Import) and request.model:
            if not self._bounds.paths and Path(request.model).exists():
                raise RequestError(
                    expected="a model by its name", got="a path", do="open the studio on the machine it runs on"
                )
            tokenizer_here(request.model)
        if isinstance(request, Import):
            if not sent_file(self._folder, request.file).is_file():
                raise RequestError(expected="a file that was sent", got="none", do="send it again")
            return f"import: {request.name}"
        if isinstance(request, Discover | Ask):
            return request.about if isinstance(request, Discover) else f"ask: {request.about}"
        run = self._library.find(request.run)
        if request.run.startswith("example-") and not isinstance(request, Question):
            raise RequestError(
                expected="a run of your own", got="an example, which is read-only", do="discover its prompt again"
            )
        return f"{request.verb}: {Run.open_checked(run).title}"

    def _queue(self) -> list[Journal]:
        """Jobs that wait, the longest waiting first."""
        waiting = [journal for journal in self._journals.values() if journal.last.state == "queued"]
        return sorted(waiting, key=lambda journal: journal.last.at)

    def _job(self, journal: Journal) -> Job:
        before = [other for other in self._journals.values() if other.last.state == "running"] + self._queue()
        ahead = before.index(journal) if journal.last.state == "queued" else 0
        return Job(**dict(journal.asked), ahead=ahead, last=journal.last)

    def _find(self, id: str) -> Journal:
        self._open()
        if id not in self._journals:
            raise RunError(expected="a job of the list", got=repr(id), do="reload the list")
        return self._journals[id]

    def _check_room(self) -> None:
        self._mine()
        if len(self._queue()) >= self._bounds.waiting:
            raise RequestError(
                expected=f"at most {self._bounds.waiting} jobs that wait", got="one more", do="wait, or cancel one"
            )

    def _mine(self) -> None:
        """Refuses to start anything where another studio has the queue."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open()
        if not self._owns:
            raise RequestError(
                expected="one studio at a time that runs jobs",
                got="another that is open on this machine, or this one as it ends",
                do="use that one, or end it",
            )

    @property
    def _folder(self) -> Path:
        return self._given or home() / "studio" / "jobs"

    def _open(self) -> None:
        """Reads the jobs there are; whoever comes first owns them, and marks what an earlier studio left."""
        if self._owns or self._closing or not self._folder.is_dir():
            return
        lock = FileLock(self._folder / ".lock", thread_local=False)
        with contextlib.suppress(Timeout):
            lock.acquire(timeout=0)
            self._owns = lock
        self._journals = {journal.asked.id: journal for journal in read_journals(self._folder)}
        if self._owns:
            self._interrupt("the studio ended before it did")

    def _interrupt(self, said: str) -> None:
        for journal in self._journals.values():
            if not journal.ended:
                self._tell(journal, "interrupted", stage=said)

    def _forget_old(self) -> None:
        ended = [journal for journal in self._journals.values() if journal.ended]
        for journal in ended[: max(0, len(self._journals) - KEPT)]:
            self._journals.pop(journal.asked.id).path.unlink(missing_ok=True)
        self._forget_sent()
