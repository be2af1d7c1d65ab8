"""What is sent to others: a link with its zoom and labels, a page that embeds; and files that are dropped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import NEEDED, ready, saved, served
from playwright.sync_api import Browser, Page, expect
from test_graphs import foreign

from wheatstone.studio import Library

pytestmark = NEEDED
LONG = 600_000
MAP = "document.querySelector('.map canvas').toDataURL()"


def drop(page: Page, name: str, content: str) -> None:
    """Drops a file on the page, as the system does."""
    page.evaluate(
        """([name, content]) => {
            const data = new DataTransfer();
            data.items.add(new File([content], name, { type: "application/json" }));
            const about = { dataTransfer: data, bubbles: true, cancelable: true };
            for (const kind of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, about));
        }""",
        [name, content],
    )


def test_a_link_holds_zoom_and_labels(page: Page, browser: Browser, address: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ready(page, address, "?run=example-a-fact&sel=a23.h4")
    page.get_by_label("Label of a23.h4").fill("moves <b>France</b>")
    page.get_by_role("button", name="Save label").click()
    box = page.locator(".map canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
    for _ in range(3):
        page.mouse.wheel(0, -240)
    expect(page.get_by_role("button", name="Whole map")).to_be_visible()
    expect(page).to_have_url(re.compile("zoom="))
    page.get_by_role("button", name="Link", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    page.mouse.move(0, 0)
    expect(page.locator(".hover")).to_have_count(0)
    shown = page.evaluate(MAP)
    assert page.viewport_size
    other = browser.new_page(viewport=page.viewport_size)  # another browser: it has none of these labels
    other.goto(link)
    expect(other.get_by_text("Labels of the link.")).to_be_visible()
    expect(other.get_by_label("Label of a23.h4")).to_have_value("moves <b>France</b>")
    expect(other.get_by_role("button", name="Whole map")).to_be_visible()
    zoom = re.search(r"zoom=([^&]+)", page.url)
    assert zoom
    assert f"zoom={zoom[1]}" in other.url
    other.get_by_role("button", name="Keep them").click()
    expect(other.get_by_text("Labels of the link.")).to_have_count(0)
    other.goto(f"{address}?run=example-a-fact&sel=a23.h4")
    expect(other.get_by_label("Label of a23.h4")).to_have_value("moves <b>France</b>")
    other.get_by_role("button", name="Whole map").wait_for(state="detached")
    assert other.evaluate(MAP) != shown
    other.close()


def test_the_page_embeds_and_the_studio_does_not(page: Page, browser: Browser, address: str, tmp_path: Path) -> None:
    """The exported page is a file that any site may show; the studio's own pages may be framed by none."""
    ready(page, address, "?run=example-a-fact&sel=a23.h4")
    (tmp_path / "circuit.html").write_bytes(saved(page, "Page"))
    frames = "".join(
        f'<iframe sandbox="allow-scripts" width="800" height="700" title="{name}" src="{source}"></iframe>'
        for name, source in (("page", "circuit.html"), ("studio", f"{address}?run=example-a-fact"))
    )
    (tmp_path / "site.html").write_text(f"<!doctype html><title>A site</title>{frames}", encoding="utf-8")
    site = browser.new_page()
    site.goto((tmp_path / "site.html").as_uri())
    inside = site.frame_locator("iframe[title=page]")
    expect(inside.get_by_role("img", name=re.compile("^Layers by"))).to_be_visible()
    expect(inside.locator(".faithfulness")).to_contain_text("faithfulness 0.917")
    inside.get_by_text("Connections", exact=True).click()
    expect(inside.get_by_role("list", name="Connections").get_by_role("listitem").first).to_be_visible()
    expect(site.frame_locator("iframe[title=studio]").locator("header.top")).to_have_count(0)
    site.close()


def test_a_dropped_file_is_looked_at_before_it_is_sent(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    for name, content, words in (
        ("x.json", "{", "Expected a JSON file"),
        ("x.json", '{"a": 1}', "got another JSON document"),
        ("x.png", "PNG", "Expected a JSON file"),
    ):
        drop(page, name, content)
        expect(page.get_by_role("alert")).to_contain_text(words)
        page.get_by_role("dialog", name="Import").get_by_role("button", name="Close").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate(
        """() => {
            const file = new File(["{}"], "huge.json");
            Object.defineProperty(file, "size", { value: 70_000_000 });
            const data = { types: ["Files"], files: [file] };
            const event = new Event("drop", { bubbles: true, cancelable: true });
            Object.defineProperty(event, "dataTransfer", { value: data });
            document.body.dispatchEvent(event);
        }"""
    )
    expect(page.get_by_role("alert")).to_contain_text("at most 64 MB; got 70 MB")


def test_the_place_to_drop_is_seen_above_an_open_dialog(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    page.keyboard.press("n")
    box = page.get_by_role("dialog", name="New circuit and jobs").bounding_box()
    assert box
    left, top, width = box["x"] + box["width"] / 4, box["y"] + 40, box["width"] / 2

    def inside() -> bytes:
        return page.screenshot(clip={"x": left, "y": top, "width": width, "height": 200})

    before = inside()
    over = """kind => {
        const data = new DataTransfer();
        data.items.add(new File(["{}"], "x.json", { type: "application/json" }));
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(over, "dragover")
    expect(page.get_by_text("Drop a circuit or an attribution graph")).to_be_visible()
    assert inside() != before
    page.evaluate(over, "dragleave")
    expect(page.get_by_text("Drop a circuit or an attribution graph")).to_have_count(0)


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_a_dropped_graph_is_imported_and_opened(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("WHEATSTONE_HOME", str(tmp_path / "home"))
    graph: dict[str, Any] = foreign(300, 2_000, text="<i>w</i>")
    with served(Library((tmp_path / "runs",))) as address:
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.set_default_timeout(20_000)
        ready(page, address, "?run=example-a-fact")
        drop(page, "<b>theirs</b>.json", json.dumps(graph))
        expect(page.get_by_test_id("dropped")).to_contain_text("an attribution graph, 301 nodes, 2,000 edges")
        page.screenshot(path=tmp_path / f"studio-import-{size[0]}.png")
        page.get_by_role("button", name="Import", exact=True).last.click()
        job = page.get_by_test_id("job").first
        expect(job).to_contain_text("import: <b>theirs</b>")
        job.get_by_role("button", name=re.compile("^Open")).click(timeout=LONG)
        expect(page.get_by_role("img", name=re.compile("^Layers by tokens"))).to_be_visible()
        expect(page.get_by_test_id("graph-drawn")).to_contain_text("of 300 nodes drawn")
        page.close()
