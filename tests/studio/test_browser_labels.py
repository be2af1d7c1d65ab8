"""Names by hand, named views, the tour, and what can be taken away: in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from browser import NEEDED, ready, rows, saved
from playwright.sync_api import Browser, Page, expect

from wheatstone.studio._library import EXAMPLES, identity

pytestmark = NEEDED
TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def _object(required: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **more}, "required": list(required)}


def _all(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


# What Neuronpedia's validator asks of a graph (its graph-schema.json), and circuit-tracer's models on top of it.
GRAPH = _object(
    {
        "metadata": _object(
            {"slug": TEXT, "scan": TEXT, "transcoder_list": _all(TEXT), "prompt_tokens": _all(TEXT), "prompt": TEXT},
            schema_version={"const": 1},
            info=_object({}, description=TEXT, create_time_ms=NUMBER, generator=_object({}, name=TEXT, version=TEXT)),
        ),
        "qParams": _object(
            {
                "pinnedIds": _all(TEXT),
                "supernodes": _all(_all(TEXT)),
                "linkType": TEXT,
                "clickedId": TEXT,
                "sg_pos": TEXT,
            }
        ),
        "nodes": _all(
            _object(
                {
                    "node_id": TEXT,
                    "feature": WHOLE,
                    "layer": TEXT,
                    "ctx_idx": WHOLE,
                    "feature_type": TEXT,
                    "jsNodeId": TEXT,
                    "clerp": TEXT,
                },
                token_prob=NUMBER,
                is_target_logit={"type": "boolean"},
            )
        ),
        "links": _all(_object({"source": TEXT, "target": TEXT, "weight": NUMBER})),
    }
)


@pytest.fixture
def mine(folder: Path) -> Path:
    """A run of one's own."""
    shutil.copytree(EXAMPLES / "a-fact", folder / "mine", dirs_exist_ok=True)
    (folder / "mine/labels.json").unlink(missing_ok=True)
    return folder / "mine"


def _written(run: Path) -> dict[str, Any]:
    return json.loads((run / "labels.json").read_text(encoding="utf-8"))


def _label(page: Page, node: str, text: str) -> None:
    page.get_by_label(f"Label of {node}").fill(text)
    page.keyboard.press("Enter")


def test_nodes_are_put_together_labelled_and_kept(page: Page, address: str, mine: Path) -> None:
    query = f"?run={identity(str(mine))}"
    ready(page, address, f"{query}&pins=m23|m29|a29.h2")
    page.get_by_label("One supernode of the 3 pinned nodes").fill("late > readers")  # its signs are not taken
    page.keyboard.press("Enter")
    expect(page.locator(".selection h2")).to_have_text("“late  readers”")
    expect(rows(page).filter(has_text="“late  readers” → logits")).to_contain_text("3 edges")
    ready(page, address, f"{query}&sel=a23.h4")
    _label(page, "a23.h4", "reads the country")
    expect(rows(page).filter(has_text="a23.h4 → logits")).to_contain_text("reads the country")
    expect(page.locator(".note[role=status]")).to_contain_text("6 of 14 connections")
    assert _written(mine)["supernodes"] == [{"name": "late  readers", "members": ["m23", "m29", "a29.h2"]}]
    drawing = saved(page, "SVG").decode()
    assert ">late  readers</text>" in drawing
    assert "a23.h4: reads the country" in drawing
    rows(page).filter(has_text="a23.h4 → “late  readers”").click()
    expect(page.locator(".selection")).to_contain_text("2 edges drawn as one")
    ready(page, address, f"{query}&sel=*late  readers")
    page.get_by_role("button", name="Take apart").click()
    expect(rows(page)).to_have_count(14)


def test_supernodes_are_drawn_in_a_comparison(page: Page, address: str, mine: Path) -> None:
    members = ["m23", "m29", "a29.h2"]
    (mine / "labels.json").write_text(
        json.dumps({"format": "wheatstone.labels/1", "supernodes": [{"name": "late", "members": members}]})
    )
    ready(page, address, f"?run={identity(str(mine))}&vs=example-a-or-an")
    edges = [
        {(edge["from"], edge["to"]) for edge in json.loads((EXAMPLES / name / "circuit.json").read_text())["edges"]}
        for name in ("a-fact", "a-or-an")
    ]
    sides = [any(sender in members and receiver == "logits" for sender, receiver in side) for side in edges]
    expect(page.locator(".compared")).to_contain_text(f"{len(edges[0] & edges[1]) / len(edges[0] | edges[1]):.2f}")
    row = rows(page).filter(has_text="“late” → logits")
    expect(row).to_have_count(1)
    side = {(True, True): "both", (True, False): "side-a", (False, True): "side-b"}[sides[0], sides[1]]
    ink = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{side}').trim()")
    drawing = ElementTree.fromstring(saved(page, "SVG"))
    lines = drawing.iter("{http://www.w3.org/2000/svg}path")
    assert [path.get("stroke") for path in lines if path.get("data-edge") == "*late>logits"] == [ink]


