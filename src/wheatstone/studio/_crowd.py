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
        waiting: requests that may wait for one of these to end.
        patience: seconds that they wait.
        streams: event streams open at once; they do not count as work.
    """

    working: int = 8
    waiting: int = 32
    patience: float = 0.5
    streams: int = 100


class Doorman:
    """Lets requests in up to the bounds; answers all others with 503 and when to try again.

    Args:
        app: what it stands before.
        crowd: the bounds.
    """

    def __init__(self, app: App, crowd: Crowd | None = None) -> None:
        self.app, self.crowd = app, crowd or Crowd()
        self._free = asyncio.Semaphore(self.crowd.working)
        self._waiting = self._streams = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].endswith("/events"):
            await self._stream(scope, receive, send)
        elif await self._let_in():
            try:
                await self.app(scope, receive, send)
            finally:
                self._free.release()
        else:
            await _busy(scope, receive, send)

    async def _let_in(self) -> bool:
        if self._free.locked() and self._waiting >= self.crowd.waiting:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(self.crowd.patience):
                return await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    async def _stream(self, scope: Message, receive: Receive, send: Send) -> None:
        if self._streams >= self.crowd.streams:
            await _busy(scope, receive, send)
            return
        self._streams += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._streams -= 1


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
