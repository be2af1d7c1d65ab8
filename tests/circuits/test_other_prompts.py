"""A circuit whose edges are told apart by position, on prompts that it was not found on.

Every expected number is that of token positions written out by hand: under `each`, a circuit that keeps its edges at
those tokens and at no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding
from torch import Tensor

from wheatstone import Circuit, CircuitError, Experiment, PromptError, RequestError, verify
from wheatstone.circuits import Edge, Imported, ModelInfo
from wheatstone.discovery import acdc, node_scores, path_patching, stability
from wheatstone.models import ResidualModel, Span, SpannedGraph
from wheatstone.studies import run_import
from wheatstone.tasks import PromptPair

SUBJECT_THIRD = ("w1 w2 w3 w4 w5", "w1 w2 w9 w4 w5")


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64)


def pair_of(model: ResidualModel, prompt: str, counterfactual: str) -> PromptPair:
    (pair,) = explainable_pairs(model, [(prompt, counterfactual)])
    return pair


def found(model: ResidualModel, positions: str, **about: object) -> Circuit:
    """A third of the edges at the subject, the answer's edges at the last token, nothing elsewhere."""
    pair = pair_of(model, *SUBJECT_THIRD).model_copy(update=about)
    experiment = Experiment(model, [pair], positions=positions)
    assert isinstance(experiment.graph, SpannedGraph)
    subject, last = ("subject", "last") if positions == "spans" else ("2", "4")
    keep = kept_at(model, experiment, {subject: 0, last: 1})
    return Circuit.of_mask(ModelInfo.of(model, experiment.graph), keep, examples=experiment.encoded.pairs)


def kept_at(model: ResidualModel, experiment: Experiment, seeds: Mapping[str, int]) -> Tensor:
    """At each span the half of the model's edges that its seed draws; at every other span none."""
    valid = torch.from_numpy(model.graph.valid)
    keep = torch.zeros(experiment.graph.valid.shape, dtype=torch.bool).unflatten(1, (-1, len(experiment.spans)))
    for name, seed in seeds.items():
        at = [span.name for span in experiment.spans].index(name)
        keep[..., at] = valid & (torch.rand(valid.shape, generator=torch.Generator().manual_seed(seed)) < 0.5)
    return keep.flatten(1)


@pytest.mark.parametrize(
    ("prompt", "counterfactual", "subject", "last"),
    [
        ("w1 w2 w6 w7 w3 w4 w5", "w1 w2 w6 w7 w9 w4 w5", "4", "6"),
        ("w2 w3 w4 w5", "w2 w9 w4 w5", "1", "3"),
        ("w1 w3 w2 w4 w5", "w1 w9 w2 w4 w5", "1", "4"),
        ("w6 w7 w8 w4 w5", "w6 w7 w3 w4 w5", "2", "4"),
    ],
    ids=["longer", "shorter", "the subject elsewhere", "laid out alike"],
)
def test_named_spans_are_where_the_other_prompt_has_them(
    model: ResidualModel, prompt: str, counterfactual: str, subject: str, last: str
) -> None:
    circuit, other = found(model, "spans"), pair_of(model, prompt, counterfactual)
    by_hand = Experiment(model, [other], positions="each")
    expected = by_hand.faithfulness(kept_at(model, by_hand, {subject: 0, last: 1})[None])[0]
    complement = torch.from_numpy(by_hand.graph.valid) & ~kept_at(model, by_hand, {subject: 0, last: 1})
    result = verify(model, circuit, [other], draws=1)
    assert result.faithfulness == rounding(model).near(expected)
    assert result.completeness == rounding(model).near(1 - by_hand.faithfulness(complement[None])[0])
    keep, experiment = circuit.mask(), Experiment(model, circuit.examples, positions="spans").on([other])
    assert experiment.faithfulness(keep[None])[0] == rounding(model).near(expected)


def test_the_order_of_the_parts_may_differ(model: ResidualModel) -> None:
    """What counts is the name: here the relation comes after the subject, there before it."""
    circuit = found(model, "spans", spans={"relation": (3, 5)})
    assert [span.name for span in circuit.spans] == ["before-relation", "relation", "subject", "before-last", "last"]
    other = pair_of(model, "w1 w3 w2 w4 w5", "w1 w9 w2 w4 w5").model_copy(update={"spans": {"relation": (6, 8)}})
    with pytest.raises(PromptError, match=r"apart: before-relation, .*; got .* before-subject, subject, relation"):
        verify(model, circuit, [other], draws=1)
    # The same names in another order: token 0 is before the relation, and after it comes what leads to the last.
    other = pair_of(model, "w1 w4 w2 w3 w5", "w1 w4 w2 w9 w5").model_copy(update={"spans": {"relation": (3, 5)}})
    with pytest.raises(PromptError, match=r"before-subject"):
        verify(model, circuit, [other], draws=1)