def test_two_tabs_are_told_and_nothing_is_lost(page: Page, browser: Browser, address: str, mine: Path) -> None:
    query = f"?run={identity(str(mine))}&sel=m0"
    other = browser.new_page()
    with other.expect_response(lambda response: response.url.endswith("/labels")):  # before the first is written
        ready(other, address, query)
    ready(page, address, query)
    _label(page, "m0", "first")
    expect(rows(page).first).to_contain_text("first")
    _label(other, "m0", "second")
    expect(other.get_by_role("alert")).to_contain_text("changed in another tab")
    expect(rows(other).first).to_contain_text("first")
    assert _written(mine)["labels"] == [{"node": "m0", "text": "first"}]
    other.get_by_role("button", name="Make my change on theirs").click()
    expect(rows(other).first).to_contain_text("second")
    expect(other.get_by_role("alert")).to_have_count(0)
    assert _written(mine)["labels"] == [{"node": "m0", "text": "second"}]
    other.close()


def test_views_have_names_and_an_example_s_stay_in_the_browser(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&sel=a23.h4&mode=ranking&n=50")
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Name this view").fill("the head")
    page.keyboard.press("Enter")
    page.get_by_label("New name of the head").fill("one head")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Open one head")).to_have_attribute("aria-pressed", "true")
    ready(page, address, "?run=example-a-fact")
    page.get_by_text("Views (1)").click()
    page.get_by_role("button", name="Open one head").click()
    expect(page.locator(".selection h2")).to_have_text("a23.h4")
    expect(page.locator(".size")).to_contain_text("50 edges of")
    expect(page.locator(".naming")).to_contain_text("read-only")
    page.get_by_role("button", name="Delete one head").click()
    expect(page.get_by_text("Views", exact=True)).to_be_visible()
    assert not (EXAMPLES / "a-fact/labels.json").exists()


def test_the_tour_is_offered_once_and_goes_by_keys(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&tab=proof")
    page.get_by_role("button", name="Take the tour").click()
    tour = page.get_by_role("dialog")
    expect(tour).to_contain_text("1 of 6")
    for step in range(2, 7):
        page.keyboard.press("ArrowRight")
        expect(tour).to_contain_text(f"{step} of 6")
    page.keyboard.press("ArrowLeft")
    expect(tour).to_contain_text("5 of 6")
    page.keyboard.press("Escape")
    expect(tour).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("faithfulness")).to_contain_text("0.917")
    expect(page.get_by_role("button", name="Take the tour")).to_have_count(0)
    page.keyboard.press("?")
    page.get_by_role("button", name="Take the tour").click()
    expect(tour).to_contain_text("1 of 6")


@pytest.mark.parametrize("name", ["a-fact", "a-fact-by-token"])
def test_a_view_is_a_graph_that_neuronpedia_reads(page: Page, address: str, name: str) -> None:
    ready(page, address, f"?run=example-{name}&sel=a23.h4")
    graph = json.loads(saved(page, "Neuronpedia"))
    jsonschema.validate(graph, GRAPH)
    nodes = {node["node_id"]: node for node in graph["nodes"]}
    assert len(nodes) == len(graph["nodes"])
    assert {end for link in graph["links"] for end in (link["source"], link["target"])} == set(nodes)
    assert nodes[graph["qParams"]["clickedId"]]["clerp"].startswith("a23.h4:")
    assert all(nodes[link["source"]]["ctx_idx"] <= nodes[link["target"]]["ctx_idx"] for link in graph["links"])
    assert max(node["ctx_idx"] for node in graph["nodes"]) == len(graph["metadata"]["prompt_tokens"]) - 1
    # What its viewer takes out of the words and numbers, beyond its schema.
    (logits,) = (node["node_id"] for node in graph["nodes"] if node["feature_type"] == "logit")
    said = re.fullmatch(r'Output " French" rather than " Japanese" \(p=([\d.]+)\)', nodes[logits]["clerp"])
    assert said
    verified = json.loads((EXAMPLES / name / "verification.json").read_text(encoding="utf-8"))
    assert float(said[1]) == pytest.approx(verified["prompts"][0]["model"]["probability"], abs=6e-4)
    assert nodes["23_4_5"]["feature"] == (23 + 4) * (23 + 4 + 1) // 2 + 4  # Cantor's pair of layer and index
    # It calls an "embedding" by the token at its place.
    kinds = {node["feature_type"] for node in graph["nodes"] if node["layer"] == "E"}
    assert kinds <= {"embedding" if name == "a-fact-by-token" else "token embeddings"}
    if name == "a-fact":
        circuit = json.loads((EXAMPLES / name / "circuit.json").read_text(encoding="utf-8"))["edges"]
        into = sum(edge["effect"] for edge in circuit if edge["to"] == "logits")
        assert sum(link["weight"] for link in graph["links"] if link["target"] == logits) == pytest.approx(into)


def test_a_saved_page_works_offline(page: Page, browser: Browser, address: str, tmp_path: Path) -> None:
    ready(page, address, "?run=example-a-fact&sel=a23.h4&mode=ranking&n=50")
    (tmp_path / "page.html").write_bytes(saved(page, "Page"))
    context = browser.new_context(offline=True)
    alone = context.new_page()
    alone.set_default_timeout(20_000)
    asked: list[str] = []
    wrong: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("pageerror", lambda error: wrong.append(str(error)))
    alone.goto((tmp_path / "page.html").as_uri())
    expect(alone.locator(".numbers")).to_contain_text("50 edges of 70,651")
    alone.get_by_role("button", name="Found circuit").click()
    expect(alone.locator(".faithfulness")).to_contain_text("faithfulness 0.917 measured, n = 1")
    alone.get_by_text("Connections").click()
    expect(alone.locator("ol button")).to_have_count(14)
    assert wrong == []
    assert asked == [(tmp_path / "page.html").as_uri()]
    context.close()
