"""What was false or blank once, seen in the browser: runs of every verb, the token, a hostile manifest, bare axes."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from browser import NEEDED, ready, saved
from playwright.sync_api import Browser, Page, expect

from wheatstone.runs import CONTENTS, import_run
from wheatstone.studio import Library, create_app
from wheatstone.studio._library import EXAMPLES, identity
from wheatstone.studio._serve import Server

pytestmark = NEEDED
RUNS = sorted((Path(__file__).parents[1] / "runs/formerly").glob("*.zip"))
"""A run of every verb, of a tiny model."""


@pytest.fixture(scope="module")
def every_verb(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    for archive in RUNS:
        import_run(archive, folder / f"verb-{archive.stem}")
    return [folder / f"verb-{archive.stem}" for archive in RUNS]


def test_runs_of_every_verb_are_listed_and_open(page: Page, address: str, every_verb: list[Path]) -> None:
    ready(page, address, "?run=example-a-fact")
    page.get_by_role("button", name="All runs").click()
    listed = page.get_by_role("dialog", name="Runs")
    commands = {contents.command.replace(" ", "-"): contents for contents in CONTENTS.values()}
    for run in every_verb:
        contents = commands[run.name.removeprefix("verb-")]
        listed.get_by_label("Filter runs").fill(run.name)
        line = listed.get_by_role("row").filter(has_text=re.compile(f"{run.name}$"))
        expect(line).to_have_count(1)
        expect(line).to_contain_text(contents.command)
        if contents.document == "circuit":
            expect(line.get_by_role("button")).to_be_visible()
            continue
        with page.context.expect_page() as opened:
            line.get_by_role("link").click()
        report = opened.value
        expect(report.locator("h1")).to_be_visible()
        assert report.locator("figure, table").count() > 0, run.name
        report.close()


def test_a_studio_with_a_token_asks_for_it_and_keeps_the_view(browser: Browser, own_home: Path) -> None:
    server = Server(create_app(Library(()), hosts=(), token="correct horse"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    try:
        page.goto(f"{address}?run=example-a-fact&sel=a23.h4")
        expect(page.get_by_role("heading", name="Wheatstone studio")).to_be_visible()
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("body")).to_contain_text("This is not the token of this studio.")
        page.get_by_label("Token").fill("correct horse")
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".selection h2")).to_have_text("a23.h4")
        assert "token" not in page.url
        page.goto(f"{address}?run=example-a-fact&tab=proof&token=correct horse")
        expect(page.get_by_role("tab", name="Proof")).to_have_attribute("aria-selected", "true")
    finally:
        page.close()
        server.should_exit = True
        thread.join(60)


def test_a_manifest_of_a_billion_layers_freezes_nothing(page: Page, address: str, folder: Path) -> None:
    run = folder / "billion"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(EXAMPLES / "a-fact", run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["model"]["layers"] = 10**9
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    page.goto(f"{address}?run={identity(str(run))}")
    expect(page.get_by_role("alert")).to_contain_text("model.layers")
    page.get_by_role("combobox", name="Run", exact=True).select_option("example-a-fact")
    expect(page.get_by_test_id("faithfulness")).to_contain_text("0.917")
    shutil.rmtree(run)


def test_axes_have_numbers_at_every_zoom(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    curve = page.locator(".size .points")
    expect(curve.locator("b")).to_have_text(["0", "0.5", "1"])
    expect(curve.locator("span")).to_have_text(["1", "10", "100", "1,000", "10,000"])
    text = "{http://www.w3.org/2000/svg}text"
    for zoom in ("", "4,-2,-0.5"):
        ready(page, address, f"?run=example-a-fact&zoom={zoom}")
        painted = page.locator(".map canvas").evaluate("canvas => canvas.toDataURL()")
        assert len(painted) > 10_000
    words = {one.text for one in ElementTree.fromstring(saved(page, "SVG")).iter(text)}
    assert {"layer", "0", "a23.h4", "m0"} <= words
