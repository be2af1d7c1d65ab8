"""The notebook's map in a real browser, given its circuit as anywidget gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from browser import NEEDED
from playwright.sync_api import Page, Route, expect

from wheatstone.circuits import Circuit
from wheatstone.studio import CircuitView, show
from wheatstone.studio._library import EXAMPLES

pytestmark = NEEDED
OUTPUT = """<!doctype html><html lang="en"><body data-jp-theme-light="{light}"><div id="cell"></div>
<script type="module" src="cell.js"></script></body></html>"""
CELL = """import widget from "./widget.js";
const model = { get: () => (%s), on() {}, off() {} };
window.leave = widget.render({ model, el: document.getElementById("cell") });"""


@pytest.fixture
def notebook(page: Page, address: str) -> Callable[..., None]:
    """Shows a circuit as a notebook's output."""

    def shown(view: CircuitView, light: str = "true") -> None:
        def answer(route: Route) -> None:
            if route.request.url.endswith("cell.js"):
                code = CELL % json.dumps(view.circuit.model_dump(mode="json"))
                route.fulfill(body=code, content_type="text/javascript")
            else:
                route.fulfill(body=OUTPUT.format(light=light), content_type="text/html")

        page.route(re.compile(r"notebook\.html|cell\.js"), answer)
        page.goto(f"{address}notebook.html")
        expect(page.get_by_role("img", name=re.compile("edges shown"))).to_be_visible()

    return shown


def test_the_slider_changes_the_map_and_says_what_was_measured(page: Page, notebook: Callable[..., None]) -> None:
    notebook(show(EXAMPLES / "a-fact"))
    expect(page.locator(".faithfulness")).to_contain_text("faithfulness 0.917 measured, n = 1")
    expect(page.locator(".numbers")).to_contain_text("14 edges of 70,651")
    before = page.locator("canvas").screenshot()
    slider = page.get_by_role("slider")
    slider.fill("600")
    expect(page.get_by_role("button", name="Ranking")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".faithfulness")).to_contain_text(re.compile(r"measured: [\d.]+ at [\d,]+, [\d.]+ at [\d,]+"))
    assert page.locator("canvas").screenshot() != before
    slider.fill("0")
    expect(page.locator(".numbers")).to_contain_text("1 edge of 70,651")
    expect(page.locator(".faithfulness")).to_contain_text("measured at this size")


def test_the_pointer_and_the_list_explain(page: Page, notebook: Callable[..., None]) -> None:
    notebook(Circuit.load(EXAMPLES / "a-fact/circuit.json").show())
    box = page.locator("canvas").bounding_box()
    assert box
    # Where `layout.ts` puts the MLP of the last of 30 layers, beside 9 heads.
    x, y = 52 + (box["width"] - 86) * 10.5 / 11.5, box["height"] - 62 - (box["height"] - 106) * 29.8 / 30
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(page.locator(".hover")).to_contain_text("the MLP of layer 29")
    page.get_by_text("Connections").click()
    rows = page.locator("ol button")
    expect(rows).to_have_count(14)
    rows.first.click()
    expect(rows.first).to_have_attribute("aria-pressed", "true")


def test_tokens_stand_side_by_side_and_a_dark_notebook_is_dark(page: Page, notebook: Callable[..., None]) -> None:
    notebook(show(EXAMPLES / "a-fact-by-token"), light="false")
    page.get_by_role("button", name="Tokens").click()
    expect(page.get_by_role("img", name=re.compile("^Layers by tokens"))).to_be_visible()
    paper = page.evaluate("getComputedStyle(document.querySelector('.portable')).backgroundColor")
    assert paper == "rgb(20, 26, 33)"
    page.evaluate("leave()")
    expect(page.locator(".portable")).to_have_count(0)