@pytest.mark.parametrize("positions", ["spans", "each"])
def test_its_own_prompts_and_their_swaps_keep_the_positions(model: ResidualModel, positions: str) -> None:
    """Also where the swapped pair has lost a named span, for it is aligned with the pair token by token."""
    circuit = found(model, positions, spans={"relation": (3, 8)})
    if positions == "spans":
        assert [span.name for span in circuit.spans][1:3] == ["relation-first", "subject"]
    (own,) = circuit.examples
    swapped = own.swapped()
    assert swapped is not None
    for pair in (own, swapped):
        by_hand = Experiment(model, [pair], positions="each")
        expected = by_hand.faithfulness(kept_at(model, by_hand, {"2": 0, "4": 1})[None])[0]
        assert verify(model, circuit, [pair], draws=1).faithfulness == rounding(model).near(expected)


def test_token_positions_need_the_same_layout(model: ResidualModel) -> None:
    circuit = found(model, "each")
    same = pair_of(model, "w6 w7 w8 w4 w5", "w6 w7 w3 w4 w5")
    by_hand = Experiment(model, [same], positions="each")
    expected = by_hand.faithfulness(kept_at(model, by_hand, {"2": 0, "4": 1})[None])[0]
    assert verify(model, circuit, [same], draws=1).faithfulness == rounding(model).near(expected)
    refused = {
        ("w1 w2 w3 w4 w5 w6", "w1 w2 w9 w4 w5 w6"): "prompt 0: 6 tokens where the circuit's has 5",
        ("w1 w3 w4 w5", "w1 w9 w4 w5"): "prompt 0: 4 tokens where the circuit's has 5",
        ("w1 w3 w2 w4 w5", "w1 w9 w2 w4 w5"): "prompt 0: subject at token 1 where the circuit's has it at token 2",
        (
            "w1 w3 w2 w4 w5",
            "w1 w9 w8 w4 w5",
        ): "prompt 0: subject at tokens 1 to 2 where the circuit's has it at token 2",
    }
    for texts, got in refused.items():
        with pytest.raises(PromptError) as caught:
            verify(model, circuit, [pair_of(model, *texts)], draws=1)
        assert caught.value.got == got
        with pytest.raises(PromptError, match=got):
            Experiment(model, circuit.examples, positions="each").on([pair_of(model, *texts)])
    with pytest.raises(PromptError, match="prompt 1: 4 tokens"):
        verify(model, circuit, [same, pair_of(model, "w1 w3 w4 w5", "w1 w9 w4 w5")], draws=1)


def test_a_span_that_the_prompts_lack_is_refused(model: ResidualModel) -> None:
    circuit = found(model, "spans", spans={"relation": (3, 5)})
    named = pair_of(model, *SUBJECT_THIRD).model_copy(update={"spans": {"relation": (3, 5)}})
    assert verify(model, circuit, [named], draws=1).n == 1
    unnamed = pair_of(model, "w6 w7 w8 w4 w5", "w6 w7 w3 w4 w5")
    with pytest.raises(
        PromptError, match=r"apart: before-relation, relation, subject, before-last, last; got prompts "
    ):
        verify(model, circuit, [unnamed], draws=1)
    two_tokens = pair_of(model, "w1 w2 w3 w4 w5", "w1 w8 w9 w4 w5")
    with pytest.raises(PromptError, match="with before-subject, subject-first, subject-last, before-last, last; "):
        verify(model, found(model, "spans"), [two_tokens], draws=1)
    lengths = [pair_of(model, "w2 w3 w5", "w2 w9 w5"), pair_of(model, *SUBJECT_THIRD)]
    with pytest.raises(PromptError, match="got lengths from 3 to 5"):
        verify(model, found(model, "spans"), lengths, draws=1)


def test_a_circuit_without_prompts_goes_by_the_names_of_its_spans(model: ResidualModel) -> None:
    other = pair_of(model, "w1 w3 w2 w4 w5", "w1 w9 w2 w4 w5")
    by_hand = Experiment(model, [other], positions="each")
    for positions, at in (("spans", {"1": 0, "4": 1}), ("each", {"2": 0, "4": 1})):
        circuit = replace(found(model, positions), examples=())
        expected = by_hand.faithfulness(kept_at(model, by_hand, at)[None])[0]
        assert verify(model, circuit, [other], draws=1).faithfulness == rounding(model).near(expected)
    longer = pair_of(model, "w1 w2 w3 w4 w5 w6", "w1 w2 w9 w4 w5 w6")
    with pytest.raises(PromptError, match="prompts of 5 tokens, which the spans divide; got a prompt of 6"):
        verify(model, replace(found(model, "each"), examples=()), [longer], draws=1)


