"""The web app in a real browser: what a person does with it, with the pointer and with keys alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from browser import NEEDED, ready, rows, saved
from playwright.sync_api import Browser, Page, expect

from wheatstone.studio._library import EXAMPLES

pytestmark = NEEDED
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/circuit.json"))


@pytest.mark.parametrize("name", NAMES)
def test_every_example_opens_with_its_numbers(page: Page, address: str, name: str) -> None:
    ready(page, address, f"?run=example-{name}")
    circuit = json.loads((EXAMPLES / name / "circuit.json").read_text(encoding="utf-8"))
    verification = json.loads((EXAMPLES / name / "verification.json").read_text(encoding="utf-8"))
    expect(page.get_by_test_id("faithfulness")).to_contain_text(f"{verification['faithfulness']:.3f}")
    kept = sum(len(edge.get("positions") or [1]) for edge in circuit["edges"])
    hidden = circuit["evaluation"]["total_edges"] - min(kept, 300)  # more would be one blot
    expect(page.locator(".size")).to_contain_text(f"{kept:,} edges of {circuit['evaluation']['total_edges']:,}")
    expect(page.locator(".hidden-count")).to_contain_text(f"{hidden:,} edges hidden")
    for tab in ("Layers", "Proof", "Run"):
        page.get_by_role("tab", name=tab).click()
    expect(page.locator("aside")).to_contain_text(circuit["model"]["sha256"][:12])


def test_the_slider_says_what_was_measured_and_never_guesses(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    page.get_by_role("button", name="Ranking").click()
    slider = page.get_by_role("slider")
    slider.fill("0")
    expect(page.locator(".size")).to_contain_text("1 edge of 70,651")
    expect(page.get_by_test_id("faithfulness")).to_contain_text("measured at this size")
    slider.fill("700")
    said = page.get_by_test_id("faithfulness").inner_text()
    around = re.fullmatch(r"faithfulness measured: [\d.]+ at ([\d,]+), [\d.]+ at ([\d,]+)", said)
    assert around, said
    shown = re.search(r"([\d,]+) edges of", page.locator(".size").inner_text())
    assert shown
    below, above, n = (int(text.replace(",", "")) for text in (*around.groups(), shown[1]))
    assert below < n < above
    assert f"n={n}" in page.evaluate("new Promise(r => setTimeout(() => r(location.search), 300))")


def test_a_click_on_the_map_locks_and_shows_where_the_head_looks(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    drawing = ElementTree.fromstring(saved(page, "SVG"))
    spot = next(text for text in drawing.iter("{http://www.w3.org/2000/svg}text") if text.text == "a23.h4")
    box = page.locator(".map canvas").bounding_box()
    assert box
    # The name stands beside its disc.
    discs = drawing.iter("{http://www.w3.org/2000/svg}circle")
    beside = [(float(disc.get("cx", 0)), float(disc.get("cy", 0))) for disc in discs if disc.get("r", "") > "3"]
    right, level = float(spot.get("x", 0)) + 50, float(spot.get("y", 0))
    x, y = min(beside, key=lambda at: abs(at[0] - right) + 9 * abs(at[1] - level))
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(page.locator(".hover")).to_contain_text("attention head")
    page.mouse.click(box["x"] + x, box["y"] + y)
    expect(page.locator(".selection h2")).to_have_text("a23.h4")
    attention = page.get_by_test_id("attention-a23.h4")
    expect(attention).to_contain_text("·France")
    expect(attention.locator("tbody tr").nth(5)).to_contain_text(".81")
    expect(page.locator(".words")).to_contain_text("·French")
    page.go_back()
    expect(page.locator(".selection")).to_contain_text("Point at the map")


def test_inputs_of_heads_are_read_in_words(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&sel=m0>a23.g1<v>")
    expect(rows(page).filter(has_text="m0 → a23.g1<v>")).to_contain_text("values of heads 3-5, layer 23")
    expect(page.locator(".selection")).to_contain_text("read by the values of heads 3-5 of layer 23")
    page.get_by_label("Search connections").fill("heads 3-5")
    expect(rows(page)).to_have_count(2)


def test_terms_have_their_definition_one_hover_away(page: Page, address: str) -> None:
    terms = {
        "circuit": ("whole model", "circuit alone", "without the circuit", "exact effect", "score", "promotes"),
        "proof": (
            "faithfulness",
            "completeness",
            "KL (nats)",
            "Hit@1",
            "without it",
            "random circuits",
            "nothing kept",
        ),
        "run": ("method", "ablation, metric", "circuits run"),
    }
    for tab, words in terms.items():
        titles: dict[str, str] = {}
        for sel in ("", "a23.h4>logits", "a23.h4"):
            ready(page, address, f"?run=example-a-fact&tab={tab}&sel={sel}")
            expect(page.locator("aside")).not_to_contain_text("Reading")
            found = page.locator("abbr").evaluate_all("all => all.map(one => [one.textContent, one.title])")
            titles |= dict(found)
        assert all(len(titles[word]) > 10 for word in words), titles


def test_an_edge_is_locked_searched_grouped_and_pinned(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    expect(rows(page)).to_have_count(14)
    page.get_by_role("tab", name="Proof").click()
    slash = "dispatchEvent(new KeyboardEvent('keydown', {key: '/'}))"
    assert page.evaluate(f"{slash}, document.activeElement.id") == "search"  # whoever types on at once is heard
    page.keyboard.type("a23.g1")
    expect(rows(page)).to_have_count(2)
    rows(page).first.click()
    expect(page.locator(".selection h2")).to_have_text("m0 → a23.g1<v>")
    expect(page.locator(".selection")).to_contain_text("0.823 faithfulness lost without this edge alone")
    page.keyboard.press("p")
    expect(page.locator(".pins")).to_contain_text("m0 → a23.g1<v>")
    page.keyboard.press("Escape")
    expect(page.locator(".selection")).to_contain_text("Point at the map")
    expect(page.locator(".pins")).to_be_visible()
    page.get_by_label("Search connections").fill("")
    page.get_by_label("Group connections").select_option("layer")
    expect(page.locator(".rows li.group").last).to_contain_text("into the logits")
    page.get_by_label("Search connections").fill("no such node")
    expect(page.locator(".rows")).to_contain_text("No connection's name or label has")


def test_in_out_and_both_of_a_node(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&sel=a23.h4")
    counts = {}
    for name in ("in", "out", "both"):
        page.get_by_role("button", name=name, exact=True).click()
        counts[name] = rows(page).count()
    assert counts == {"in": 2, "out": 4, "both": 6}


def test_two_runs_are_compared(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    page.get_by_label("Compare with").select_option("example-a-or-an")
    compared = page.locator(".compared")
    expect(compared).to_contain_text("overlap")
    edges = [
        {(edge["from"], edge["to"]) for edge in json.loads((EXAMPLES / name / "circuit.json").read_text())["edges"]}
        for name in ("a-fact", "a-or-an")
    ]
    for part in (edges[0] - edges[1], edges[0] & edges[1], edges[1] - edges[0]):
        expect(compared).to_contain_text(f"{len(part):,}")
    expect(compared).to_contain_text(f"{len(edges[0] & edges[1]) / len(edges[0] | edges[1]):.2f}")
    page.reload()
    expect(compared).to_be_visible()


def test_the_address_holds_the_view(page: Page, address: str) -> None:
    query = "?run=example-a-fact&mode=ranking&n=50&sel=m0&pins=m0&tab=circuit&q=m0&sort=name"
    ready(page, address, query)
    before = [row.inner_text() for row in rows(page).all()]
    assert before
    assert all("m0" in text for text in before)
    page.reload()
    expect(page.locator(".selection h2")).to_have_text("m0")
    expect(page.get_by_label("Search connections")).to_have_value("m0")
    assert [row.inner_text() for row in rows(page).all()] == before
    page.get_by_role("tab", name="Proof").click()
    page.go_back()
    expect(page.get_by_role("tab", name="Circuit")).to_have_attribute("aria-selected", "true")


def test_a_view_is_saved_as_svg_png_and_json(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    drawing = ElementTree.fromstring(saved(page, "SVG"))
    drawn = {path.get("data-edge") for path in drawing.iter("{http://www.w3.org/2000/svg}path")} - {None}
    document = json.loads(saved(page, "JSON"))
    assert drawn == {f"{edge['from']}>{edge['to']}" for edge in document["edges"]}
    circuit = json.loads((EXAMPLES / "a-fact/circuit.json").read_text(encoding="utf-8"))
    assert drawn == {f"{edge['from']}>{edge['to']}" for edge in circuit["edges"]}
    assert document["model"]["sha256"] == circuit["model"]["sha256"]
    png = saved(page, "PNG")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    assert width / height == pytest.approx(float(drawing.get("width", 0)) / float(drawing.get("height", 1)), rel=0.01)


def test_keys_alone_are_enough(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Read upwards")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".map canvas").focus()
    page.keyboard.press("ArrowRight")
    locked = page.locator(".selection h2").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".selection h2")).not_to_have_text(locked)
    page.keyboard.press("p")
    expect(page.locator(".pins")).to_be_visible()
    page.keyboard.press("3")
    expect(page.locator("aside")).to_contain_text("random circuits")
    page.keyboard.press("1")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="Ranking")).to_have_attribute("aria-pressed", "true")


def test_tokens_stand_side_by_side_where_positions_were_told_apart(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact")
    tokens = page.get_by_role("button", name="Tokens", exact=True)
    expect(tokens).to_be_disabled()
    ready(page, address, "?run=example-a-fact-by-token")
    expect(tokens).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Heads and MLPs").click()
    expect(page.get_by_role("img", name=re.compile("^Layers by heads"))).to_be_visible()
    tokens.click()
    expect(page.get_by_role("img", name=re.compile("^Layers by tokens"))).to_be_visible()
    drawing = ElementTree.fromstring(saved(page, "SVG"))
    words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"The", "official", "language", "of", "France", "is"} <= set(words)
    page.get_by_label("Group connections").select_option("token")
    expect(page.locator(".rows li.group").first).to_contain_text("at France")


def test_a_long_prompt_is_read_some_tokens_at_a_time(page: Page, address: str, large: str) -> None:
    ready(page, address, f"{large}100&tab=layers")
    heads = page.locator(".lens thead th")
    expect(heads).to_have_text([f"·w{at}" for at in range(48, 60)])  # the last, where the answer comes from
    page.get_by_role("button", name="Earlier tokens").click()
    expect(page.locator(".lens .pages")).to_contain_text("Tokens 25 to 48 of 60")
    expect(heads).to_have_text([f"·w{at}" for at in range(24, 48)])
    expect(page.locator(".lens tbody tr").first.locator("td")).to_have_count(24)
    page.get_by_role("button", name="Earlier tokens").click()
    expect(page.get_by_role("button", name="Earlier tokens")).to_be_disabled()
    expect(heads.first).to_have_text("·w0")


def test_nothing_is_cut_off(page: Page, address: str) -> None:
    """The answer's column of the lens, the last columns of the proof, the title and the measured numbers."""
    cut = """(selector) => [...document.querySelectorAll(selector)].filter((part) => {
        const [inside, frame] = [part.getBoundingClientRect(), part.closest(".panel, .stage").getBoundingClientRect()];
        return inside.right > frame.right + 0.5 || inside.left < frame.left || part.scrollWidth > part.clientWidth + 1;
    }).length"""
    for width, height in ((1280, 800), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        for tab, parts in {
            "layers": (".stage > h2", ".faithfulness", ".lens td:last-child", ".lens thead th:last-child"),
            "proof": (".proof tbody td:last-child", ".proof thead th:last-child"),
        }.items():
            ready(page, address, f"?run=example-a-or-an&tab={tab}&on=test split")
            for part in parts:
                expect(page.locator(part).first).to_be_visible()
                assert page.evaluate(cut, part) == 0, (part, width)


def test_arrow_keys_go_where_they_point(page: Page, address: str) -> None:
    ready(page, address, "?run=example-a-fact&sel=m0")
    page.locator(".map canvas").focus()
    for key, node in (("ArrowUp", "m7"), ("ArrowUp", "m23"), ("ArrowLeft", "a23.h5"), ("ArrowLeft", "a23.h4")):
        page.keyboard.press(key)
        expect(page.locator(".selection h2")).to_have_text(node)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".selection h2")).to_have_text("a23.h5")


