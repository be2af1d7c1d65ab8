"""What a person waits for in the studio: the list of 600 runs, a run of millions of edges, a measurement, a text.

    python benchmarks/studio_figures.py [--runs 600] [--edges 6400000] [--model smollm2-135m] [--write]

Each part starts the real server and asks it over TCP. `--write` puts the table into docs/results/studio-figures.md.
First paint and the slider need a browser: `pytest tests/studio/test_browser.py -k speed -s`. About two minutes, and
the model must be on this machine.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from wheatstone.checkpoints import tokenizer_here
from wheatstone.studio._app import BUILT
from wheatstone.studio._library import EXAMPLES, identity

PAGE = Path(__file__).parents[1] / "docs" / "results" / "studio-figures.md"
NODES = ["m0", "m7", "m23", "m29", "a23.h4"]
TEXT = 30
LAYERS, HEADS = 60, 60
"""Of the run of many edges: 3,660 heads and MLPs, which have 6.7 million pairs in order."""


@contextmanager
def studio(home: Path, runs: Path) -> Generator[str]:
    """The server as its command starts it; its address."""
    command = [sys.executable, "-c", "from wheatstone.cli import main; main()", "studio", "--no-browser", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--json", "--runs", str(runs)],
        env={**os.environ, "WHEATSTONE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["address"]
    finally:
        process.terminate()
        process.wait()


def asked(address: str, path: str, body: object = None) -> bytes:
    """The body of an answer."""
    headers = {"Origin": address.rstrip("/"), "Content-Type": "application/json"}
    payload = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{address}api/v1/{path}", payload, headers), timeout=120) as answer:
        return answer.read()


def seconds_of(address: str, *paths: str) -> float:
    """Seconds until some requests are answered, one after the other."""
    started = time.perf_counter()
    for path in paths:
        asked(address, path)
    return time.perf_counter() - started


def worked() -> float:
    """Seconds of processor time of the server and its worker so far."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


def job(address: str, request: dict[str, Any]) -> tuple[float, dict[int, float]]:
    """Seconds of processor time of a job, and by number of tokens of the original text the seconds until they were
    there; by -1, until its end.
    """
    before, started, seen = worked(), time.perf_counter(), dict[int, float]()
    id = json.loads(asked(address, "jobs", request))["id"]
    while True:
        last = json.loads(asked(address, f"jobs/{id}"))["last"]
        written = len((last.get("generated") or {}).get("original", ()))
        seen.setdefault(written, time.perf_counter() - started)
        if last["state"] not in ("queued", "running"):
            assert last["state"] == "done", last
            seen[-1] = time.perf_counter() - started
            return worked() - before, seen
        time.sleep(0.02)


def write_many_edges(folder: Path, edges: int) -> None:
    """A run of random edges, as many as asked for: for how long it takes to open, not for what it says."""
    shutil.copytree(EXAMPLES / "a-fact", folder)
    names = [f"a{at}.h{head}" for at in range(LAYERS) for head in range(HEADS)] + [f"m{at}" for at in range(LAYERS)]
    first, second = np.triu_indices(len(names), 1)
    chosen = np.random.default_rng(0).permutation(len(first))[:edges]
    dictionary = pa.array(names)
    ends = (
        pa.DictionaryArray.from_arrays(pa.array(one[chosen].astype(np.int32)), dictionary) for one in (first, second)
    )
    sender, receiver = ends
    scores = pa.array(np.random.default_rng(1).normal(size=len(chosen)).astype(np.float32))
    pq.write_table(pa.table({"sender": sender, "receiver": receiver, "score": scores}), folder / "edges.parquet")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["model"] |= {"layers": LAYERS, "heads": HEADS, "kv_groups": HEADS}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def measured(options: argparse.Namespace, work: Path) -> list[str]:
    """The rows of the table."""
    files = [path for path in BUILT.rglob("*") if path.is_file()]
    bundle = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
    rows = [f"| the app, gzipped | {bundle / 1e6:.2f} MB | 0.5 MB |"]
    home = work / "home"
    (home / "models").mkdir(parents=True)
    if here := tokenizer_here(options.model):
        (home / "models" / options.model).symlink_to(here)
    for at in range(options.runs):
        (work / "many" / f"run-{at}").mkdir(parents=True)
        for name in ("manifest.json", "circuit.json"):
            shutil.copy(EXAMPLES / "a-fact" / name, work / "many" / f"run-{at}")
    with studio(home, work / "many") as address:
        first, again = (seconds_of(address, "runs") for _ in range(2))
    rows.append(f"| the list of {options.runs} runs, asked for as soon as the server answers | {first:.2f} s | |")
    rows.append(f"| the same, again | {again:.2f} s | 0.3 s |")
    write_many_edges(work / "large" / "run", options.edges)
    run = identity(str(work / "large" / "run"))
    parts = [f"runs/{run}{part}" for part in ("/contents", "", "/edges", "/verifications", "/story")]
    with studio(home, work / "large") as address:
        first, again = (seconds_of(address, *parts) for _ in range(2))
        rows.append(
            f"| a run of {options.edges / 1e6:.1f} million edges, opened for the first time | {first:.2f} s | |"
        )
        rows.append(f"| the same, again | {again:.2f} s | 2 s |")
        measure = {"verb": "measure", "run": "example-a-fact", "nodes": NODES}
        changes = [{"node": "a23.h4", "how": "scale", "factor": -2}]
        text = {"verb": "generate", "run": "example-a-fact", "changes": changes}
        job(address, measure | {"nodes": NODES[:1]})  # loads the model
        processor, took = job(address, measure)
        said = f"{took[-1]:.2f} s, {processor:.2f} s of processor time"
        rows.append(f"| {len(NODES)} nodes measured together, the model loaded | {said} | 2 s |")
        job(address, text | {"tokens": 2})
        processor, took = job(address, text | {"tokens": TEXT})
        lengths = len(took) - 2
        rows.append(f"| a text of {TEXT} tokens, seen at {lengths} lengths | {took[TEXT]:.2f} s | 5 s |")
        said = f"{took[-1]:.2f} s, {processor:.2f} s of processor time"
        rows.append(f"| that and the one with a head changed | {said} | |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=600)
    parser.add_argument("--edges", type=int, default=6_400_000)
    parser.add_argument("--model", default="smollm2-135m", help="that the packaged runs are of")
    parser.add_argument("--write", action="store_true", help="write docs/results/studio-figures.md")
    options = parser.parse_args()
    load, began = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="studio-figures-") as work:
        table = "\n".join(["| | measured | aim |", "|---|---|---|", *measured(options, Path(work))])
    text = "\n".join(
        [
            "# What a person waits for in the studio",
            "",
            "Made by `python benchmarks/studio_figures.py --write`.",
            "",
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; load {load:.1f} when "
            f"it began, {os.getloadavg()[0]:.1f} when it ended, {time.perf_counter() - began:.0f} s. n = 1 of "
            "each. Times are of the server, over TCP, until the last byte; the browser's own work is not in them.",
            "",
            table,
        ]
    )
    print(text)
    if options.write:
        PAGE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
