"""Figures of runs, drawn one at a time in a process of their own, and kept while the run is as it was.

A drawing takes a second of a core, and a fault of the renderer ends its process: neither may touch the server.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections import OrderedDict
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from wheatstone._disk import scratch_folder
from wheatstone._errors import ComputationError, WheatstoneError, reason
from wheatstone.studio._library import state_of

_KEPT = 64
"""Drawings that are remembered, at most."""
_WAITING = 16
"""Different drawings that may wait for each other, at most."""
_SECONDS = 25.0
"""That one drawing may take."""
_IDLE = 300.0
"""Seconds without a drawing after which the process ends."""

Key = tuple[Any, ...]


class Drawings:
    """What draws for one server."""

    def __init__(self) -> None:
        self._drawn: OrderedDict[Key, bytes] = OrderedDict()
        self._asked: dict[Key, asyncio.Task[bytes]] = {}
        self._one = asyncio.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._ending = threading.Lock()

    async def figure(self, run: Path, name: str, ending: str) -> bytes:
        """A figure or the report of a run.

        Args:
            run: its folder.
            name: of the figure; any for the report.
            ending: `svg` or `png`; `html` for the report.

        Raises:
            RunError: the run cannot be read.
            ComputationError: too many drawings wait, one takes too long, or its process ended.
        """
        files = tuple(path.name for path in sorted(run.iterdir()) if path.is_file())  # what figures are drawn from
        key = (str(run), name, ending, files, state_of(run, *files))
        if key in self._drawn:
            self._drawn.move_to_end(key)
            return self._drawn[key]
        if key not in self._asked:
            if len(self._asked) >= _WAITING:
                raise ComputationError(
                    expected=f"at most {_WAITING} figures to draw", got="one more", do="try again in a minute"
                )
            task = self._asked[key] = asyncio.create_task(self._draw(key, (run, name, ending)))
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(self._asked[key])

    def close(self) -> None:
        """Ends the process."""
        with self._ending:
            if self._pipe:
                self._pipe.close()
            if self._process:
                self._process.kill()
                self._process.join()
            self._process = self._pipe = None

    async def _draw(self, key: Key, asked: tuple[Path, str, str]) -> bytes:
        async with self._one:
            answer = await asyncio.to_thread(self._ask, asked)
        if isinstance(answer, WheatstoneError):
            raise answer
        self._drawn[key] = answer
        while len(self._drawn) > _KEPT:
            self._drawn.popitem(last=False)
        return answer

    def _ask(self, asked: tuple[Path, str, str]) -> bytes | WheatstoneError:
        try:
            pipe = self._started()
            pipe.send(asked)
            if pipe.poll(_SECONDS):
                return pipe.recv()
            got = f"none within {_SECONDS:.0f} s"
        except (EOFError, OSError):
            got = "the end of the process that draws"
        self.close()
        return ComputationError(
            expected=f"the figure {asked[1]} of {asked[0]}", got=got, do="try again, or `wheatstone export` it"
        )

    def _started(self) -> Connection:
        with self._ending:
            if self._process is None or not self._process.is_alive() or self._pipe is None:
                context = multiprocessing.get_context("spawn")
                self._pipe, theirs = context.Pipe()
                self._process = context.Process(target=_live, args=(theirs,), name="wheatstone-drawing", daemon=True)
                self._process.start()
                theirs.close()
            return self._pipe


def _live(pipe: Connection) -> None:
    """The process's life; it ends with the server, whose end closes the pipe."""
    from wheatstone.figures import render_figure, report_html

    while pipe.poll(_IDLE):
        try:
            run, name, ending = pipe.recv()
        except EOFError:
            return
        try:
            with scratch_folder() as work:
                path = work / f"{name}.{ending}"
                if ending == "html":
                    path.write_text(report_html(run), encoding="utf-8")
                else:
                    render_figure(run, name, path)
                answer: bytes | WheatstoneError = path.read_bytes()
        except WheatstoneError as error:
            answer = error
        except Exception as error:
            answer = ComputationError(
                expected=f"the figure {name} of {run}",
                got=f"{type(error).__name__}: {reason(error)}",
                do="check the run",
            )
        pipe.send(answer)
