"""Checks every request before the app: which addresses may be asked for, from which pages, how much, how long.

A page on another site can send requests to 127.0.0.1, and by DNS rebinding even read the answers. So the Host must be
this server's own, and a request that a page makes must come from a page of this server.
"""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from wheatstone.studio._login import login_page
from wheatstone.studio._problems import problem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SENT = "/api/v1/imports"
"""Where files are sent to."""
_COOKIE = "wheatstone-token"
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@dataclass(frozen=True)
class Limits:
    """How much one request may take.

    Args:
        body: bytes of a request.
        file: bytes of a file that is sent to be imported.
        seconds: until it is answered; a stream of events may go on for longer.
    """

    body: int = 1_000_000
    file: int = 64_000_000
    seconds: float = 30.0


class Guard:
    """Checks every request before the app sees it.

    Args:
        app: what it guards.
        hosts: names this server may be called by; empty for any, which a token must make up for.
        token: that a browser has to show, or None.
        limits: of one request.
    """

    def __init__(
        self, app: App, hosts: tuple[str, ...] = LOOPBACK, token: str | None = None, limits: Limits | None = None
    ) -> None:
        self.app, self.hosts, self.token, self.limits = app, hosts, token, limits or Limits()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(raw=scope["headers"])
        started = False

        async def out(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                added = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    added.setdefault(name, value)
            await send(message)

        if refused := self._refusal(scope, headers):
            await refused(scope, receive, out)
            return
        stream = scope["path"].endswith("/events")
        try:
            async with asyncio.timeout(None if stream else self.limits.seconds):
                await self.app(scope, self._bounded(receive, self._most(scope)), out)
        except TimeoutError:
            if not started:
                late = problem(
                    503,
                    "ComputationError",
                    expected=f"an answer within {self.limits.seconds:.0f} s",
                    got="none",
                    do="try again when the machine is less busy",
                )
                await late(scope, receive, out)

    def _refusal(self, scope: Message, headers: Headers) -> Response | None:
        """Why a request is not let in, or None."""
        host = headers.get("host", "")
        if self.hosts and _name(host) not in self.hosts:
            return problem(
                421, "RequestError", expected=f"a request to {self.hosts[0]}", got=f"one to {host!r}", do="use that"
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and _netloc(origin) != host:
            return _foreign(repr(origin))
        # A browser says where a request comes from, an image's too. From elsewhere only the first page may be opened.
        followed = scope["path"] == "/" and scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not followed:
            return _foreign(f"one that is {site[:40]!r}")
        length = headers.get("content-length", "0")
        most = self._most(scope)
        if not re.fullmatch("[0-9]{1,15}", length) or int(length) > most:
            return self._too_large(most)
        return self._unknown(scope, headers) if self.token else None

    def _unknown(self, scope: Message, headers: Headers) -> Response | None:
        """Asks for the token; one in the address becomes a cookie, and the rest of the address stays."""
        token = self.token or ""
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), "")
        rest = [(name, value) for name, value in query if name != "token"]
        if given and _same(given, token):
            path = "/" + scope["path"].lstrip("/\\")  # `//host` would be another host
            response = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)
            response.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
            return response
        cookie = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if _same(cookie.value if cookie else bearer, token):
            return None
        if scope["path"] == "/" and "text/html" in headers.get("accept", ""):
            return login_page(rest, refused=bool(given))
        return problem(
            401, "RequestError", expected="the token", got="none or another", do="open the address that was printed"
        )

    def _most(self, scope: Message) -> int:
        """Bytes that a request's body may have."""
        return self.limits.file if scope["path"] == SENT else self.limits.body

    def _bounded(self, receive: Receive, most: int) -> Receive:
        """Counts the body as it comes; its header is not believed.

        It raises an HTTPException, for the app makes any other error while it reads a body into "bad request".
        """
        had = 0

        async def bounded() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > most:
                raise HTTPException(413, "the request is too large")
            return message

        return bounded

    def _too_large(self, most: int) -> Response:
        return problem(
            413,
            "RequestError",
            expected=f"at most {most / 1e6:.0f} MB",
            got="more",
            do="send less, or use the command line",
        )


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _foreign(got: str) -> Response:
    return problem(403, "RequestError", expected="a request from this server's own page", got=got, do="use it")


def _netloc(origin: str) -> str | None:
    """Host and port of an Origin header; None where it is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _name(host: str) -> str:
    """A Host header without its port; no name at all where it is no host."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
