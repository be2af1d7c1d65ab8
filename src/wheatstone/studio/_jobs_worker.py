"""The worker's process: one job at a time, its progress through a pipe; stopped as Ctrl-C stops a command.

What it hears: `Order`, and the name of a job to stop. What it tells: `Progress`, and at the end `Ended`.
When the pipe closes, for any reason, it stops what it does, clears up and ends.
"""

from __future__ import annotations

import _thread
import contextlib
import multiprocessing
import queue
import signal
import threading
import time
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from wheatstone._errors import WheatstoneError, reason
from wheatstone.studio._jobs_schema import JobRequest
from wheatstone.studio._problems import status_of
from wheatstone.studio._schema import Problem

_EVERY = 0.2
"""Seconds between two reports on one stage."""
_PARTLY = 0.05
"""The same where a report holds a part of the result, such as the tokens written so far."""
_GRACE = 1.0
"""Seconds that the process has to clear up after its server ended, for a long step in torch does not hear an
interruption; what is left then, the next command removes."""


@dataclass(frozen=True)
class Order:
    """A job to do.

    Args:
        id: of the job.
        request: what for.
        folder: of its run.
        again: whether an earlier start of the job saved its run there, which may be replaced.
        sent: the file that an import reads.
    """

    id: str
    request: JobRequest
    folder: Path
    again: bool = False
    sent: Path | None = None


@dataclass(frozen=True)
class Progress:
    """How far a stage is, and what there is of the result."""

    stage: str
    done: float
    total: float | None
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a job ended: `done`, `failed` or `cancelled`, and what its last event holds beside."""

    state: str
    about: dict[str, Any] = field(default_factory=dict)


class Worker:
    """The process, as the server holds it. Starts at once; torch is loaded there alone."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_live, args=(theirs,), name="wheatstone-worker", daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return self._process.pid

    def send(self, message: Order | str) -> None:
        """Gives it an order, or the name of a job to stop; one that is dead hears nothing."""
        with contextlib.suppress(OSError):
            self._pipe.send(message)

    def hear(self, seconds: float) -> Progress | Ended | None:
        """What it says next, or None where it says nothing for so long.

        Raises:
            EOFError: it is dead.
        """
        try:
            return self._pipe.recv() if self._pipe.poll(seconds) else None
        except OSError as error:
            raise EOFError from error

    def kill(self) -> None:
        """Ends it by force."""
        self._process.kill()

    def end(self, patience: float = 5.0) -> int | None:
        """Lets it go, by force where it does not go by itself; its exit code."""
        self._pipe.close()
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        return self._process.exitcode


def _live(pipe: Connection) -> None:
    """The process's life."""
    orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
    stopped: set[str | None] = set()  # None: all that is done and will be
    current: str | None = None

    def listen() -> None:
        while True:
            try:
                message: Order | str | None = pipe.recv()
            except (EOFError, OSError):
                message = None
            if isinstance(message, Order):
                stopped.discard(message.id)  # a job that was stopped and is resumed
                orders.put(message)
                continue
            if message is None:
                signal.setitimer(signal.ITIMER_REAL, _GRACE)  # by the system, even if the interpreter is held by then
            stopped.add(message)
            _thread.interrupt_main()  # which calls the handler below in the main thread, at any point of its work
            if message is None:
                orders.put(None)
                return

    def interrupted(*_: object) -> None:
        """Ctrl-C in the terminal reaches this process too, but it is the server that decides what stops."""
        if current is not None and stopped & {current, None}:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    threading.Thread(target=listen, daemon=True).start()
    work: Any = None
    while (order := orders.get()) is not None:
        if work is None:
            with contextlib.suppress(OSError):
                pipe.send(Progress("starting the worker", 0, None))
            from wheatstone.studio._jobs_work import Work  # not to be interrupted: torch cannot be imported by halves

            work = Work()
        try:
            current = order.id
            interrupted()  # the word to stop may have come before the job
            more = {"again": order.again, "sent": order.sent}
            ended = Ended("done", work.do(order.request, order.folder, _reporter(pipe), **more))
            current = None
        except KeyboardInterrupt:
            current = None
            ended = Ended("cancelled")
        except WheatstoneError as error:
            current = None
            ended = Ended("failed", {"problem": _problem(error)})
        except BaseException as error:  # of any kind: the next job is to be done
            current = None
            traceback.print_exc()
            kind = type(error).__name__
            said = Problem(
                title=kind, status=500, detail=f"{kind}: {reason(error)}"[:1000], do="see the studio's terminal"
            )
            ended = Ended("failed", {"problem": said})
        with contextlib.suppress(OSError):
            pipe.send(ended)


def _problem(error: WheatstoneError) -> Problem:
    return Problem(
        title=type(error).__name__,
        status=status_of(error),
        detail=str(error),
        expected=error.expected,
        got=error.got,
        do=error.do,
    )


def _reporter(pipe: Connection) -> Any:
    """Sends a stage's beginning and end, and what is between a few times a second."""
    reported: dict[str, float] = {}

    def report(stage: str, done: float, total: float | None, /, **about: Any) -> None:
        now = time.monotonic()
        if stage not in reported or done == total or now - reported[stage] >= (_PARTLY if about else _EVERY):
            reported[stage] = now
            with contextlib.suppress(OSError):  # the server is gone: `listen` ends the job
                pipe.send(Progress(stage, done, total, about))

    return report
