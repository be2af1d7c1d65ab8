"""Pictures of a run: they are drawn, they say what the files say, and they survive odd tokens."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from wheatstone import RequestError, RunError
from wheatstone.figures import FIGURES, RunData, render, render_figure
from wheatstone.figures._answer import first_from, summarised
from wheatstone.figures._circuit import MOST_DRAWN, chart
from wheatstone.figures._layout import Layout
from wheatstone.figures._words import percent

WriteRun = Callable[..., Path]


def _text(svg: Path) -> str:
    return " ".join("".join(element.itertext()) for element in ET.parse(svg).iter() if element.tag.endswith("text"))


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_every_figure_is_drawn_as_svg_and_png(write_run: WriteRun, tmp_path: Path, name: str) -> None:
    run = write_run()
    FIGURES[name](RunData.load(run)).to_dict(validate=True)
    render_figure(run, name, tmp_path / "out.svg")
    root = ET.parse(tmp_path / "out.svg").getroot()
    assert root.tag.endswith("svg")
    assert float(root.attrib["width"]) > 200
    render_figure(run, name, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_the_circuit_names_its_components_and_numbers(write_run: WriteRun, tmp_path: Path) -> None:
    render_figure(write_run(), "circuit", tmp_path / "out.svg")
    text = _text(tmp_path / "out.svg")
    for said in ("m0", "m1", "a1.h1", "layer 1", "6 of 37 edges (16%)", "94%", "n = 1 prompt", "suppresses it"):
        assert said in text
    assert "“blue”" in text


def test_the_parts_of_a_split_mlp_stand_apart(write_run: WriteRun, tmp_path: Path) -> None:
    edges = [("input", "m1", 1.0, 0.5), ("m1.n7", "logits", 1.0, 0.5), ("m1.n12", "logits", 1.0, 0.25)]
    run = write_run(edges=edges)
    layout = Layout(RunData.load(run).edges, heads=2, kv_groups=1)
    places = [layout.nodes[name].x for name in ("m1", "m1.n7", "m1.n12")]
    assert places == sorted(set(places))
    assert places[-1] < layout.width
    render_figure(run, "circuit", tmp_path / "out.svg")
    words = _text(tmp_path / "out.svg")
    assert "m1.n12" in words
    assert "m1.n7: neuron 7 of layer 1." in words
    assert "the MLP of layer 1" not in words  # only its parts write


def test_a_complete_circuit_says_what_it_takes_away(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run()
    manifest = run / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"faithfulness": 0.9', '"faithfulness": 0.9, "goal": "complete"'))
    render_figure(run, "circuit", tmp_path / "out.svg")
    words = _text(tmp_path / "out.svg")
    assert "Without 6 of 37 edges (16%), 98% of the behaviour is gone (completeness; " in words
    assert "keep" not in words


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.917, "92%"),
        (0.0212, "2.1%"),
        (0.0047, "0.47%"),
        (2 / 70_651, "0.003%"),
        (1e-7, "<0.001%"),
        (0.0, "0%"),
        (-1e-9, "0%"),
        (-0.0048, "−0.48%"),
    ],
)
def test_small_shares_are_not_shown_as_nothing(share: float, text: str) -> None:
    assert percent(share) == text


def test_odd_tokens_are_shown_and_not_read_as_markup(write_run: WriteRun, tmp_path: Path) -> None:
    tokens = ("<b>", " 海", "\n", "]]>", "\\'\"")
    run = write_run(prompt="<b> 海\n]]>\\'\"", answer=" <i>&", tokens=tokens)
    for name in ("circuit", "attention"):
        render_figure(run, name, tmp_path / f"{name}.svg")
    text = _text(tmp_path / "attention.svg")
    for shown in ("<b>", "·海", "⏎", "]]>", "\\'\""):
        assert shown in text
    assert "<i>&" in _text(tmp_path / "circuit.svg")


def test_a_large_circuit_keeps_within_a_page(write_run: WriteRun) -> None:
    edges = [("input", f"m{layer}", 1.0, 1.0 / (1 + layer)) for layer in range(48)]
    edges += [(f"a{layer}.h{layer % 32}", "logits", 1.0, 0.1) for layer in range(48)]
    layout = Layout(RunData.load(write_run(edges=edges)).edges, heads=32, kv_groups=8)
    assert layout.height < 1600
    assert layout.width < 1000
    assert {layout.nodes[f"m{layer}"].x for layer in range(48)} == {layout.mlp_x}


def test_of_a_circuit_of_most_edges_the_strongest_are_drawn_and_listed(write_run: WriteRun) -> None:
    """The renderer ends the process where it is given tens of thousands of edges."""
    edges = [(f"a0.h{n % 9}", "m1", float(n), None) for n in range(1, 4000)]
    run = RunData.load(write_run(edges=[*edges, ("m0", "logits", 9000.0, None)]))
    drawn = run.strongest(MOST_DRAWN)
    assert len(drawn.edges) == MOST_DRAWN
    assert min(edge.magnitude for edge in drawn.edges) == 4000 - (MOST_DRAWN - 1)
    assert drawn.edges[-1].magnitude == 9000.0
    assert drawn.strongest(MOST_DRAWN) is drawn
    subtitle = " ".join(chart(run).to_dict()["title"]["subtitle"])
    assert f"The {MOST_DRAWN:,} strongest edges are drawn." in subtitle
    assert "4,000" in subtitle


def test_layers_go_upwards_and_inputs_lie_apart(write_run: WriteRun) -> None:
    layout = Layout(RunData.load(write_run()).edges, heads=2, kv_groups=1)
    order = ["input", "m0", "a1.h1", "m1", "logits"]
    heights = [layout.nodes[name].y for name in order]
    assert heights == sorted(heights)
    assert [band.layer for band in layout.bands] == [0, 1]
    places = [(port.x, port.y) for port in layout.ports.values()]
    assert len(set(places)) == len(places) == 2


def test_a_circuit_without_measured_effects_is_drawn_by_score(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run(edges=[("input", "m0", 2.0, None), ("m0", "logits", -1.0, None)])
    for name in ("circuit", "attention"):
        render_figure(run, name, tmp_path / f"{name}.svg")
    assert "estimate" in _text(tmp_path / "circuit.svg")


def test_first_layer_is_that_from_which_the_answer_stays_first(write_run: WriteRun) -> None:
    assert first_from(summarised(RunData.load(write_run()))) == 1


def test_many_prompts_are_summarised(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run(prompts=3)
    render_figure(run, "answer", tmp_path / "out.svg")
    assert "3 prompts" in _text(tmp_path / "out.svg")


def test_a_page_of_one_figure_loads_nothing(write_run: WriteRun, tmp_path: Path) -> None:
    render(FIGURES["curve"](RunData.load(write_run())), tmp_path / "out.html")
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "<script src" not in page


def test_bad_requests_say_what_to_do(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run()
    with pytest.raises(RequestError, match="a figure out of circuit"):
        render_figure(run, "pie", tmp_path / "out.svg")
    with pytest.raises(RequestError, match="ending in"):
        render_figure(run, "curve", tmp_path / "out.gif")
    (run / "lens.parquet").unlink()
    with pytest.raises(RunError, match=r"no .*lens\.parquet"):
        render_figure(run, "answer", tmp_path / "out.svg")
    (run / "manifest.json").write_text('{"format": "wheatstone.run/2"}', encoding="utf-8")
    with pytest.raises(RunError, match=r"wheatstone\.run/1"):
        render_figure(run, "curve", tmp_path / "out.svg")
    with pytest.raises(RunError, match=r"a run folder with a manifest\.json"):
        render_figure(tmp_path / "nowhere", "curve", tmp_path / "out.svg")


def test_the_room_opens_without_torch() -> None:
    code = "import sys, wheatstone.figures as f; f.FIGURES, f.render_all; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