def test_a_run_deleted_while_open_and_a_damaged_one_are_said(page: Page, address: str, folder: Path) -> None:
    shutil.copytree(EXAMPLES / "a-fact", folder / "deleted", dirs_exist_ok=True)
    page.goto(address)
    runs = {run["path"]: run["id"] for run in page.request.get(f"{address}api/v1/runs").json()["runs"]}
    ready(page, address, f"?run={runs[str(folder / 'deleted')]}")
    shutil.rmtree(folder / "deleted")
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("alert")).to_contain_text("Expected a run that the catalogue lists")
    page.get_by_role("combobox", name="Run", exact=True).select_option(runs[str(folder / "damaged")])
    expect(page.get_by_role("alert")).to_contain_text("readable edges.parquet")
    page.get_by_role("combobox", name="Run", exact=True).select_option("example-a-fact")
    expect(page.get_by_test_id("faithfulness")).to_contain_text("0.917")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_first_page_passes_a_newest_run_that_is_damaged(page: Page, address: str, folder: Path) -> None:
    for name, created in (("older", "2031-01-01"), ("newest", "2032-01-01")):
        run = shutil.copytree(EXAMPLES / "a-fact", folder / name)
        manifest = json.loads((run / "manifest.json").read_text())
        (run / "manifest.json").write_text(json.dumps(manifest | {"created": f"{created}T00:00:00+00:00"}))
    (folder / "newest" / "edges.parquet").write_bytes(b"PAR1")
    page.goto(address)
    expect(page.get_by_test_id("faithfulness")).to_contain_text("0.917")
    expect(page.get_by_role("alert")).to_contain_text("cannot be read, so an older run is shown")
    expect(page.get_by_role("alert")).to_contain_text("edges.parquet")
    (folder / "newest" / "edges.parquet").write_bytes((folder / "older" / "edges.parquet").read_bytes())
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    for name in ("older", "newest"):
        shutil.rmtree(folder / name)


