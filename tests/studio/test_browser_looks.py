"""Every view at every size in every light: a picture to be looked at, nothing cut off, and nothing that axe minds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browser import LOOKS, NEEDED
from needs import AXE
from playwright.sync_api import Page, expect

pytestmark = [*NEEDED, pytest.mark.needs("web tools")]
FACT, TASK, GRAPH = "?run=example-a-fact", "?run=example-a-or-an", "?run=example-a-fact-in-neurons"
VIEWS = {
    "story": FACT,
    "story-of-a-task": "?run=example-a-relation",
    "head": f"{FACT}&sel=a23.h4",
    "edge": f"{FACT}&sel=m0>a23.g1<v>",
    "node": f"{FACT}&sel=m0",
    "pinned": f"{FACT}&pins=m0|a23.h4|m23",
    "ranking": f"{FACT}&mode=ranking&n=2000",
    "tokens": "?run=example-a-fact-by-token&sel=a23.h4%405",
    "layers": f"{FACT}&tab=layers",
    "layers-of-a-task": f"{TASK}&tab=layers",
    "proof": f"{TASK}&tab=proof&on=test split",
    "run": f"{TASK}&tab=run",
    "change": f"{FACT}&tab=change&pins=m0|a23.h4|m23",
    "compare": f"{FACT}&vs=example-a-or-an",
    "compare-head": f"{FACT}&vs=example-a-or-an&sel=a23.h4",
    "compare-edge": f"{FACT}&vs=example-a-or-an&sel=input>m0",
    "graph": GRAPH,
    "graph-neuron": f"{GRAPH}&sel=m29.n864@5&pins=a23.h4@5|a29.h2@5",
    "graph-edge": f"{GRAPH}&sel=a23.h4@5>m29.n864@5",
    "graph-supernodes": f"{GRAPH}&tab=groups&pins=a23.h4@5|a29.h2@5",
    "graph-change": f"{GRAPH}&tab=change&sel=a23.h4@5",
    "graph-run": f"{GRAPH}&tab=run",
    "absent": "?run=no-such-run",
}


def _pressed(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=name, exact=True).click()


def _named_view(page: Page) -> None:
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Name this view").fill("the head")
    page.keyboard.press("Enter")


def _tour(page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_role("button", name="Take the tour").click()


DIALOGS: dict[str, Callable[[Page], None]] = {
    "runs": _pressed("All runs"),
    "new": _pressed("New"),
    "import": _pressed("Import"),
    "help": _pressed("Help"),
    "tour": _tour,
    "views": _named_view,
}
CUT = """() => {
    const parts = "h1, h2, h3, p, button, td, th, dt, dd, label, small, select, summary, li, abbr";
    return [...document.querySelectorAll(parts)].filter((part) => {
        const [box, style] = [part.getBoundingClientRect(), getComputedStyle(part)];
        if (!box.width || part.closest(".scroll, .rows, svg, .visually-hidden")) return false;
        const clipped = ["hidden", "clip"].includes(style.overflowX) && part.scrollWidth > part.clientWidth + 1;
        const said = part.closest("[title]") || part.querySelector("[title]");
        const outside = box.right > innerWidth + 0.5 || box.left < -0.5;
        return (outside && (part.tagName === "BUTTON" || !said)) || (clipped && !said);
    }).map((part) => `${part.tagName} ${part.textContent.slice(0, 60)}`);
}"""
"""What is outside the window, or cut off without its words one hover away. What scrolls is not cut off."""


def _settled(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("status").filter(has_text="Reading")).to_have_count(0)


def _wrong(page: Page, picture: Path, *, axe: bool) -> list[str]:
    """What is wrong with the view as it is now, after a picture of it."""
    page.screenshot(path=picture)
    whole = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = page.evaluate("axe.run({ resultTypes: ['violations'] }).then(result => result.violations)") if axe else []
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [
        *(f"axe {one['id']}: {[node['target'] for node in one['nodes'][:3]]}" for one in serious),
        *(f"cut off: {part}" for part in page.evaluate(CUT)),
        *([] if whole else ["the page is wider than the window"]),
    ]


@pytest.mark.parametrize("name", [*VIEWS, *DIALOGS])
def test_every_view_is_whole(changing: Page, address: str, tmp_path: Path, name: str) -> None:
    """In a window that changes its size and its light; axe looks at the two that have neither in common."""
    page = changing
    page.add_init_script("localStorage.setItem('tour', 'offered')")
    page.goto(address + VIEWS.get(name, FACT))
    if name in DIALOGS:
        expect(page.get_by_test_id("faithfulness")).to_contain_text("0.917")
        DIALOGS[name](page)
    else:
        expect(page.locator("main, .trouble").first).to_be_visible()
    _settled(page)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    wrong: list[str] = []
    for width, height, light in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=light)
        expect(page.locator("html")).to_have_attribute("data-theme", light)
        look, axe = f"{name}-{width}-{light}", (width, height, light) in (LOOKS[0], LOOKS[-1])
        wrong += [f"{look}: {found}" for found in _wrong(page, tmp_path / f"{look}.png", axe=axe)]
    assert not wrong, "\n".join(wrong)
