"""Edges told apart by where in the prompt they carry something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tolerance import rounding
from torch import Tensor, nn

from wheatstone import Circuit, CircuitError, Experiment, PromptError, RequestError, discover, verify
from wheatstone.circuits import ModelInfo, to_eap_json
from wheatstone.discovery import attribute
from wheatstone.models import ResidualModel, Span, SpannedGraph


def aligned(experiment: Experiment, positions: str | tuple[Span, ...] | None) -> Experiment:
    """Two prompts of four tokens, told apart in the second."""
    pair = experiment.encoded.pairs[0]
    swapped = pair.swapped()
    assert swapped is not None
    return Experiment(experiment.model, [pair, swapped], positions=positions)


def drawn(experiment: Experiment, share: float, seed: int = 0) -> Tensor:
    valid = torch.from_numpy(experiment.model.graph.valid)
    return valid & (torch.rand(4, *valid.shape, generator=torch.Generator().manual_seed(seed)) < share)


def test_spans_partition_the_prompt_by_name(tiny_experiment: Experiment) -> None:
    assert aligned(tiny_experiment, "spans").spans == (
        Span("before-subject", (0,)),
        Span("subject", (1,)),
        Span("before-last", (2,)),
        Span("last", (3,)),
    )
    model = tiny_experiment.model
    pair = tiny_experiment.encoded.pairs[0].model_copy(update={"spans": {"subject": (0, 8), "relation": (6, 8)}})
    assert Experiment(model, [pair], positions="spans").spans == (
        Span("subject-first", (0,)),
        Span("subject-middle", (1,)),
        Span("relation", (2,)),
        Span("last", (3,)),
    )


def test_an_edge_kept_at_every_span_is_the_edge(tiny_experiment: Experiment) -> None:
    plain, spanned = aligned(tiny_experiment, None), aligned(tiny_experiment, "spans")
    keep = drawn(plain, 0.5)
    everywhere = keep.repeat_interleave(4, dim=-1)
    rounding(tiny_experiment.model).check(spanned.logits(everywhere), plain.logits(keep))
    torch.testing.assert_close(spanned.clean, plain.clean)
    torch.testing.assert_close(spanned.corrupt, plain.corrupt)


def test_slopes_and_scores_at_spans_add_up_to_the_edge_s(tiny_experiment: Experiment) -> None:
    plain, spanned = aligned(tiny_experiment, None), aligned(tiny_experiment, "spans")
    (keep, *_) = drawn(plain, 0.6)
    slopes = spanned.edge_gradients(keep.repeat_interleave(4, dim=-1)).unflatten(-1, (-1, 4)).sum(-1)
    rounding(tiny_experiment.model, passes=3).check(slopes, plain.edge_gradients(keep))
    for method in ("eap", "eap-ig"):
        values = attribute(spanned, method=method).values.unflatten(-1, (-1, 4)).sum(-1)
        rounding(tiny_experiment.model, passes=3).check(values, attribute(plain, method=method).values)


def test_slopes_are_derivatives_where_a_mask_is_mixed(tiny_experiment: Experiment) -> None:
    """Adding one edge at one span to a circuit that keeps some edges at some spans only."""
    spanned = aligned(tiny_experiment, "each")
    keep = torch.from_numpy(spanned.graph.valid)
    keep = keep & (torch.rand(keep.shape, generator=torch.Generator().manual_seed(1)) < 0.5)
    last = spanned.graph.logits_channel
    slopes = spanned.edge_gradients(keep)
    (before,) = spanned.faithfulness(keep[None])
    for sender in range(3, len(spanned.graph.nodes), 7):  # at the last position the logits are nearly linear
        changed = keep.clone()
        changed[last, sender] ^= True
        (after,) = spanned.faithfulness(changed[None])
        if sender % 4 != 3:
            assert after == rounding(tiny_experiment.model).near(before)
            assert abs(float(slopes[last, sender])) < 1e-12


@pytest.mark.parametrize("position", range(4))
def test_an_edge_cut_at_one_position_is_that_input_changed_there(tiny_experiment: Experiment, position: int) -> None:
    experiment = aligned(tiny_experiment, "each")
    model, graph = experiment.model, experiment.graph
    names = {f"{index}": f"a1.h0@{index}" for index in range(4)}
    keep = torch.from_numpy(graph.valid).clone()
    keep[graph.edge(names[str(position)], "m2")] = False
    got = experiment.values(keep[None])[0]

    written = model.forward(experiment.encoded.clean, cache=True).nodes
    assert written is not None
    node = model.graph.node_index["a1.h0"]
    delta = (written - experiment.ablated)[node]
    norm = model.blocks[2].mlp_norm.module
    assert isinstance(norm, nn.Module)

    def cut(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0].clone()
        x[:, position] -= delta[:, position]
        return (x, *args[1:])

    handle = norm.register_forward_pre_hook(cut)
    try:
        logits = model.module(experiment.encoded.clean.ids).logits[:, -1]
    finally:
        handle.remove()
    rounding(model).check(got, experiment.values_of(logits))


def test_a_circuit_at_positions_is_found_written_read_and_verified(tiny_experiment: Experiment, tmp_path: Path) -> None:
    pairs = aligned(tiny_experiment, None).encoded.pairs
    circuit = discover(tiny_experiment.model, pairs, faithfulness=0.7, positions="spans")
    circuit.save(tmp_path / "circuit.json")
    edges = json.loads((tmp_path / "circuit.json").read_text("utf-8"))["edges"]
    assert all(len(edge["positions"]) == 1 and "@" not in edge["from"] for edge in edges)
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert loaded.edges == circuit.edges
    assert loaded.spans == circuit.spans
    assert isinstance(loaded.model.graph, SpannedGraph)
    assert circuit.evaluation is not None
    result = verify(tiny_experiment.model, loaded, pairs, draws=2)
    assert result.faithfulness == rounding(tiny_experiment.model).near(circuit.evaluation.faithfulness)
    assert abs(1 - result.faithfulness) <= 0.3


def test_positions_of_a_file_that_names_no_spans(tiny_experiment: Experiment, tmp_path: Path) -> None:
    experiment = aligned(tiny_experiment, None)
    circuit = discover(experiment.model, experiment.encoded.pairs, faithfulness=0.7)
    circuit.save(tmp_path / "circuit.json")
    document = json.loads((tmp_path / "circuit.json").read_text("utf-8"))
    whole = [edge for edge in document["edges"] if edge["to"] != "logits"]
    logits = [edge | {"positions": [1, 3]} for edge in document["edges"] if edge["to"] == "logits"]
    document["edges"] = [*whole, *logits]
    (tmp_path / "circuit.json").write_text(json.dumps(document), "utf-8")
    loaded = Circuit.load(tmp_path / "circuit.json")
    assert [span.name for span in loaded.spans] == ["1", "3", "elsewhere"]
    result = verify(experiment.model, loaded, experiment.encoded.pairs, draws=2)
    assert result.faithfulness == rounding(experiment.model).near(experiment.faithfulness(circuit.mask()[None])[0])


def test_what_cannot_be_told_apart_by_position_is_refused(tiny64: ResidualModel, tiny_experiment: Experiment) -> None:
    pairs = tiny_experiment.encoded.pairs
    with pytest.raises(PromptError, match=r"one token length, .*; got lengths from 2 to 6"):
        Experiment(tiny64, pairs, positions="spans")
    with pytest.raises(RequestError, match="spans, each; got 'words'"):
        Experiment(tiny64, pairs[:1], positions="words")
    moved = pairs[0].model_copy(update={"spans": {"subject": (0, 2)}})
    with pytest.raises(PromptError, match="token 0 is before-subject in prompt 0 and subject in prompt 1"):
        Experiment(tiny64, [pairs[0], moved], positions="spans")
    with pytest.raises(RequestError, match=r"by position \(eap-ig, eap.*; got 'exact'"):
        discover(tiny64, pairs[:1], ranking="exact", positions="each")


def test_eap_s_json_knows_no_positions(tiny_experiment: Experiment) -> None:
    experiment = aligned(tiny_experiment, "each")
    keep = torch.from_numpy(experiment.graph.valid)
    circuit = Circuit.of_mask(ModelInfo.of(experiment.model, experiment.graph), keep)
    with pytest.raises(CircuitError, match="kept at all positions; got one with the spans 0, 1, 2, 3"):
        to_eap_json(circuit)
