"""Verified search: what it promises of a circuit, checked again by runs of its own."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding
from torch import Tensor

from wheatstone import Circuit, Experiment, RequestError, discover
from wheatstone.discovery import Discovery
from wheatstone.discovery._scores import attribute
from wheatstone.discovery._search import SearchResult, VerifiedSearch
from wheatstone.models import Graph


def search(experiment: Experiment, target: float) -> SearchResult:
    return VerifiedSearch(experiment, attribute(experiment), target).run()


def without_each(keep: Tensor) -> Tensor:
    """The circuit less one edge, for each edge in turn."""
    candidates = keep.repeat(int(keep.sum()), 1, 1)
    for candidate, edge in zip(candidates, keep.nonzero().tolist(), strict=True):
        candidate[tuple(edge)] = False
    return candidates


def on_a_path(graph: Graph, edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges on a path from input to logits, followed by name."""

    def readers(channel: str) -> set[str]:
        if not channel.endswith(">"):
            return {channel}
        layer, part = channel[:-3].split(".")
        if part[0] == "h":
            return {channel[:-3]}
        return {f"{layer}.h{head}" for head in range(graph.heads) if graph.group_of(head) == int(part[1:])}

    reached, needed = {"input"}, {"logits"}
    for _ in graph.nodes:
        for sender, channel in edges:
            reached |= readers(channel) if sender in reached else set()
            needed |= {sender} if readers(channel) & needed else set()
    return {(sender, channel) for sender, channel in edges if sender in reached and readers(channel) & needed}


def named(graph: Graph, keep: Tensor) -> set[tuple[str, str]]:
    return {(graph.nodes[node], graph.channels[channel]) for channel, node in keep.nonzero().tolist()}


@pytest.mark.parametrize("target", [0.5, 0.9])
def test_the_circuit_meets_the_goal_and_no_edge_of_it_can_go(tiny_experiment: Experiment, target: float) -> None:
    experiment = tiny_experiment
    found = search(experiment, target)
    (faithfulness,) = experiment.faithfulness(found.keep[None])
    assert faithfulness == rounding(experiment.model).near(found.reached)
    assert abs(1 - faithfulness) <= 1 - target
    assert not (found.keep & ~torch.from_numpy(experiment.graph.valid)).any()

    removed = torch.tensor(experiment.faithfulness(without_each(found.keep)), dtype=torch.float64)
    assert ((1 - removed).abs() > 1 - target).all()
    assert found.effects is not None
    rounding(experiment.model).check(found.effects[found.keep], faithfulness - removed)
    assert (found.effects[~found.keep] == 0).all()
    assert int(found.keep.sum()) <= found.ranked
    # An upper bound that holds: so many edges of the ranking do meet the goal.
    ranked = attribute(experiment).top([found.ranked])
    assert abs(1 - experiment.faithfulness(ranked)[0]) <= 1 - target

    edges = named(experiment.graph, found.keep)
    assert on_a_path(experiment.graph, edges) == edges


def test_the_whole_metric_can_be_asked_for(tiny_experiment: Experiment) -> None:
    found = search(tiny_experiment, 1.0)
    assert found.reached == pytest.approx(1, abs=1.001e-4)  # the search stops within 1e-4 of the whole metric
    removed = torch.tensor(tiny_experiment.faithfulness(without_each(found.keep)))
    assert ((1 - removed).abs() > 1e-4).all()


@pytest.mark.parametrize(("ablation", "metric"), [("counterfactual", "prob_diff"), ("zero", "kl")])
def test_any_metric_and_ablation_can_be_the_goal(tiny_experiment: Experiment, ablation: str, metric: str) -> None:
    pairs = tiny_experiment.encoded.pairs[:1]
    circuit = discover(tiny_experiment.model, pairs, faithfulness=0.8, ablation=ablation, metric=metric)
    assert (circuit.ablation, circuit.metric) == (ablation, metric)
    experiment = Experiment(tiny_experiment.model, pairs, ablation=ablation, metric=metric)
    (faithfulness,) = experiment.faithfulness(circuit.mask()[None])
    assert abs(1 - faithfulness) <= 0.2
    assert circuit.evaluation is not None
    assert circuit.evaluation.faithfulness == rounding(experiment.model).near(faithfulness)
    assert circuit.evaluation.circuit == rounding(experiment.model).near(
        float(experiment.values(circuit.mask()[None]).mean())
    )
    removed = torch.tensor(experiment.faithfulness(without_each(circuit.mask())))
    assert ((1 - removed).abs() > 0.2).all()


