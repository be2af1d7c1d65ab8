"""The studio under load: images that another site asks for, 200 requests a second, and a server that is killed.

    python benchmarks/studio_load.py [--seconds 20] [--rate 200] [--images 60] [--kills 5] [--write]

Each part starts the real server with the runs that the package brings, on one core, and asks it over TCP from another.
A request has a connection of its own. `--write` puts the table into docs/results/studio-load.md. Linux only. About two
minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from wheatstone.studio._library import EXAMPLES, identity

TESTS, PAGE = Path(__file__).parents[1] / "tests", Path(__file__).parents[1] / "docs" / "results" / "studio-load.md"
RUNS = sorted(path.parent for path in EXAMPLES.glob("*/circuit.json"))
PATIENCE = 60.0
"""Seconds after which a request counts as never answered."""
POLL = 0.05
"""Seconds between two requests of a page that polls."""


class Answer(NamedTuple):
    """How a request ended: its status, 0 where none came, and the seconds that took."""

    status: int
    seconds: float


@dataclass(frozen=True)
class Server:
    """A running studio.

    Args:
        process: of the server.
        port: that it listens at.
        runs: names of runs in the API.
    """

    process: subprocess.Popen[str]
    port: int
    runs: tuple[str, ...]

    async def ask(self, path: str, body: object = None, **headers: str) -> tuple[Answer, bytes]:
        """One request on a connection of its own, and the body of its answer."""
        started = time.perf_counter()
        payload = b"" if body is None else json.dumps(body).encode()
        words = {"Host": f"127.0.0.1:{self.port}", "Connection": "close", "Sec-Fetch-Site": "same-origin", **headers}
        if payload:
            words |= {"Content-Type": "application/json", "Content-Length": str(len(payload))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in words.items())
        verb = "POST" if payload else "GET"
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(f"{verb} {path} HTTP/1.1\r\n{lines}\r\n".encode() + payload)
                answer = await reader.read()
                writer.close()
            status = int(answer.split(b" ", 2)[1])
        except (OSError, TimeoutError, IndexError, ValueError):
            status, answer = 0, b""
        return Answer(status, time.perf_counter() - started), answer.partition(b"\r\n\r\n")[2]


@contextmanager
def studio(folder: Path, core: int) -> Generator[Server]:
    """The server on copies of the packaged runs, pinned to one core."""
    runs = folder / "runs"
    for example in RUNS:
        shutil.copytree(example, runs / example.name)
    command = [sys.executable, "-c", "from wheatstone.cli import main; main()", "studio", "--no-browser", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--json", "--runs", str(runs)],
        env={**os.environ, "WHEATSTONE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        port = urlsplit(json.loads(process.stdout.readline())["address"]).port
        assert port is not None
        server = Server(process, port, tuple(identity(str(path)) for path in sorted(runs.iterdir())))
        asyncio.run(server.ask("/api/v1/runs"))  # the first request imports
        yield server
    finally:
        process.kill()
        process.wait()


async def images(server: Server, count: int, site: str) -> tuple[list[Answer], list[Answer]]:
    """Asks for pictures all at once and lists runs meanwhile, as an open page does.

    Returns:
        The answers to the pictures' requests, and to the page's.
    """
    paths = [f"/api/v1/runs/{run}/figures/{name}.svg" for run in server.runs for name in ("circuit", "curve", "answer")]
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    asked = [asyncio.create_task(server.ask(f"{paths[at % len(paths)]}?{at}", **headers)) for at in range(count)]
    polled: list[asyncio.Task[tuple[Answer, bytes]]] = []
    until = time.perf_counter() + 10
    while time.perf_counter() < until or not all(task.done() for task in asked):
        polled.append(asyncio.create_task(server.ask("/api/v1/runs")))
        await asyncio.sleep(POLL)
    return [(await task)[0] for task in asked], [(await task)[0] for task in polled]


async def crowd(server: Server, rate: int, seconds: float) -> list[Answer]:
    """Lists runs and opens one in turn, so many times a second, whatever has been answered."""
    paths = ["/api/v1/runs", *(f"/api/v1/runs/{run}" for run in server.runs)]
    started, asked = time.perf_counter(), list[asyncio.Task[tuple[Answer, bytes]]]()
    for at in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, started + at / rate - time.perf_counter()))
        asked.append(asyncio.create_task(server.ask(paths[at % len(paths)])))
    return [(await task)[0] for task in asked]


def orphaned(folder: Path, core: int) -> float:
    """Seconds that the processes of a server live on after it was killed in the middle of a job."""
    sys.path.append(str(TESTS))
    from tiny import write_tiny_task

    _, pairs, _ = write_tiny_task(folder)
    pair = {"prompt": pairs[0].prompt, "counterfactual": pairs[0].counterfactual, "answer": pairs[0].answers[0]}
    job = {"verb": "discover", "model": str(folder / "model"), "pair": pair, "faithfulness": 1.0, "allow_weak": True}
    with studio(folder, core) as server:
        answer, body = asyncio.run(server.ask("/api/v1/jobs", job, Origin=f"http://127.0.0.1:{server.port}"))
        assert answer.status == 202, body
        last: dict[str, Any] = {}
        while last.get("stage") in (None, "", "starting", "starting the worker"):
            last = json.loads(asyncio.run(server.ask("/api/v1/jobs"))[1])["jobs"][0]["last"]
            assert last["state"] in ("queued", "running"), last
        children = _children(server.process.pid)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        started = time.perf_counter()
        while any(map(_lives, children)):
            time.sleep(0.01)
        return time.perf_counter() - started


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def line(what: str, answers: Sequence[Answer], wanted: str) -> str:
    """A row of the table: how many there were, how they ended, and how long that took."""
    counts = Counter(answer.status for answer in answers)
    ended = ", ".join(f"{count:,} × {status or 'none'}" for status, count in sorted(counts.items()))
    seconds = [answer.seconds for answer in answers]
    p50, p99 = (np.quantile(seconds, at) for at in (0.5, 0.99)) if seconds else (float("nan"),) * 2
    times = f"{p50:.3f} | {p99:.3f} | {max(seconds, default=0):.3f}"
    return f"| {what} | {len(answers):,} | {ended or 'none'} | {times} | {wanted} |"


def measured(options: argparse.Namespace) -> list[str]:
    """The rows of the table."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    rows: list[str] = []
    with tempfile.TemporaryDirectory(prefix="studio-load-") as place:
        for site, wanted in (("cross-site", "p99 ≤ 0.2"), ("same-origin", "")):
            with studio(Path(place) / site, cores[0]) as server:
                asked, polled = asyncio.run(images(server, options.images, site))
            rows.append(line(f"{options.images} {site} images at once", asked, ""))
            rows.append(line("the list of runs meanwhile", polled, wanted))
        with studio(Path(place) / "crowd", cores[0]) as server:
            answers = asyncio.run(crowd(server, options.rate, options.seconds))
        told = f"{options.rate} requests a second for {options.seconds:g} s"
        rows.append(line(f"{told}: answered", [one for one in answers if one.status == 200], "p99 ≤ 1"))
        rows.append(line(f"{told}: refused", [one for one in answers if one.status != 200], "p99 ≤ 0.1"))
        ends = [Answer(0, orphaned(Path(place) / f"kill{at}", cores[0])) for at in range(options.kills)]
        rows.append(line("processes after their server was killed", ends, "≤ 2").replace(f"{len(ends)} × none", "gone"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=20.0, help="of the crowd of requests")
    parser.add_argument("--rate", type=int, default=200, help="requests a second")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/results/studio-load.md")
    options = parser.parse_args()
    load, began = os.getloadavg()[0], time.perf_counter()
    head = "| | n | status | p50 (s) | p99 (s) | longest (s) | wanted (s) |\n|---|---|---|---|---|---|---|"
    table = "\n".join([head, *measured(options)])
    text = "\n".join(
        [
            "# The studio under load",
            "",
            "Made by `python benchmarks/studio_load.py --write`.",
            "",
            f"{platform.machine()}, {os.cpu_count()} cores, the server on one and its clients on another, Python "
            f"{platform.python_version()}; load {load:.1f} when it began, {time.perf_counter() - began:.0f} s. Every "
            f"request has a connection of its own. Pictures are of {len(RUNS)} packaged runs, each "
            "asked for several times. 503 says that the server is busy and when to try again.",
            "",
            table,
        ]
    )
    print(text)
    if options.write:
        PAGE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
