"""Hostile requests to the studio: headers, parts of an address and fields of a body that no browser would send.

    python fuzz/hostile_requests.py [--cases 1000] [--seed 0]

They reach the app as uvicorn hands them over, half of them one that asks for a token. A find is an exception, an answer
of 500 or more (but 503, which says that the server is busy), and one after half a minute. Exit code 1 if there was any.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

SLOW = 30.0
HEADERS = (
    "host",
    "origin",
    "referer",
    "range",
    "if-none-match",
    "if-match",
    "if-modified-since",
    "content-length",
    "content-type",
    "cookie",
    "accept",
    "accept-encoding",
    "authorization",
    "last-event-id",
    "sec-fetch-site",
    "sec-fetch-mode",
    "x-forwarded-for",
    "transfer-encoding",
    "upgrade",
)
VALUES = (
    b"",
    b" ",
    b"http://[",
    b"http://[::1",
    b"\xb2",
    b"\xff\xfe",
    b"-1",
    b"1e9",
    b"9" * 5000,
    b"a" * 60_000,
    b"bytes=-",
    b"bytes=5-2",
    b"bytes=99999999999999999999-",
    b"bytes=0-0,1-1,2-2",
    b"*",
    b'"',
    b'W/"x"',
    b"a=b; =; c\x01=\x7f",
    b"wheatstone-token=\xe9",
    b"Bearer \xe9",
    b"text/html;q=x",
    b"multipart/form-data; boundary=",
    b"null",
    b"[::1]:99999999",
    b"127.0.0.1:\xb2",
    b"application/json; charset=x",
    b"cross-site",
    b"%00",
    b"\x00",
    b"Thu, 99 Foo 0000",
)
PATHS = (
    "/",
    "/api/v1/runs",
    "/api/v1/runs/{run}",
    "/api/v1/runs/{run}/edges",
    "/api/v1/runs/{run}/circuit.json",
    "/api/v1/runs/{run}/figures/circuit.svg",
    "/api/v1/runs/{run}/tables/lens",
    "/api/v1/runs/{run}/labels",
    "/api/v1/jobs",
    "/api/v1/jobs/x/events",
    "/api/v1/about",
    "/assets/x",
    "/runs/{run}",
)
PIECES = (
    "%00",
    "%ff",
    "..%2f..%2fetc%2fpasswd",
    "a" * 5000,
    "%2e%2e",
    "\\",
    "%c0%ae",
    "²",
    "-1",
    "",
    ".",
    "..",
    "%",
    "nul",
)
QUERIES = (
    b"",
    b"limit=-1",
    b"limit=99999999999999999999",
    b"limit=nan",
    b"offset=1e9",
    b"q=%00",
    b"q=%ff",
    b"=",
    b"&&&",
    b"token=%ff",
    b"token=t",
    b"top=1000000000",
    b"layer=-1",
    b"prompt=-5",
    b"limit=1&limit=2",
    b"width=1e400",
    b"a" * 60_000,
)
BODIES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    2**63,
    1e308,
    "",
    "\ud800",
    "a" * 6000,
    [],
    {},
    [[]],
    {"": {}},
    "\x00",
    "²",
    "../x",
    "NaN",
)
_JOBS: tuple[dict[str, Any], ...] = (
    {"verb": "ask", "model": "x", "pair": {"prompt": "a", "counterfactual": "b", "answer": " c", "distractor": " d"}},
    {"verb": "verify", "run": "x", "on": "own"},
    {"verb": "explain", "run": "x", "only": ["lens"]},
    {"verb": "measure", "run": "x", "nodes": ["a0.h0"], "on": "own"},
    {"verb": "intervene", "run": "x", "prompt": 0, "changes": [{"node": "a0.h0", "how": "scale", "factor": 1}]},
    {"verb": "look", "run": "x", "head": "a0.h0", "prompt": 0, "query": -1},
)
Request = dict[str, Any]


def routes(app: Any) -> list[tuple[str, str]]:
    """Method and path of every route, found in the app's own schema."""
    return [(method.upper(), path) for path, about in app.openapi()["paths"].items() for method in about]


