"""Where the studio listens: an address or port that it cannot have is refused in one line that says what to change."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from wheatstone._errors import RequestError
from wheatstone.studio import Library, _serve
from wheatstone.studio._serve import _listen, serve


@pytest.mark.parametrize("host", [" ", "", "a host", "é", "\x00", "300.1.1.1", "8.8.8.8", "2001:db8::1", "::zz"])
def test_an_address_that_is_not_of_this_machine_says_so(host: str) -> None:
    """The port is not blamed, and no error number of a resolver is shown."""
    with pytest.raises(RequestError) as refused:
        _listen(host, 0)
    assert "--host" in refused.value.do
    assert repr(host) in refused.value.got
    assert "Errno" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_port_in_use_says_so() -> None:
    """Another port helps, another address does not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        with pytest.raises(RequestError, match=f"port {port} \\(address already in use\\); choose another --port"):
            _listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["0.0.0.0", "0"])
def test_the_address_that_is_printed_can_be_opened(host: str, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`0.0.0.0` means every address of this machine, and is none itself."""
    opened: list[str] = []
    monkeypatch.setattr(_serve, "check_built", lambda: None)
    monkeypatch.setattr(_serve.Server, "run", lambda self, sockets: [one.close() for one in sockets])
    monkeypatch.setattr("webbrowser.open", opened.append)
    said: list[str] = []
    serve(Library((own_home,)), host=host, port=0, say=said.append)
    assert "//0" not in said[0]
    assert "?token=" in said[0]
    assert opened[0].startswith("http://127.0.0.1:")
    assert opened[0].partition("?")[2] == said[0].partition("?")[2]
