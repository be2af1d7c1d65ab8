"""`wheatstone studio` as a command."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from commands import Cli

from wheatstone.studio import _serve


def test_the_address_as_json(cli: Cli, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a socket that listens; `cli` checks the document against its schema."""
    monkeypatch.setattr(_serve, "check_built", lambda: None)
    heard: list[int] = []

    def run(_self: object, sockets: list[socket.socket]) -> None:
        heard.append(sockets[0].getsockname()[1])
        sockets[0].close()

    monkeypatch.setattr(_serve.Server, "run", run)
    shown = cli("studio", "--no-browser", "--port", "0", "--json")
    assert shown.code == 0, shown.err
    assert shown.document["address"] == f"http://127.0.0.1:{heard[0]}/"
