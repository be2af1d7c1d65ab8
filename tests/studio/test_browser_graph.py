"""A graph in neurons in the browser: its map, pruning, supernodes, the pane of what is pinned, its neurons."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from browser import NEEDED, pictured
from playwright.sync_api import Page, expect
from test_graphs import foreign, write

from wheatstone.models import load_model
from wheatstone.neurons import EvidenceRow, Scan, ScanSettings, run_scan, scan_evidence
from wheatstone.runs import Run, Table, write_table
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


def test_a_graph_opens_as_a_map_with_its_neurons(page: Page, address: str, tmp_path: Path) -> None:
    page.add_init_script("localStorage.setItem('tour', 'offered')")
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
    pictured(page, "studio-graph", tmp_path)


def test_pruning_keeps_the_most_influential(page: Page, address: str) -> None:
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


@pytest.fixture
def tiny_graph(folder: Path, tiny_task: tuple[Path, Path], tmp_path: Path) -> tuple[Path, Path]:
    """A graph whose neurons are said to be of the tiny model, so that they can be run; and a scan of that model."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(6):
        (texts / f"{number}.txt").write_text(" ".join(f"w{(number * 7 + at * at) % 40}" for at in range(30 + number)))
    scan = tmp_path / "scan"
    run_scan(load_model(tiny_task[0]), ScanSettings(texts=(str(texts),), window=8), scan)
    run = folder / "tiny-graph"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(EXAMPLES / "a-fact-in-neurons", run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["model"] = json.loads((scan / "manifest.json").read_text(encoding="utf-8"))["model"]
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return run, scan


def test_a_neuron_shows_what_it_responds_to_in_running_text(
    page: Page, address: str, folder: Path, tiny_graph: tuple[Path, Path], tmp_path: Path
) -> None:
    """Absent with the command that makes it; then out of a scan; then out of the graph's own evidence."""
    run, scan = tiny_graph
    opened(page, address, f"{identity(str(run))}&sel=m0.n1@4")
    text = page.get_by_role("region", name="In running text")
    expect(text).to_contain_text("wheatstone neuron scan --model")
    there = Path(shutil.copytree(scan, folder / f"scan-{tmp_path.name}"))
    try:
        page.reload()
        text.get_by_role("button", name=f"Look it up in the scan “{there.name}”").click()
        found = text.get_by_test_id("in-text")
        expect(found).to_be_visible(timeout=600_000)
        value = next(row["value"] for row in Run.open(run).rows("nodes") if row["node"] == "m0.n1@4")
        (row,) = scan_evidence(load_model(Run.open(run).manifest["model"]["id"]), Scan.load(there), [("m0.n1", value)])
        expect(found.get_by_role("list").get_by_role("listitem").locator("span")).to_have_text(row.passages)
        expect(found.get_by_role("img", name=re.compile("^Histogram"))).to_be_visible()
        expect(found.locator("rect.here")).to_have_count(1)
        expect(found.get_by_role("table")).to_contain_text("the token it is most congruent with")
        found.scroll_into_view_if_needed()
        pictured(page, "studio-in-text", tmp_path)
    finally:
        shutil.rmtree(there)
    write_table(
        Table(EvidenceRow, (row._replace(node="m0.n1@4", passages=["only [here] it is"], strengths=[1.5]),)),
        run / "evidence.parquet",
    )
    page.reload()
    expect(text.get_by_role("listitem")).to_have_text(["only [here] it is 1.50"])
    expect(text).not_to_contain_text("wheatstone neuron scan")


def test_a_graph_without_a_counterfactual_is_changed_all_the_same(
    page: Page, address: str, tiny_graph: tuple[Path, Path], tiny_task: tuple[Path, Path]
) -> None:
    run, _ = tiny_graph
    pair = json.loads(tiny_task[1].read_text(encoding="utf-8").splitlines()[0])
    graph = json.loads((run / "graph.json").read_text(encoding="utf-8"))
    graph |= {"prompt": pair["prompt"], "answers": pair["answers"], "distractors": [], "counterfactuals": []}
    (run / "graph.json").write_text(json.dumps(graph), encoding="utf-8")
    opened(page, address, f"{identity(str(run))}&sel=m0.n1@4&tab=change")
    expect(page.locator("#panel")).to_contain_text("drawn without a counterfactual")
    how = page.get_by_label("What to do to m0.n1@4")
    assert how.locator("option").evaluate_all("all => all.filter(one => one.disabled).map(one => one.value)") == [
        "patch"
    ]
    page.get_by_label("Pin a node or neuron").fill("m0.n1")
    page.get_by_role("button", name="Pin", exact=True).click()
    page.goto(f"{address}?run={identity(str(run))}&sel=m0.n1&tab=change")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_test_id("changed").first).to_contain_text("without m0.n1", timeout=600_000)


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