def test_an_imported_circuit_goes_to_where_the_prompts_have_its_parts(model: ResidualModel, tmp_path: Path) -> None:
    """With the subject elsewhere; and the run notes where its parts are in its own prompts."""
    circuit, other = found(model, "spans"), pair_of(model, "w1 w3 w2 w4 w5", "w1 w9 w2 w4 w5")
    by_hand = Experiment(model, [other], positions="each")
    expected = by_hand.faithfulness(kept_at(model, by_hand, {"1": 0, "4": 1})[None])[0]
    run = run_import(model, Imported(circuit, {}, "circuit.json"), source="circuit", pairs=[other])
    assert run.verification is not None
    assert run.verification.faithfulness == rounding(model).near(expected)
    run.circuit.save(tmp_path / "circuit.json")
    again = Circuit.load(tmp_path / "circuit.json")
    assert [span.positions for span in again.spans] == [(0,), (1,), (2, 3), (4,)]
    assert verify(model, again, again.examples, draws=1).faithfulness == rounding(model).near(expected)


def test_bootstrap_samples_have_their_own_prompts_positions(model: ResidualModel) -> None:
    pairs = [pair_of(model, *SUBJECT_THIRD), pair_of(model, "w6 w7 w8 w4 w5", "w6 w7 w3 w4 w5")]
    experiment = Experiment(model, pairs, positions="spans")
    spans: list[object] = []

    def find(sample: Experiment) -> Tensor:
        spans.append(sample.spans)
        return torch.from_numpy(sample.graph.valid)

    stability(experiment, find, samples=2)
    assert spans == [experiment.spans] * 2


@pytest.mark.parametrize(
    ("spans", "kind", "got"),
    [
        ((Span("a", (0, 1, 2)),), PromptError, "a prompt of 5 tokens"),
        ((Span("a", (0, 1, 2, 3, 4)), Span("b", (5,))), PromptError, "a prompt of 5 tokens"),
        ((Span("a", (7,)), Span("b", ())), PromptError, "a prompt of 5 tokens"),
        ((Span("a", (0, 1)), Span("b", (1, 2, 3, 4))), RequestError, r"a at \[0, 1\], b at \[1, 2, 3, 4\]"),
        ((Span("a", (0, 1)), Span("a", (2, 3, 4))), RequestError, "a at"),
        ((Span("a", (0,)), Span("b", ()), Span("c", ())), RequestError, "a at"),
    ],
)
def test_spans_that_do_not_divide_the_prompts_are_refused(
    model: ResidualModel, spans: tuple[Span, ...], kind: type[Exception], got: str
) -> None:
    with pytest.raises(kind, match=got):
        Experiment(model, [pair_of(model, *SUBJECT_THIRD)], positions=spans)


def test_an_edge_of_all_other_positions_survives_its_file(model: ResidualModel, tmp_path: Path) -> None:
    graph = SpannedGraph.of(model.graph, (Span("1", (1,)), Span("elsewhere", ())))
    edges = (Edge("m0@1", "m1"), Edge("m0@elsewhere", "m2"), Edge("m1@1", "m2"), Edge("m1@elsewhere", "m2"))
    circuit = Circuit(ModelInfo.of(model, graph), edges, examples=(pair_of(model, *SUBJECT_THIRD),))
    circuit.save(tmp_path / "circuit.json")
    assert Circuit.load(tmp_path / "circuit.json").edges == edges
    document = json.loads((tmp_path / "circuit.json").read_text("utf-8"))
    document["spans"] = {"1": [1], "rest": [0, 2, 3, 4]}
    (tmp_path / "circuit.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(CircuitError, match=r"kept at whole spans; got m0 -> m2 at positions \[\]"):
        Circuit.load(tmp_path / "circuit.json")


@pytest.mark.parametrize(
    "measure",
    [path_patching, node_scores, lambda experiment: acdc(experiment, 0.1)],
    ids=["path patching", "node scores", "acdc"],
)
def test_measures_of_whole_nodes_refuse_divided_ones(
    model: ResidualModel, measure: Callable[[Experiment], object]
) -> None:
    experiment = Experiment(model, [pair_of(model, *SUBJECT_THIRD)], positions="spans")
    with pytest.raises(
        RequestError, match="with the spans before-subject, subject, before-last, last; leave positions"
    ):
        measure(experiment)
