"""A circuit as a value: its algebra, its file, and the files that are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wheatstone import Circuit, CircuitError, Edge, Graph, PromptPair
from wheatstone.circuits import Evaluation, ModelInfo, from_eap_json, to_eap_json
from wheatstone.models import Split

GRAPH = Graph(layers=2, heads=4, kv_groups=2)
MODEL = ModelInfo("tiny", "llama", GRAPH, "abc")
POSITIONS = torch.from_numpy(GRAPH.valid).nonzero().tolist()
EDGES = [Edge(GRAPH.nodes[node], GRAPH.channels[channel]) for channel, node in POSITIONS]
WHOLE = Circuit(MODEL, tuple(EDGES))
EMPTY = Circuit(MODEL, ())

subsets = st.sets(st.sampled_from(range(len(EDGES)))).map(sorted)
numbers = st.floats(-1e4, 1e4, allow_nan=False)
texts = st.text(min_size=1, max_size=12)
pairs = st.builds(
    PromptPair,
    prompt=texts,
    counterfactual=texts,
    answers=st.lists(texts, min_size=1, max_size=2).map(tuple),
    distractors=st.lists(texts, max_size=2).map(tuple),
)


def circuit_of(rows: list[int], **about: Any) -> Circuit:
    return Circuit(MODEL, tuple(EDGES[row] for row in rows), **about)


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[int], dict[str, Any]]:
    """Edges, and all that a file can say about them."""
    rows = draw(subsets)

    def each() -> tuple[float, ...] | None:
        return tuple(draw(numbers) for _ in rows) if rows and draw(st.booleans()) else None

    return rows, {
        "ablation": draw(st.sampled_from(["counterfactual", "zero"])),
        "metric": draw(st.sampled_from(["logit_diff", "kl"])),
        "scores": each(),
        "effects": each(),
        "examples": tuple(draw(st.lists(pairs, max_size=2))),
        "task": draw(st.text(max_size=8)),
        "evaluation": Evaluation(*(draw(numbers) for _ in range(4)), edges=len(rows), total_edges=GRAPH.edges),
    }


@settings(deadline=None, max_examples=60)
@given(document=documents())
def test_a_saved_circuit_loads_as_it_was_and_saves_to_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, document: tuple[list[int], dict[str, Any]]
) -> None:
    circuit = circuit_of(document[0], **document[1])
    folder = tmp_path_factory.mktemp("circuit")
    circuit.save(folder / "once.json")
    again = Circuit.load(folder / "once.json")
    again.save(folder / "twice.json")
    assert (folder / "once.json").read_bytes() == (folder / "twice.json").read_bytes()
    assert (again.model, again.edges, again.examples) == (circuit.model, circuit.edges, circuit.examples)
    assert (again.task, again.ablation, again.metric) == (circuit.task, circuit.ablation, circuit.metric)
    for ours, theirs in ((again.scores, circuit.scores), (again.effects, circuit.effects)):
        assert ours == (None if theirs is None else pytest.approx(theirs, abs=5e-7))  # six decimals are written


@settings(deadline=None, max_examples=40)
@given(three=st.tuples(subsets, subsets, subsets))
def test_circuits_are_a_boolean_algebra(three: tuple[list[int], list[int], list[int]]) -> None:
    a, b, c = map(circuit_of, three)
    assert a | b == b | a
    assert a & b == b & a
    assert a | (b | c) == (a | b) | c
    assert a & (b | c) == (a & b) | (a & c)
    assert ~~a == a
    assert ~(a | b) == ~a & ~b
    assert a - b == a & ~b
    assert a | ~a == WHOLE
    assert a & ~a == EMPTY
    assert len(a) + len(~a) == GRAPH.edges == 82
    assert Circuit.of_mask(MODEL, a.mask()) == a
    assert torch.equal((a | b).mask(), a.mask() | b.mask())
    assert all((edge in a) != (edge in ~a) for edge in EDGES)
    assert hash(a | a) == hash(a)


def test_what_was_measured_on_a_circuit_is_not_claimed_of_another() -> None:
    measured = Circuit(MODEL, tuple(EDGES[:2]), scores=(1.0, 2.0), effects=(0.5, 0.25), task="capitals")
    for other in (measured | WHOLE, measured & WHOLE, measured - EMPTY, ~measured):
        assert (other.scores, other.effects, other.evaluation) == (None, None, None)
        assert other.task == "capitals"


def test_nodes_are_the_senders_in_order() -> None:
    circuit = Circuit(MODEL, (Edge("m1", "logits"), Edge("input", "m0"), Edge("a0.h3", "m1"), Edge("input", "m1")))
    assert circuit.nodes == ("input", "a0.h3", "m1")
    assert str(circuit.edges[2]) == "a0.h3->m1"


def test_circuits_of_two_architectures_are_not_combined() -> None:
    other = Circuit(ModelInfo("wide", "llama", Graph(2, 8, 2)), ())
    with pytest.raises(CircuitError, match="tiny; got one of wide"):
        _ = WHOLE | other


def test_a_circuit_is_refused_by_a_smaller_model() -> None:
    with pytest.raises(CircuitError, match=r"'a0\.h2'"):
        Circuit(MODEL, (Edge("a0.h2", "logits"),)).mask(Graph(2, 2, 2))


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "good.json"
    Circuit(MODEL, tuple(EDGES[:2]), scores=(1.0, 2.0)).save(path)
    return json.loads(path.read_text(encoding="utf-8"))


def load(document: Any, folder: Path) -> Circuit:
    path = folder / "circuit.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return Circuit.load(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "wheatstone.circuit/2"}, "format 'wheatstone.circuit/2'.*; discover"),
        ({"format": None}, "format None"),
        ({"edges": [{"from": "m7", "to": "logits"}]}, "'m7'"),
        ({"edges": [{"from": "m0", "to": "a1.g2<k>"}]}, "'a1.g2<k>'"),
        ({"edges": [{"from": "m1", "to": "m0"}]}, "later channel"),
        ({"edges": [{"from": "m0"}]}, "at edges.0.to"),
        ({"edges": [{"from": "input", "to": "m0"}] * 2}, "twice"),
        ({"surprise": 1}, "at surprise"),
        ({"model": {"id": "x", "family": "llama", "layers": 0, "heads": 1, "kv_groups": 1}}, "at model.layers"),
    ],
)
def test_documents_that_are_refused(document: dict[str, Any], tmp_path: Path, change: Any, says: str) -> None:
    with pytest.raises(CircuitError, match=says) as error:
        load({**document, **change}, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"circuit"', "null", '{"format": "wheatstone.circuit/1"}'])
def test_files_that_are_not_circuits_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(CircuitError, match=r"circuit\.json") as error:
        load(text, tmp_path)
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "circuit.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CircuitError, match=r"a circuit\.json"):
        Circuit.load(tmp_path / "circuit.json")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(CircuitError, match="check the path"):
            Circuit.load(path)


def test_a_file_is_one_edge_a_line(tmp_path: Path) -> None:
    circuit = Circuit(MODEL, (EDGES[0],), scores=(0.41,))
    circuit.save(tmp_path / "circuit.json")
    lines = (tmp_path / "circuit.json").read_text(encoding="utf-8").splitlines()
    assert '  {"from": "input", "to": "a0.h0<q>", "score": 0.41}' in lines
    assert replace(circuit, scores=None) == replace(Circuit.load(tmp_path / "circuit.json"), scores=None)


SPLIT = ModelInfo("tiny", "llama", Graph(2, 4, 2, split=(Split(0, "experts", 3), Split(1, "neurons", 5))))


def test_sub_nodes_survive_the_files(tmp_path: Path) -> None:
    edges = (Edge("m0.e2", "a1.g0<k>"), Edge("m0.e1", "m1"), Edge("m1.n4", "logits"))
    circuit = Circuit(SPLIT, edges, scores=(1.0, -2.0, 3.0))
    circuit.save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json") == circuit
    assert from_eap_json(to_eap_json(circuit), SPLIT).edges == edges
    with pytest.raises(CircuitError, match="same MLPs split"):
        circuit.mask(GRAPH)


@pytest.mark.parametrize("layers", [[2], [1, 0], [0, 0]])
def test_a_split_that_cannot_be_is_refused(layers: list[int], tmp_path: Path) -> None:
    path = tmp_path / "circuit.json"
    Circuit(SPLIT, ()).save(path)
    document = json.loads(path.read_text())
    document["model"]["split"] = [{"layer": layer, "into": "neurons", "parts": 5} for layer in layers]
    path.write_text(json.dumps(document))
    with pytest.raises(CircuitError, match="each once and in order"):
        Circuit.load(path)
