"""Two runs compared: one measure for both, and sides that every export keeps."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from browser import NEEDED, ready, rows, saved
from playwright.sync_api import Browser, Page, expect

from wheatstone.studio._chance import overlap_by_chance
from wheatstone.studio._library import EXAMPLES, identity

pytestmark = NEEDED
TEXT = "{http://www.w3.org/2000/svg}text"


@pytest.fixture
def twin(folder: Path) -> Path:
    """The same circuit with one edge of another effect and one edge less, of a model at a path of its own machine."""
    run = folder / "twin"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(EXAMPLES / "a-fact", run)
    for name in ("circuit.json", "manifest.json"):
        document = json.loads((run / name).read_text(encoding="utf-8"))
        document["model"]["id"] = "/home/someone/models/own"
        if name == "circuit.json":
            document["edges"][0]["effect"] = 0.5
            del document["edges"][-1]
        else:
            document["title"] = "Twin"
        (run / name).write_text(json.dumps(document), encoding="utf-8")
    return run


def _circuit(name: str) -> list[dict[str, Any]]:
    return json.loads((EXAMPLES / name / "circuit.json").read_text(encoding="utf-8"))["edges"]


def test_exact_effects_are_compared_with_exact_effects(page: Page, address: str, twin: Path) -> None:
    ready(page, address, f"?run=example-a-fact&vs={identity(str(twin))}")
    expect(page.locator(".compared")).to_contain_text("Sizes: faithfulness lost without this edge alone")
    changed, *_, gone = _circuit("a-fact")
    numbers = rows(page).filter(has_text=f"{changed['from']} → {changed['to']}").locator(".number")
    expect(numbers).to_have_text([f"+{changed['effect']:.3f}", "+0.500", f"+{changed['effect'] - 0.5:.3f}"])
    row = rows(page).filter(has_text=f"{gone['from']} → {gone['to']}")
    expect(row.locator(".number")).to_have_text([f"+{gone['effect']:.3f}", "–", "–"])
    row.click()
    expect(page.locator(".selection")).to_contain_text("Not among the edges that are shown")


def test_scores_are_compared_with_scores_where_one_run_has_no_effects(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&vs=example-a-or-an")
    expect(page.locator(".compared")).to_contain_text("Compared by score, an estimate. Exact effects of “A rule")
    scores = [{(edge["from"], edge["to"]): edge["score"] for edge in _circuit(name)} for name in ("a-fact", "a-or-an")]
    numbers = rows(page).filter(has_text="input → m0").locator(".number")
    a, b = (side["input", "m0"] for side in scores)
    expect(numbers).to_have_text([f"+{a:.3f}", f"+{b:.3f}", f"+{a - b:.3f}"])


def test_a_run_that_distinguishes_positions_is_compared_by_names(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&vs=example-a-fact-by-token")
    expect(page.locator(".compared")).to_contain_text("only names are")
    expect(page.locator(".rows")).not_to_contain_text(" at ")
    expect(page.locator(".rows .number")).to_have_count(0)
    names = [text.text for text in ElementTree.fromstring(saved(page, "SVG")).iter(TEXT)]
    assert names.count("m29") == 1


def test_every_export_keeps_the_sides(page: Page, browser: Browser, address: str, twin: Path, tmp_path: Path) -> None:
    ready(page, address, f"?run={identity(str(twin))}&vs=example-a-or-an")
    document = json.loads(saved(page, "JSON"))
    edges = [{(edge["from"], edge["to"]) for edge in one} for one in (_circuit("a-fact")[:-1], _circuit("a-or-an"))]
    sides = {"a": edges[0] - edges[1], "both": edges[0] & edges[1], "b": edges[1] - edges[0]}
    assert all(sides.values())
    for side, ends in sides.items():
        assert {(edge["from"], edge["to"]) for edge in document["edges"] if edge["side"] == side} == ends
    assert {edge["b"] is None for edge in document["edges"] if edge["side"] == "a"} == {True}
    assert (document["measure"], document["compared_with"]["run"]["title"]) == ("score", "A rule of grammar: a or an")
    drawing = saved(page, "SVG").decode()
    page_file = saved(page, "Page")
    graph = saved(page, "Neuronpedia")
    for side, words in {"a": "only A, “Twin”", "both": "in both", "b": "only B, “A rule of grammar: a or an”"}.items():
        legend = f"{words}: {len(sides[side]):,} edge"
        assert legend in drawing
        assert legend in document["about"]
    assert f"{len(edges[0])} of 70651 edges (the found circuit)" in json.loads(graph)["metadata"]["info"]["description"]
    for exported in (json.dumps(document), drawing, page_file.decode(), graph.decode()):
        assert "/home/someone" not in exported
        assert str(twin.parent) not in exported
    (tmp_path / "page.html").write_bytes(page_file)
    alone = browser.new_page()
    alone.goto((tmp_path / "page.html").as_uri())
    expect(alone.locator(".side")).to_have_text(
        [
            f"only A, “Twin”: {len(sides['a']):,}",
            f"both: {len(sides['both']):,}",
            f"only B, “A rule of grammar: a or an”: {len(sides['b']):,}",
        ]
    )
    alone.close()


def test_a_group_s_edge_is_shared_by_its_heads_in_neuronpedia_s_graph(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    graph = json.loads(saved(page, "Neuronpedia"))
    effect = next(edge["effect"] for edge in _circuit("a-fact") if (edge["from"], edge["to"]) == ("m0", "a23.g1<v>"))
    names = {node["node_id"]: node["clerp"].partition(":")[0] for node in graph["nodes"]}
    links = [link for link in graph["links"] if names[link["source"]] == "m0" and names[link["target"]][:4] == "a23."]
    assert {names[link["target"]] for link in links} == {"a23.h4", "a23.h5"}
    assert [link["weight"] for link in links] == pytest.approx([effect / 2] * 2)


def test_overlap_is_shown_next_to_what_chance_gives(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&vs=example-a-or-an")
    said = page.get_by_test_id("chance")
    a, b = ({(edge["from"], edge["to"]) for edge in _circuit(name)} for name in ("a-fact", "a-or-an"))
    found = overlap_by_chance(len(a), len(b), len(a & b), 70_651)
    p = "< 0.0001" if found.at_least < 0.0001 else "="
    expect(said).to_contain_text(f"as many or more shared: p {p}")
    expect(said).to_contain_text(f"by chance {float(f'{found.overlap:.1g}'):.4f}")
    expect(said).to_have_attribute("title", re.compile(f"all 70,651: {found.shared:.1f} shared"))
    ready(page, address, "?run=example-a-fact&vs=example-a-fact-by-token")  # edges of two kinds: no common draw
    expect(said).to_have_count(0)