def hostile(random: Random, known: list[tuple[str, str]], run: str) -> Request:
    """One request with one to three things wrong."""
    method, path = (
        random.choice(known) if random.random() < 0.7 else (random.choice(("GET", "HEAD")), random.choice(PATHS))
    )
    parts = [run if part.startswith("{run") else random.choice(PIECES) if part.startswith("{") else part
             for part in path.split("/")]  # fmt: skip
    headers: dict[bytes, bytes] = {b"host": b"127.0.0.1:8765"}
    query, body = b"", b""
    if method in ("POST", "PUT", "PATCH"):
        headers[b"content-type"] = b"application/json"
        body = json.dumps(_body(random)).encode()
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        change = random.random()
        if change < 0.5:
            headers[random.choice(HEADERS).encode()] = random.choice(VALUES)
        elif change < 0.65:
            parts[random.randrange(1, len(parts))] = random.choice(PIECES)
        elif change < 0.8:
            query = random.choice(QUERIES)
        else:
            body = random.choice((b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"NaN", b"null", body * 3))
    return {"method": method, "path": "/".join(parts), "query": query, "headers": headers, "body": body}


def _body(random: Random) -> Any:
    document = json.loads(json.dumps(random.choice(_JOBS)))
    target = document.get("pair", document) if random.random() < 0.5 else document
    target[random.choice([*target, "extra"])] = random.choice(BODIES)
    return document


async def answered(app: Any, request: Request) -> int:
    """The status of the app's answer; what it raises passes through."""
    from urllib.parse import unquote

    raw = request["path"].encode("utf-8", "replace")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
        "method": request["method"], "path": unquote(request["path"]), "raw_path": raw,
        "query_string": request["query"], "headers": list(request["headers"].items()),
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8765),
    }  # fmt: skip
    messages = [{"type": "http.request", "body": request["body"], "more_body": False}]
    status = 0

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status


async def tried(apps: list[Any], run: str, cases: int, seed: int) -> tuple[Counter[int], int]:
    """Statuses of so many requests, and how many were finds, which are printed."""
    counts, finds, known = Counter[int](), 0, routes(apps[0])
    async with contextlib.AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
        for number in range(cases):
            request = hostile(Random(seed + number), known, run)
            begun = time.monotonic()
            try:
                status = await asyncio.wait_for(answered(apps[number % len(apps)], request), 2 * SLOW)
                wrong = "" if 200 <= status < 500 or status == 503 else f"status {status}"
            except Exception:  # each is a find
                status, wrong = 0, traceback.format_exc(limit=-4)
            if (took := time.monotonic() - begun) > SLOW:
                wrong = wrong or f"took {took:.0f} s"
            counts[status] += 1
            if wrong:
                finds += 1
                shown = {
                    name: value[:100] if isinstance(value, bytes | str) else value for name, value in request.items()
                }
                print(f"--seed {seed + number} --cases 1: {str(shown)[:600]}\n{wrong}", flush=True)
    return counts, finds


def made(folder: Path) -> tuple[list[Any], str]:
    """A studio with one run and one that asks for a token, and the run's id."""
    os.environ["WHEATSTONE_HOME"] = str(folder / "home")
    from starlette.testclient import TestClient

    from wheatstone.studio import Library, create_app
    from wheatstone.studio._library import EXAMPLES

    shutil.copytree(EXAMPLES / "a-fact", folder / "runs" / "run")
    library = Library((folder / "runs",), examples=folder / "no")
    with TestClient(create_app(library), base_url="http://127.0.0.1:8765") as client:
        (run,) = client.get("/api/v1/runs").json()["runs"]
    return [create_app(library), create_app(library, hosts=(), token="t")], run["id"]


def main() -> None:
    """Tries and counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as place:
        apps, run = made(Path(place))
        counts, finds = asyncio.run(tried(apps, run, asked.cases, asked.seed))
    print(", ".join(f"{count} x {status}" for status, count in sorted(counts.items())))
    print(f"{asked.cases:,} requests, {finds} found")
    sys.exit(bool(finds))


if __name__ == "__main__":
    main()