def test_searches_repeat_to_the_bit_and_count_every_circuit_they_run(tiny_experiment: Experiment) -> None:
    scores, reported = attribute(tiny_experiment), list[tuple[str, float, float | None]]()
    before = tiny_experiment.evaluations
    first = VerifiedSearch(tiny_experiment, scores, 0.7, report=lambda *told: reported.append(told)).run()
    used = tiny_experiment.evaluations - before
    counts = [step.evaluations for step in first.trace]
    assert counts == sorted(counts)
    assert counts[-1] <= used
    assert first.trace[0].stage == "ranking"
    assert {step.stage for step in first.trace} <= {"ranking", "re-ranking", "exact", "adding back"}
    assert all(abs(1 - step.reached) <= 0.3 for step in first.trace)
    assert reported[-1] == ("pruning", 1, 1)
    assert all(total is not None and done <= total for _, done, total in reported)

    second = VerifiedSearch(tiny_experiment, scores, 0.7).run()
    assert torch.equal(first.keep, second.keep)
    assert first.effects is not None
    assert second.effects is not None
    assert torch.equal(first.effects, second.effects)
    assert first.trace == second.trace


def test_edges_off_every_path_change_nothing(tiny_experiment: Experiment) -> None:
    experiment, graph = tiny_experiment, tiny_experiment.graph
    draw = torch.Generator().manual_seed(0)
    keep = torch.from_numpy(graph.valid) & (torch.rand(20, *graph.valid.shape, generator=draw) < 0.1)
    working = torch.stack([torch.from_numpy(graph.working_edges(circuit.numpy())) for circuit in keep])
    for circuit, kept in zip(keep, working, strict=True):
        assert named(graph, kept) == on_a_path(graph, named(graph, circuit))
    assert 0 < int(working.sum()) < int(keep.sum())
    rounding(experiment.model).check(experiment.logits(working), experiment.logits(keep))


@pytest.mark.parametrize("target", [0, -0.1, 1.01, float("nan")])
def test_a_goal_out_of_range_is_refused(tiny_experiment: Experiment, target: float) -> None:
    with pytest.raises(RequestError, match="faithfulness above 0 and at most 1"):
        discover(tiny_experiment.model, tiny_experiment.encoded.pairs, faithfulness=target)


@pytest.mark.real_weights
def test_the_official_language_of_france(france: Experiment, france_found: Discovery) -> None:
    """At most 15 of 70,651 edges, found in at most 1,000 evaluations, each of them necessary."""
    circuit: Circuit = france_found.circuit
    assert len(circuit) <= 15
    assert france_found.evaluations <= 1000
    assert 100 < france_found.ranked < 400
    keep = circuit.mask()
    logits = france.logits(keep[None])
    assert france.model.decode([int(logits[0, 0].argmax())]) == [" French"]
    (faithfulness,) = france.faithfulness(keep[None])
    assert 0.9 <= faithfulness <= 1.1
    assert circuit.evaluation is not None
    assert circuit.evaluation.faithfulness == rounding(france.model).near(faithfulness)
    removed = torch.tensor(france.faithfulness(without_each(keep)))
    assert ((1 - removed).abs() > 0.1).all()
    assert circuit.effects is not None
    # Alone or resumed from the circuit's own run: float32 rounds the two differently.
    rounding(france.model).check(torch.tensor(circuit.effects), faithfulness - removed)
    assert on_a_path(france.graph, set(circuit.edges)) == set(circuit.edges)
