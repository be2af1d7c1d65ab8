"""A graph in neurons in the browser: its map, pruning, supernodes, the pane of what is pinned, its neurons."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from browser import NEEDED, pictured
from needs import AXE
from playwright.sync_api import Page, expect
from test_graphs import foreign, write

from wheatstone.runs import Run
from wheatstone.studio._graphs import EDGES, NODES
from wheatstone.studio._library import EXAMPLES, identity

pytestmark = NEEDED
GRAPH = "example-a-fact-in-neurons"


def opened(page: Page, address: str, query: str) -> None:
    page.goto(f"{address}?run={query}")
    expect(page.get_by_role("img", name=re.compile("^Layers by tokens"))).to_be_visible()
    expect(page.get_by_test_id("graph-drawn")).to_contain_text("nodes drawn")


def drawn(page: Page) -> tuple[int, int]:
    nodes, edges = re.findall(r"([\d,]+) of", page.get_by_test_id("graph-drawn").inner_text())
    return int(nodes.replace(",", "")), int(edges.replace(",", ""))


def slide(page: Page, name: str, value: int) -> None:
    page.get_by_role("slider", name=re.compile(f"^{name} that have")).fill(str(value))


@pytest.mark.parametrize("light", ["light", "dark"])
def test_a_graph_opens_as_a_map_with_its_neurons(sized: Page, address: str, tmp_path: Path, light: str) -> None:
    page = sized
    page.add_init_script(f"localStorage.setItem('theme', '{light}'); localStorage.setItem('tour', 'offered')")
    opened(page, address, f"{GRAPH}&pins=a23.h4@5|a29.h2@5|m29.n864@5&sel=m29.n864@5")
    proof = Run.open(EXAMPLES / "a-fact-in-neurons").result["proofs"][0]
    expect(page.get_by_test_id("graph-held")).to_contain_text(
        f"Alone, {proof['nodes']} heads and neurons keep {100 * proof['faithfulness']:.0f}%"
    )
    row = next(row for row in Run.open(EXAMPLES / "a-fact-in-neurons").rows("nodes") if row["node"] == "m29.n864@5")
    selection = page.locator(".selection")
    expect(selection.get_by_role("heading", level=2)).to_have_text("m29.n864@5")
    promoted = selection.get_by_test_id("promotes").locator("ol").first.locator("li")
    expect(promoted).to_have_text([text.replace(" ", "·", 1) for text in row["promotes"]])
    expect(selection).to_contain_text(f"{row['effect']:.3f}".replace("-", "−") if row["effect"] else "influence")
    edges = Run.open(EXAMPLES / "a-fact-in-neurons").rows("edges")
    share = next(e["share"] for e in edges if (e["sender"], e["receiver"]) == ("a23.h4@5", "m29.n864@5"))
    gets = page.get_by_role("region", name="gets from").get_by_role("listitem").filter(has_text="a23.h4@5")
    expect(gets).to_contain_text(f"{100 * share:.0f}%")
    pane = page.get_by_role("region", name="Pinned nodes")
    expect(pane.locator(".box")).to_have_count(4)  # the three, and the target
    expect(pane).to_contain_text(f"{100 * share:.0f}%")
    pictured(page, "studio-graph", tmp_path, light)


def test_pruning_keeps_the_most_influential(sized: Page, address: str) -> None:
    page = sized
    opened(page, address, GRAPH)
    whole = drawn(page)
    slide(page, "Nodes", 60)
    expect(page).to_have_url(re.compile("nodes=60"))
    fewer = drawn(page)
    assert fewer[0] < whole[0]
    slide(page, "Edges", 30)
    expect(page).to_have_url(re.compile("edges=30"))
    assert drawn(page)[1] < fewer[1]
    page.get_by_label("Search nodes").fill("Paris")
    page.get_by_role("list", name="Nodes").get_by_role("button").first.click()
    expect(page.locator(".selection h2")).to_have_text("a23.h4@5")  # it says Paris, and stays at any threshold
    page.reload()
    expect(page.get_by_role("slider", name=re.compile("^Nodes"))).to_have_value("60")


def test_a_pinned_box_is_dragged_and_moved_by_keys(page: Page, address: str) -> None:
    opened(page, address, f"{GRAPH}&pins=a23.h4@5|a29.h2@5")
    box = page.locator(".subgraph .box[data-key='a23.h4@5'] rect")
    before = box.bounding_box()
    assert before
    page.mouse.move(before["x"] + 20, before["y"] + 10)
    page.mouse.down()
    page.mouse.move(before["x"] + 120, before["y"] - 30, steps=4)
    page.mouse.up()
    after = box.bounding_box()
    assert after
    assert after["x"] == pytest.approx(before["x"] + 100, abs=3)  # pixels of a picture that is scaled
    page.locator(".subgraph .box[data-key='a23.h4@5']").focus()
    page.keyboard.press("ArrowRight")
    moved = box.bounding_box()
    assert moved
    assert moved["x"] > after["x"]
    page.keyboard.press("Enter")
    expect(page.locator(".selection h2")).to_have_text("a23.h4@5")


def test_suggested_supernodes_are_taken_over_and_edited(page: Page, address: str, folder: Path) -> None:
    run = folder / "own-graph"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(EXAMPLES / "a-fact-in-neurons", run)
    opened(page, address, f"{identity(str(run))}&tab=groups&pins=a27.h3@5")
    many = len([one for one in Run.open(run).result["supernodes"] if len(one["nodes"]) > 1])
    expect(page.get_by_role("list", name="Suggested supernodes").get_by_role("listitem")).to_have_count(many)
    page.get_by_role("button", name=re.compile("^Take over")).click()
    groups = page.get_by_role("list", name="Supernodes")
    expect(groups.get_by_role("listitem")).to_have_count(many)
    first = groups.get_by_role("listitem").first
    size = int(first.get_by_role("button", name=re.compile(r"^\d+ nodes$")).inner_text().split()[0])
    first.get_by_role("textbox").fill("feeds the mover")
    first.get_by_role("button", name="Rename").click()
    first = groups.get_by_role("listitem").first
    expect(first.get_by_role("textbox")).to_have_value("feeds the mover")
    first.get_by_role("button", name=re.compile(r"^\d+ nodes$")).click()
    first.get_by_role("button", name=re.compile("^Take m0.n1@4 out")).click()
    expect(first.get_by_role("button", name=f"{size - 1} nodes")).to_be_visible()
    page.get_by_role("button", name="Add 1 pinned node").first.click()
    page.reload()
    expect(page.get_by_role("button", name=f"{size} nodes", exact=True)).to_be_visible()
    stored = {one["name"]: one["members"] for one in Run.open(run).document("labels")["supernodes"]}
    assert "a27.h3@5" in stored["feeds the mover"]
    assert "m0.n1@4" not in stored["feeds the mover"]
    page.get_by_role("button", name="Take “feeds the mover” apart").click()
    expect(groups.get_by_role("listitem")).to_have_count(many - 1)


def test_a_large_foreign_graph_with_html_in_its_labels_is_thinned_and_shown_as_text(
    page: Page, address: str, folder: Path
) -> None:
    run = folder / "foreign"
    shutil.rmtree(run, ignore_errors=True)
    html = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    write(foreign(NODES + 500, EDGES + 10_000, text=html), run)
    opened(page, address, identity(str(run)))
    expect(page.get_by_test_id("graph-held")).to_contain_text(
        f"Thinned to the most influential: {NODES:,} of {NODES + 500:,} nodes, {EDGES:,} of {EDGES + 10_000:,} edges"
    )
    page.get_by_role("list", name="Nodes").get_by_role("button").first.click()
    expect(page.locator(".selection")).to_contain_text("<img src=x onerror")
    expect(page).not_to_have_title("owned")
    page.get_by_role("tab", name="Change").click()
    expect(page.locator("#panel")).to_contain_text("This graph is another tool's")


def test_names_that_are_none_leave_a_graph_whole(page: Page, address: str) -> None:
    for query in ("sel=foo", "pins=foo|bar|a23.h4@5", "sel=12_3_4", "zoom=x,y,z", "nodes=999", "labels=%5B1"):
        opened(page, address, f"{GRAPH}&{query}")
        expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.needs("web tools")
@pytest.mark.parametrize("light", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_graph(page: Page, address: str, light: str) -> None:
    page.add_init_script(f"localStorage.setItem('theme', '{light}')")
    for tab in ("circuit", "groups", "change", "run"):
        opened(page, address, f"{GRAPH}&sel=a23.h4@5&pins=a23.h4@5|a29.h2@5&tab={tab}")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({ resultTypes: ['violations'] }).then(result => result.violations)")
        assert [
            f"{one['id']}: {one['nodes'][0]['target']}" for one in found if one["impact"] in ("serious", "critical")
        ] == []
