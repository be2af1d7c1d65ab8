"""Who is let in, with how much, and for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from wheatstone.studio import create_app
from wheatstone.studio._guard import Limits

LIST = "/api/v1/runs"
ADDRESS = "http://127.0.0.1:8765"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.", "[", "169.254.1.1:8765"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    assert client.get(LIST, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "localhost", "[::1]:8765"])
def test_this_machine_s_own_names_are_let_in(client: TestClient, host: str) -> None:
    assert client.get(LIST, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8765", "http://["]
)
def test_another_page_is_refused(client: TestClient, origin: str) -> None:
    assert client.get(LIST, headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "x"])
@pytest.mark.parametrize("path", [LIST, "/api/v1/runs/example-a-fact/figures/circuit.svg", "/assets/index.js"])
def test_what_another_site_embeds_is_refused(client: TestClient, site: str, path: str) -> None:
    headers = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert client.get(path, headers=headers).status_code == 403


def test_a_link_from_another_site_opens_the_first_page_alone(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/?run=example-a-fact", headers=headers).status_code != 403
    assert client.get(LIST, headers=headers).status_code == 403
    assert client.get(LIST, headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_a_page_of_this_server_is_let_in(client: TestClient) -> None:
    response = client.get(LIST, headers={"origin": ADDRESS})
    assert response.status_code == 200
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "access-control-allow-origin" not in response.headers


def test_a_body_too_large_is_refused_before_it_is_read(client: TestClient) -> None:
    assert client.post(LIST, content=b"", headers={"content-length": "200000000"}).status_code == 413


def test_a_body_that_hides_its_length_is_counted(tmp_path: Path) -> None:
    app = create_app(built=tmp_path, limits=Limits(body=1000))

    @app.post("/echo")
    async def echo(body: dict[str, str]) -> dict[str, str]:
        return body

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    client = TestClient(app, base_url=ADDRESS)
    assert client.post("/echo", content=pieces()).status_code == 413


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    app = create_app(built=tmp_path, limits=Limits(seconds=0.05))

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(30)

    started = time.perf_counter()
    assert TestClient(app, base_url=ADDRESS).get("/slow").status_code == 503
    assert time.perf_counter() - started < 10


def test_a_token_is_asked_for_and_becomes_a_cookie(tmp_path: Path) -> None:
    app = create_app(built=tmp_path, hosts=(), token="correct")
    stranger = TestClient(app, base_url="http://192.168.0.5:8765")
    assert stranger.get(LIST).status_code == 401
    assert stranger.get(f"{LIST}?token=wrong").status_code == 401
    assert stranger.get(LIST, headers={"authorization": "Bearer correct"}).status_code == 200
    first = stranger.get(f"{LIST}?token=correct", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, LIST)
    assert "HttpOnly" in first.headers["set-cookie"]
    assert "SameSite=strict" in first.headers["set-cookie"]
    assert stranger.get(LIST).status_code == 200


def test_the_token_leads_to_no_other_host(tmp_path: Path) -> None:
    stranger = TestClient(create_app(built=tmp_path, hosts=(), token="correct"), base_url="http://192.168.0.5:8765")
    first = stranger.get("http://192.168.0.5:8765//evil.example/?token=correct", follow_redirects=False)
    assert first.headers["location"] == "/evil.example/"


@pytest.mark.parametrize("path", ["/api/v1/runs/..%2f..%2fetc", "/api/v1/runs/%2e%2e", "/../../etc/passwd", "/%00"])
def test_no_path_leads_out(client: TestClient, path: str) -> None:
    assert client.get(path).status_code in (404, 422)


def test_the_view_in_the_address_survives_the_token(tmp_path: Path) -> None:
    stranger = TestClient(create_app(built=tmp_path, hosts=(), token="correct"), base_url="http://192.168.0.5:8765")
    first = stranger.get("/?run=x&token=correct&pins=m0%7Ca23.h4", follow_redirects=False)
    assert first.headers["location"] == "/?run=x&pins=m0%7Ca23.h4"


def test_a_browser_without_the_token_is_shown_where_to_give_it(tmp_path: Path) -> None:
    stranger = TestClient(create_app(built=tmp_path, hosts=(), token="correct"), base_url="http://192.168.0.5:8765")
    html = {"accept": "text/html,*/*"}
    page = stranger.get('/?run=x&q="><script>', headers=html)
    assert (page.status_code, page.headers["x-content-type-options"]) == (401, "nosniff")
    assert '<input type="hidden" name="run" value="x">' in page.text
    assert "<script" not in page.text
    assert "not the token" in stranger.get("/?token=wrong", headers=html).text
    assert "wrong" not in stranger.get("/?token=wrong", headers=html).text
    assert stranger.get(LIST, headers=html).headers["content-type"] == "application/problem+json"
