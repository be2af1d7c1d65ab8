"""A real browser before a real server, for the tests of the web app."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from wheatstone.studio import Library, create_app
from wheatstone.studio._jobs import Jobs
from wheatstone.studio._jobs_schema import JobEvent
from wheatstone.studio._library import EXAMPLES
from wheatstone.studio._serve import Server

NEEDED = [pytest.mark.browser, pytest.mark.needs("web app", "browser")]
"""Marks of every test that drives the browser."""
expect.set_options(timeout=20_000)  # a busy machine is no failure
Light = Literal["light", "dark"]
Look = tuple[int, int, Light]
SIZES: list[tuple[int, int]] = [(1280, 800), (1920, 1080)]
"""That the app is made for."""
LIGHTS: list[Light] = ["light", "dark"]
LOOKS: list[Look] = [(*size, light) for size in SIZES for light in LIGHTS]
LAYERS, HEADS, EDGES, TOKENS = 100, 49, 20_000, 60


@contextmanager
def served(library: Library, jobs: Jobs | None = None) -> Generator[str, None, None]:
    """The studio at a port of its own. As it ends, it ends the jobs."""
    server = Server(create_app(library, jobs=jobs))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(60)


def write_large(folder: Path) -> Path:
    """A run of 5,000 nodes, 20,000 edges and 60 tokens, drawn at random: for how it is shown, not what it says."""
    shutil.copytree(EXAMPLES / "a-fact", folder)
    draw = np.random.default_rng(0)
    nodes = [f"a{layer}.h{head}" for layer in range(LAYERS) for head in range(HEADS)] + [
        f"m{at}" for at in range(LAYERS)
    ]
    layer_of = np.array([int(name[1:].partition(".")[0]) for name in nodes])
    ends = draw.integers(0, len(nodes), (4 * EDGES, 2))
    ends = np.unique(ends[layer_of[ends[:, 0]] < layer_of[ends[:, 1]]], axis=0)
    ends = draw.permutation(ends)[:EDGES]
    pairs = [(nodes[a], nodes[b] + ("<q>" if nodes[b][0] == "a" else "")) for a, b in ends]
    scores = np.sort(draw.exponential(size=len(pairs)))[::-1] * draw.choice([-1, 1], len(pairs))
    senders, receivers = zip(*pairs, strict=True)
    table = pa.table(
        {
            "sender": pa.array(senders).dictionary_encode(),
            "receiver": pa.array(receivers).dictionary_encode(),
            "score": pa.array(scores, pa.float32()),
        }
    )
    pq.write_table(table, folder / "edges.parquet")
    words = [f" w{at}" for at in range(TOKENS)]
    lens = pq.read_table(folder / "explain/lens_by_position.parquet")
    first = lens.filter(pc.field("position") == 0)
    at = lens.schema.get_field_index("position")
    by_token = [first.set_column(at, "position", pa.array([place] * len(first))) for place in range(TOKENS)]
    pq.write_table(pa.concat_tables(by_token), folder / "explain/lens_by_position.parquet")
    for name in ("manifest.json", "circuit.json"):
        document = json.loads((folder / name).read_text(encoding="utf-8"))
        document["model"] |= {"layers": LAYERS, "heads": HEADS, "kv_groups": HEADS}
        if name == "circuit.json":
            document["evaluation"]["total_edges"] = EDGES
            document["edges"] = [{"from": a, "to": b, "score": 1.0, "effect": 0.1} for a, b in pairs[:10]]
        else:
            document["title"] = "5,000 nodes and 20,000 edges"
            document["prompts"][0] |= {"tokens": words, "counterfactual_tokens": words, "last": TOKENS - 1}
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return folder


def ready(page: Page, address: str, query: str = "") -> None:
    page.goto(address + query)
    expect(page.get_by_role("img", name=re.compile("^Layers by"))).to_be_visible()
    expect(page.get_by_test_id("faithfulness")).to_contain_text(re.compile(r"\d\.\d"))


def saved(page: Page, name: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).click()
    return Path(download.value.path()).read_bytes()


def rows(page: Page) -> Any:
    return page.locator(".rows li button")


def ended(jobs: Jobs, id: str) -> JobEvent:
    """The last event of a job, waited for."""

    async def last() -> JobEvent:
        return [event async for event in jobs.follow(id)][-1]

    return asyncio.run(asyncio.wait_for(last(), 600))


def pictured(page: Page, name: str, tmp_path: Path) -> None:
    """A picture of a page. In the light at 1280 pixels it is the guide's, where STUDIO_PICTURES says so."""
    assert page.viewport_size
    width = page.viewport_size["width"]
    light = str(page.evaluate("document.documentElement.dataset.theme"))
    page.screenshot(path=tmp_path / f"{name}-{light}-{width}.png")
    if (light, width) == ("light", 1280) and (folder := os.environ.get("STUDIO_PICTURES")):
        shutil.copy(tmp_path / f"{name}-{light}-{width}.png", Path(folder) / f"{name}.png")
