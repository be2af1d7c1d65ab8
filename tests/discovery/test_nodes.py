"""Node scores against one intervention at a time, and against the edges they are made of."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding
from torch import Tensor

from wheatstone import Experiment, RequestError
from wheatstone.discovery import attribute, node_scores
from wheatstone.discovery._nodes import NodeScores
from wheatstone.models import Graph, Replace, Tokens


def nodes_of(experiment: Experiment, tokens: Tokens) -> Tensor:
    nodes = experiment.model.forward(tokens, cache=True).nodes
    assert nodes is not None
    return nodes


def one_by_one(experiment: Experiment, node: int, direction: str, at: int | None = None) -> Tensor:
    """The effect on each prompt, one whole run per prompt and node."""
    encoded, name = experiment.encoded, experiment.graph.nodes[node]
    noising = direction == "noising"
    tokens = encoded.clean if noising else encoded.counterfactual
    other = experiment.ablated[node] if noising else nodes_of(experiment, encoded.clean)[node]
    before = experiment.clean if noising else experiment.corrupt
    positions = None if at is None else (at,)
    intervention = Replace(at=name, value=other, positions=positions)
    after = experiment.values_of(experiment.model.forward_with(tokens, [intervention]).logits)
    return before - after if noising else after - before


@pytest.mark.parametrize("direction", ["noising", "denoising"])
def test_exact_effects_are_those_of_single_interventions(tiny_experiment: Experiment, direction: str) -> None:
    got = node_scores(tiny_experiment, method="exact", direction=direction)
    assert got.positions is None
    for node in range(len(tiny_experiment.graph.nodes)):
        expected = one_by_one(tiny_experiment, node, direction)
        rounding(tiny_experiment.model).check(got.values[node], expected)


def test_a_patch_at_one_position_is_the_intervention_there(tiny_experiment: Experiment) -> None:
    got = node_scores(tiny_experiment, method="exact", positions=True).positions
    assert got is not None
    for node in (0, 2, 5, 9, 15):
        for at in (0, 1):  # the shortest prompt has two
            expected = one_by_one(tiny_experiment, node, "noising", at)
            rounding(tiny_experiment.model).check(got[node, :, at], expected)
    for row, length in enumerate(tiny_experiment.encoded.clean.lengths.tolist()):
        assert (got[:, row, length:] == 0).all()


def test_the_input_alone_carries_everything(tiny_experiment: Experiment) -> None:
    gap = tiny_experiment.clean - tiny_experiment.corrupt
    for direction in ("noising", "denoising"):
        got = node_scores(tiny_experiment, method="exact", direction=direction).values[0]
        rounding(tiny_experiment.model).check(got, gap)


@pytest.mark.parametrize("ablation", ["counterfactual", "zero", "mean"])
def test_a_nodes_effect_is_that_of_all_its_edges(tiny_experiment: Experiment, ablation: str) -> None:
    experiment = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs, ablation=ablation, metric="kl")
    got = node_scores(experiment, method="exact").values
    whole = torch.from_numpy(experiment.graph.valid)
    for node in (1, 4, 5, 7, 10, 12, 15):
        keep = whole.clone()
        keep[:, node] = False
        expected = experiment.clean - experiment.values(keep[None])[0]
        rounding(experiment.model).check(got[node], expected)


def test_attribution_of_a_node_is_the_sum_of_its_edges(tiny_experiment: Experiment) -> None:
    got = node_scores(tiny_experiment, positions=True)
    expected = attribute(tiny_experiment, method="eap").values.sum(0)
    rounding(tiny_experiment.model).check(got.values.mean(-1), expected)
    assert got.positions is not None
    rounding(tiny_experiment.model).check(got.positions.sum(-1), got.values)


@pytest.mark.parametrize("direction", ["noising", "denoising"])
def test_attribution_is_the_slope_of_a_small_patch(tiny_experiment: Experiment, direction: str) -> None:
    experiment, encoded = tiny_experiment, tiny_experiment.encoded
    got = node_scores(experiment, direction=direction).values
    sign = 1 if direction == "noising" else -1
    tokens = encoded.clean if sign == 1 else encoded.counterfactual
    plain = experiment.model.streams(tokens)
    step = 1e-6 * (experiment.ablated - nodes_of(experiment, encoded.clean))
    for node in range(len(experiment.graph.nodes)):
        up, down = (
            experiment.values_of(experiment.model.patched_logits(plain, [node], s * step[[node]])[0]) for s in (1, -1)
        )
        # The rounding of both ends, divided by the step.
        rounding(experiment.model, passes=3).check(got[node], (down - up) / 2e-6, magnitude=10 / 1e-6)


def test_how_many_run_together_does_not_matter(tiny_experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = node_scores(tiny_experiment, method="exact").values
    monkeypatch.setattr(tiny_experiment, "memory", 1)
    rounding(tiny_experiment.model).check(node_scores(tiny_experiment, method="exact").values, expected)
    monkeypatch.setattr("wheatstone.discovery._nodes._TOKENS", 30)
    rounding(tiny_experiment.model).check(node_scores(tiny_experiment, method="exact").values, expected)


def test_an_edge_ranks_as_its_lesser_node() -> None:
    graph = Graph(1, 2, 1)  # input, a0.h0, a0.h1, m0
    scores = NodeScores(graph, torch.tensor([[4.0], [-3.0], [1.0], [2.0]]), None, "exact", "noising")
    expected = torch.zeros(graph.valid.shape)
    for sender, receiver, score in (
        ("input", "a0.h0<q>", 3.0),
        ("input", "a0.h1<q>", 1.0),
        ("input", "a0.g0<k>", 3.0),
        ("input", "a0.g0<v>", 3.0),
        ("input", "m0", 2.0),
        ("a0.h0", "m0", -2.0),
        ("a0.h1", "m0", 1.0),
        ("input", "logits", 4.0),
        ("a0.h0", "logits", -3.0),
        ("a0.h1", "logits", 1.0),
        ("m0", "logits", 2.0),
    ):
        expected[graph.edge(sender, receiver)] = score
    torch.testing.assert_close(scores.edge_values(), expected)
    assert [name for name, _ in scores.ranking()] == ["input", "a0.h0", "m0", "a0.h1"]


def test_both_are_edge_methods(tiny_experiment: Experiment) -> None:
    for name, method in (("node-attribution", "attribution"), ("node-patching", "exact")):
        got = attribute(tiny_experiment, method=name).values
        torch.testing.assert_close(got, node_scores(tiny_experiment, method=method).edge_values())


def test_requests_that_are_refused(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="attribution, exact; got 'eap'"):
        node_scores(tiny_experiment, method="eap")
    with pytest.raises(RequestError, match="noising, denoising; got 'both'"):
        node_scores(tiny_experiment, direction="both")
    zero = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs, ablation="zero", metric="kl")
    with pytest.raises(RequestError, match=r"counterfactual ablation for denoising.*got the ablation zero"):
        node_scores(zero, direction="denoising")


@pytest.mark.real_weights
@pytest.mark.parametrize("direction", ["noising", "denoising"])
def test_single_interventions_on_real_weights(france: Experiment, direction: str) -> None:
    names = ["input", "a0.h4", "m0", "a12.h1", "a23.h4", "m28", "a29.h2"]
    nodes = [france.graph.node_index[name] for name in names]
    encoded, model = france.encoded, france.model
    tokens, other = encoded.clean, france.ablated
    before = france.clean
    if direction == "denoising":
        tokens, other, before = encoded.counterfactual, nodes_of(france, encoded.clean), france.corrupt
    plain = model.streams(tokens)
    changes = other[nodes] - plain.nodes[nodes]
    after = france.values_of(model.patched_logits(plain, nodes, changes))
    got = before - after if direction == "noising" else after - before
    expected = torch.stack([one_by_one(france, node, direction) for node in nodes])
    rounding(model).check(got, expected)
    assert got[names.index("a23.h4")] > 10