DRAG = """async ([from, to, frames]) => {
    const slider = document.querySelector("input[type=range]");
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
    const taken = [];
    let before = performance.now();
    for (let i = 0; i < frames; i++) {
        set.call(slider, String(Math.round(from + ((to - from) * i) / (frames - 1))));
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise(requestAnimationFrame);
        taken.push(performance.now() - before);
        before = performance.now();
    }
    return taken;
}"""
"""Drags the size slider from one of its 1,000 steps to another, one place a frame. Milliseconds of each."""


@pytest.fixture
def large(page: Page, address: str, folder: Path) -> str:
    """Where the run of 5,000 nodes and 20,000 edges is."""
    runs = {run["path"]: run["id"] for run in page.request.get(f"{address}api/v1/runs").json()["runs"]}
    return f"?run={runs[str(folder / 'large')]}&mode=ranking&n="


def test_speed_is_measured(page: Page, address: str, large: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not asserted: it is the machine's as much as ours."""
    ready(page, address, "?run=example-a-fact")
    page.reload()
    expect(page.get_by_test_id("faithfulness")).to_contain_text("0.917")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    ready(page, address, f"{large}20000")
    expect(page.locator(".size")).to_contain_text("20,000 edges of 20,000")
    cpu = page.context.new_cdp_session(page)
    cpu.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> float:
        """Seconds of processor time of the page's main thread so far."""
        metrics = cpu.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    page.evaluate(DRAG, [1000, 0, 10])  # as after a first touch
    said = [f"first paint of an example {paint:.0f} ms"]
    for words, drag in {
        "from 20,000 edges to 1": [1000, 0, 60],
        "from 300, as many as are drawn, to 1": [576, 0, 30],
    }.items():
        before = worked()
        frames = sorted(page.evaluate(DRAG, drag))
        each = 1000 * (worked() - before) / len(frames)
        assert len(frames) == drag[2]
        said.append(
            f"slider {words}: {1000 * len(frames) / sum(frames):.0f} frames a second, median "
            f"{frames[len(frames) // 2]:.0f} ms, {each:.0f} ms of processor time a frame in the page"
        )
    with capsys.disabled():
        print("\n" + "\n".join(said) + f"\n(load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)")


@pytest.mark.parametrize(
    ("name", "width", "height", "query"),
    [
        ("studio", 1280, 800, "?run=example-a-fact&sel=a23.h4"),
        ("studio-tokens", 1920, 1080, "?run=example-a-fact-by-token&map=tokens&tab=layers&sel=a23.h4%405"),
        ("studio-proof-dark", 1280, 800, "?run=example-a-or-an&vs=example-a-fact&tab=proof"),
    ],
)
def test_pictures_of_the_guide(
    browser: Browser, address: str, tmp_path: Path, name: str, width: int, height: int, query: str
) -> None:
    """`STUDIO_PICTURES=docs/images` keeps them; otherwise they are only made."""
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(20_000)
    page.add_init_script(f"localStorage.tour = 'taken', localStorage.theme = '{'dark' if 'dark' in name else 'light'}'")
    ready(page, address, query)
    folder = Path(os.environ.get("STUDIO_PICTURES", tmp_path))
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / f"{name}.png")
    page.close()
    assert (folder / f"{name}.png").read_bytes()[16:24] == width.to_bytes(4, "big") + height.to_bytes(4, "big")
