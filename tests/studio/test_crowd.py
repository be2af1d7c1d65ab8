"""Too many requests at once: those that are answered are answered soon, the others are refused at once."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest
from browser import served

from wheatstone.studio import Library, _protocol, create_app
from wheatstone.studio._crowd import Crowd


def test_some_are_worked_on_some_wait_and_the_rest_are_refused(tmp_path: Path) -> None:
    app = create_app(built=tmp_path, crowd=Crowd(working=2, waiting=3, patience=30))
    begun, release = [], asyncio.Event()

    @app.get("/slow")
    async def slow() -> None:
        begun.append(1)
        await release.wait()

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
            tasks = [asyncio.create_task(client.get("/slow")) for _ in range(10)]

            while len([task for task in tasks if task.done()]) < 5:
                await asyncio.sleep(0.01)
            assert len(begun) == 2
            release.set()
            return sorted([(await task).status_code for task in tasks])

    assert asyncio.run(ask()) == [200] * 5 + [503] * 5


def test_pictures_that_are_drawn_leave_the_others_their_room(tmp_path: Path) -> None:
    app = create_app(built=tmp_path, crowd=Crowd(working=1, drawing=1, waiting=0))
    begun, release = [], asyncio.Event()

    @app.get("/figures/slow.svg")
    async def slow() -> None:
        begun.append(1)
        await release.wait()

    @app.get("/quick")
    async def quick() -> None: ...

    async def ask() -> list[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
            drawn = asyncio.create_task(client.get("/figures/slow.svg"))
            while not begun:
                await asyncio.sleep(0.01)
            answers = [await client.get("/quick"), await client.get("/figures/slow.svg")]
            release.set()
            return [answer.status_code for answer in (*answers, await drawn)]

    assert asyncio.run(ask()) == [200, 503, 200]


def test_a_wait_ends(tmp_path: Path) -> None:
    app = create_app(built=tmp_path, crowd=Crowd(working=1, waiting=1, patience=0.05))

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(2)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
            return list(await asyncio.gather(client.get("/slow"), client.get("/slow")))

    first, second = asyncio.run(ask())
    assert (first.status_code, second.status_code) == (200, 503)
    assert second.headers["retry-after"] == "1"


@pytest.fixture
def address(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[str, int], None, None]:
    monkeypatch.setattr(_protocol, "HEADERS_WITHIN", 0.3)
    with served(Library((tmp_path,))) as address:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        yield host, int(port)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-", b"GET"])
def test_headers_that_never_end_are_not_waited_for(address: tuple[str, int], sent: bytes) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_a_second_request_whose_headers_never_end_is_not_waited_for(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(b"GET /api/v1/about HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        time.sleep(0.5)
        connection.sendall(b"GET /api")
        while connection.recv(10_000):
            pass
