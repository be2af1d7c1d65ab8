"""How many requests are worked on at once: the others wait a moment, or are refused at once.

Without a bound every request is accepted and all of them get slower together, until none is answered in time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from wheatstone.studio._guard import App, Message, Receive, Send
from wheatstone.studio._problems import problem


@dataclass(frozen=True)
class Crowd:
    """Bounds of a server.

    Args:
        working: requests worked on at once.
        drawing: pictures drawn at once besides, which take seconds each; as many as a browser has connections.
        waiting: requests that may wait for one of these to end: few enough to be let in before their patience ends.
        patience: seconds that they wait.
        streams: event streams open at once; they do not count as work.
    """

    working: int = 8
    drawing: int = 6
    waiting: int = 12
    patience: float = 0.5
    streams: int = 100


class Doorman:
    """Lets requests in up to the bounds; answers all others with 503 and when to try again.

    Args:
        app: the application behind it.
        crowd: the bounds.
    """

    def __init__(self, app: App, crowd: Crowd | None = None) -> None:
        self.app, self.crowd = app, crowd or Crowd()
        self._work = _Room(self.crowd, self.crowd.working)
        self._drawing = _Room(self.crowd, self.crowd.drawing)
        self._streams = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].endswith("/events"):
            await self._stream(scope, receive, send)
        else:
            room = self._drawing if "/figures/" in scope["path"] else self._work
            if await room.enter():
                try:
                    await self.app(scope, receive, send)
                finally:
                    room.leave()
            else:
                await _busy(scope, receive, send)

    async def _stream(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._streams >= self.crowd.streams:
            await _busy(scope, receive, send)
            return
        self._streams += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams -= 1


class _Room:
    """Where a bounded number of requests is worked on, and others wait."""

    def __init__(self, crowd: Crowd, size: int) -> None:
        self._crowd, self._free, self._waiting = crowd, asyncio.Semaphore(size), 0

    async def enter(self) -> bool:
        """Waits for a place; whether there was one."""
        if self._free.locked() and self._waiting >= self._crowd.waiting:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(self._crowd.patience):
                return await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Makes a place free."""
        self._free.release()


async def _busy(scope: Message, receive: Receive, send: Send) -> None:
    answer = problem(
        503,
        "ComputationError",
        expected="fewer requests at once",
        got="more than this server works on",
        do="try again in a second",
    )
    answer.headers["retry-after"] = "1"
    await answer(scope, receive, send)
