"""Running the studio: an address, a token where it is needed, and the browser."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
import socket
import threading
import webbrowser
from collections.abc import Callable
from ipaddress import ip_address

import uvicorn
from fastapi import FastAPI

from wheatstone._errors import RequestError
from wheatstone.studio._app import BUILT, create_app
from wheatstone.studio._drawing import Drawings
from wheatstone.studio._guard import LOOPBACK
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._library import Library
from wheatstone.studio._protocol import PromptProtocol

_OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)
"""Errors of listening that another port avoids."""


def serve(
    library: Library, *, host: str = "127.0.0.1", port: int = 8765, browser: bool = True, say: Callable[[str], None]
) -> None:
    """Serves the studio until it is interrupted.

    Args:
        library: the runs.
        host: address to listen at. Any but this machine's own asks for a token.
        port: to listen at; 0 for a free one.
        browser: whether to open it.
        say: called with the address once it answers.

    Raises:
        RequestError: the web app is not built, or the address cannot be had.
    """
    check_built()
    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    listening = _listen(host, port)
    here, port = listening.getsockname()[:2]
    everywhere = ip_address(here).is_unspecified
    hosts = LOOPBACK if token is None else () if everywhere else (*LOOPBACK, host)
    app = create_app(library, hosts=hosts, token=token)
    threading.Thread(target=library.runs, daemon=True).start()  # what is read is kept for the browser, which starts
    say(_address(_outward(here) if everywhere else host, port, token))
    if browser:  # it is already listened at: the browser waits for the answer
        own = ("::1" if ":" in here else "127.0.0.1") if everywhere else host
        webbrowser.open(_address(own, port, token))
    Server(app).run(sockets=[listening])


class Server(uvicorn.Server):
    """Uvicorn, which ends the jobs and those who follow them before it waits for its connections to end.

    Args:
        app: from `create_app`.
        port: where no sockets are given to `run`.
    """

    def __init__(self, app: FastAPI, port: int = 0) -> None:
        super().__init__(uvicorn.Config(app, port=port, log_level="warning", access_log=False, http=PromptProtocol))
        self._jobs: Jobs = app.state.jobs
        self._drawings: Drawings = app.state.drawings

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._jobs.close)
        await asyncio.to_thread(self._drawings.close)
        await super().shutdown(sockets)


def check_built() -> None:
    """Refuses to show an app that is not there.

    Raises:
        RequestError: the web app is not built.
    """
    if not (BUILT / "index.html").is_file():
        node = "" if shutil.which("npm") else " after installing Node.js 20 or newer, which is not there"
        raise RequestError(
            expected="the built web app",
            got=f"none in {BUILT}",
            do=f"run `make web` in the source folder{node}, or install Wheatstone from its wheel",
        )


def _address(host: str, port: int, token: str | None) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/" + (f"?token={token}" if token else "")


def _outward(every: str) -> str:
    """The address of this machine that others reach it by; its name where no network is connected.

    Args:
        every: `0.0.0.0` or `::`, which mean all of its addresses and cannot be opened themselves.
    """
    family, far = (socket.AF_INET6, "2001:db8::1") if ":" in every else (socket.AF_INET, "192.0.2.1")
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((far, 9))  # sends nothing: the system only chooses the address it would send from
        return probe.getsockname()[0]
    return socket.gethostname()


def _listen(host: str, port: int) -> socket.socket:
    expected, do = "an address of this machine to listen at", "leave out --host, or name an address it has"
    if not host.strip() or "\0" in host:  # the first means every address to `socket`, the second leaves one open there
        raise RequestError(expected=expected, got=repr(host), do=do)
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, ValueError) as error:  # the last: a name that no resolver can be asked for
        number = error.errno if isinstance(error, OSError) else None
        if number in _OF_THE_PORT:
            expected, do = "a free port to listen at", "choose another --port, or 0 for any free one"
        why = f" ({os.strerror(number).lower()})" if number is not None and number > 0 else ""  # names: below 0
        raise RequestError(expected=expected, got=f"{host!r}, port {port}{why}", do=do) from error
