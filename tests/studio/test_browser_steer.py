"""Steering from the browser: SmolLM2 continues a prompt as it is and with nodes changed, token by token."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from browser import NEEDED, pictured, ready, served
from playwright.sync_api import Browser, Page, expect

from wheatstone.studio import Library

pytestmark = [*NEEDED, pytest.mark.real_weights]
LONG = 600_000
"""Milliseconds for what takes seconds on an idle machine."""
TOKENS = 30


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, with_smollm2: Path) -> Generator[str, None, None]:
    with served(Library((tmp_path_factory.mktemp("runs"),))) as address:
        yield address


def test_the_text_is_written_next_to_the_original(
    page: Page, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(page, address, "?run=example-a-fact&pins=a23.h4&tab=change")
    steer = page.get_by_role("region", name="Continuation")
    go = steer.get_by_role("button", name="Continue")
    made = steer.get_by_test_id("generated")
    page.get_by_label("What to do to a23.h4").select_option("scale")
    page.get_by_label("Factor of a23.h4").fill("-2")
    for wrong in ("0", "201", "1.5", ""):
        steer.get_by_label("tokens").fill(wrong)
        expect(go).to_be_disabled()
    had = made.count()
    steer.get_by_label("tokens").fill("2")
    go.click()
    expect(made).to_have_count(had + 1, timeout=LONG)
    expect(made.first).to_have_attribute("aria-busy", "false", timeout=LONG)  # the model is loaded
    steer.get_by_label("tokens").fill(str(TOKENS))
    started = time.perf_counter()
    go.click()
    expect(made).to_have_count(had + 2, timeout=LONG)
    seen: set[int] = set()
    while made.first.get_attribute("aria-busy") == "true":
        seen.add(made.first.locator("p span").count())
    took = time.perf_counter() - started
    expect(made.first).to_contain_text("a23.h4 × -2")
    with capsys.disabled():
        print(f"\n2 x {TOKENS} tokens in {took:.2f} s, seen at {len(seen)} lengths")
    assert len(seen) > 3
    texts = made.first.locator("p")
    expect(texts.first).to_contain_text("The official language of France is French")
    expect(texts.nth(1)).not_to_contain_text("is French")
    expect(texts.nth(1).locator(".differs").first).to_be_visible()
    box = made.first.bounding_box()
    assert box
    assert page.viewport_size
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    pictured(page, "studio-steer", tmp_path)


def test_a_neuron_is_pinned_by_its_name_and_a_long_text_is_stopped(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&tab=change")
    page.get_by_label("Pin a node or neuron").fill("nonsense")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("list", name="Changes")).to_contain_text("No node is locked or pinned")
    page.get_by_label("Pin a node or neuron").fill("m29.n392")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.get_by_label("What to do to m29.n392").select_option("patch")
    steer = page.get_by_role("region", name="Continuation")
    steer.get_by_label("tokens").fill("200")
    steer.get_by_role("spinbutton", name="temperature").fill("3")
    steer.get_by_role("button", name="Continue").click()
    made = steer.get_by_test_id("generated").first
    expect(made).to_have_attribute("aria-busy", "true", timeout=LONG)
    steer.get_by_role("button", name="Stop").click()
    expect(steer.get_by_role("button", name="Stop")).to_have_count(0, timeout=LONG)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_two_tabs_steer_one_after_the_other(browser: Browser, address: str) -> None:
    tabs = [browser.new_page(viewport={"width": 1280, "height": 800}) for _ in range(2)]
    try:
        for tab, node in zip(tabs, ("m29", "a23.h4"), strict=True):
            ready(tab, address, f"?run=example-a-fact&pins={node}&tab=change")
            tab.get_by_role("region", name="Continuation").get_by_label("tokens").fill("7")
        for tab in tabs:
            tab.get_by_role("button", name="Continue").click()
        for tab in tabs:
            made = [tab.get_by_role("figure", name=f"Continuation: without {node}").first for node in ("m29", "a23.h4")]
            for one in made:
                expect(one).to_have_attribute("aria-busy", "false", timeout=LONG)
                expect(one.locator("p").first).to_contain_text(re.compile("France is French"))
    finally:
        for tab in tabs:
            tab.close()
