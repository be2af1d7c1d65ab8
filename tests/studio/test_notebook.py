"""A circuit in a notebook: the map where anywidget and the built map are there, a still picture everywhere."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from wheatstone._errors import RunError
from wheatstone.circuits import Circuit, Edge, ModelInfo
from wheatstone.models import Graph
from wheatstone.studio import _notebook, show
from wheatstone.studio._library import EXAMPLES
from wheatstone.studio._notebook import WIDGET

WIDGETS = "application/vnd.jupyter.widget-view+json"


def words(svg: str) -> str:
    """All text of a drawing; parsing it is half of the test."""
    return " ".join(ElementTree.fromstring(svg).itertext())


@pytest.fixture
def tiny() -> Circuit:
    """Two edges of a one-layer model, never run."""
    return Circuit(ModelInfo("tiny", "llama", Graph(1, 2, 1)), (Edge("input", "m0"), Edge("m0", "logits")))


def test_a_run_is_shown_with_its_ranking_and_curve() -> None:
    view = show(EXAMPLES / "a-fact")
    circuit = view.circuit
    assert (sum(circuit.circuit), circuit.total, circuit.n) == (14, 70651, 1)
    assert circuit.rank[:2500] == list(range(1, 2501))
    assert [point.size for point in circuit.curve] == sorted(point.size for point in circuit.curve)
    verification = json.loads((EXAMPLES / "a-fact/verification.json").read_text(encoding="utf-8"))
    assert circuit.faithfulness == verification["faithfulness"]
    assert f"faithfulness {verification['faithfulness']:.3f} (n = 1)" in repr(view)


@pytest.mark.needs("web app")
def test_with_anywidget_the_map_and_the_still_picture_go_together() -> None:
    view = show(EXAMPLES / "a-fact")
    bundle, _ = view._repr_mimebundle_()
    assert view.widget is not None
    assert bundle[WIDGETS]["model_id"] == view.widget.model_id
    assert view.widget.circuit == view.circuit.model_dump(mode="json")
    assert view.widget._esm == WIDGET.read_text(encoding="utf-8")
    assert "a23.h4" in words(bundle["image/svg+xml"])


def test_without_anywidget_the_still_picture_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_notebook, "find_spec", lambda name: None)
    view = show(EXAMPLES / "a-or-an")
    bundle, _ = view._repr_mimebundle_()
    assert bundle.keys() == {"image/svg+xml", "text/plain"}
    assert "input: " in words(view._repr_svg_())


def test_without_the_built_map_the_still_picture_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_notebook, "WIDGET", Path("/nowhere"))
    assert show(EXAMPLES / "a-fact").widget is None


def test_a_circuit_shows_itself() -> None:
    circuit = Circuit.load(EXAMPLES / "a-fact/circuit.json")
    view = circuit.show()
    drawn = dict(zip(zip(view.circuit.sender, view.circuit.receiver, strict=True), view.circuit.effect, strict=True))
    assert drawn == dict(zip(map(tuple, circuit.edges), circuit.effects or (), strict=True))
    assert (view.circuit.total, view.circuit.curve) == (70651, [])
    assert "14 of 70,651 edges" in words(view.svg)


def test_a_circuit_that_was_never_run_says_so(tiny: Circuit) -> None:
    view = tiny.show()
    assert (view.circuit.faithfulness, view.circuit.title, view.circuit.total) == (None, "a circuit of tiny", 11)
    assert "faithfulness not measured" in repr(view)
    assert "was not measured" in words(view.svg)


def test_edges_that_are_told_apart_by_position_keep_their_places() -> None:
    circuit = Circuit.load(EXAMPLES / "a-fact-by-token/circuit.json").show().circuit
    run = show(EXAMPLES / "a-fact-by-token").circuit
    kept = {pair for pair, kept in zip(zip(run.sender, run.receiver, strict=True), run.circuit, strict=True) if kept}
    assert set(zip(circuit.sender, circuit.receiver, strict=True)) == kept
    assert [span.name for span in circuit.spans] == [span.name for span in run.spans]


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"manifest\.json"):
        show(tmp_path)
