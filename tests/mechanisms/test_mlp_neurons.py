"""MLPs straight to the logits, and what a few neurons of one keep alone."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import Experiment, RequestError
from wheatstone.discovery import node_scores
from wheatstone.mechanisms import mlps_to_logits, strongest_neurons


def test_rows_are_edges_ablated(tiny_experiment: Experiment) -> None:
    rows = mlps_to_logits(tiny_experiment)
    graph = tiny_experiment.graph
    assert {row.mlp for row in rows} == {"m0", "m1", "m2"}
    assert [abs(row.effect) for row in rows] == sorted((abs(row.effect) for row in rows), reverse=True)
    for row in rows:
        keep = torch.from_numpy(graph.valid).clone()
        keep[graph.edge(row.mlp, "logits")] = False
        lost = (tiny_experiment.clean - tiny_experiment.values(keep[None])[0]).mean()
        assert row.effect == rounding(tiny_experiment.model).near(float(lost))


def test_all_neurons_keep_everything(tiny_experiment: Experiment) -> None:
    count = tiny_experiment.model.blocks[2].neurons
    rows, kept = strongest_neurons(tiny_experiment, 2, count=count, draws=1)
    exact = node_scores(tiny_experiment, method="exact").values
    whole = float(exact[tiny_experiment.graph.node_index["m2"]].mean())
    assert kept.mlp == rounding(tiny_experiment.model).near(whole)
    assert (kept.kept, kept.random, kept.task_lost_with_others) == rounding(tiny_experiment.model).near((1, 1, 0))
    assert len(rows) == count
    assert [abs(row.effect) for row in rows] == sorted((abs(row.effect) for row in rows), reverse=True)


def test_one_neuron_alone_is_the_mlp_with_all_others_replaced(tiny_experiment: Experiment) -> None:
    model, encoded = tiny_experiment.model, tiny_experiment.encoded
    (row,), kept = strongest_neurons(tiny_experiment, 1, count=1, draws=4)
    split = model.split({1: "neurons"})
    experiment = Experiment(split, encoded.pairs)
    nodes = [name for name in experiment.graph.nodes if name.startswith("m1.")]
    exact = node_scores(experiment, method="exact").values
    alone = float(exact[experiment.graph.node_index[row.neuron]].mean())
    assert row.effect == rounding(model).near(alone)
    keep = torch.from_numpy(experiment.graph.valid).clone()
    others = [experiment.graph.node_index[name] for name in nodes if name != row.neuron]
    keep[:, others] = False
    lost = (tiny_experiment.clean - experiment.values(keep[None])[0]).mean()
    assert kept.kept == rounding(model).near(1 - float(lost) / kept.mlp)
    assert kept.random_low <= kept.random <= kept.random_high


def test_more_neurons_than_there_are(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="1 to 24 neurons"):
        strongest_neurons(tiny_experiment, 0, count=25)


def test_neurons_are_chosen_on_some_prompts_and_measured_on_others(tiny_experiment: Experiment) -> None:
    """With one half all is the other's own; what the first half gives is kept apart."""
    pairs = tiny_experiment.encoded.pairs
    chosen, others = (tiny_experiment.on(part) for part in (pairs[:2], pairs[2:]))
    rows, kept = strongest_neurons(chosen, 1, held_out=others, count=3, draws=2)
    trained, flattered = strongest_neurons(chosen, 1, count=3, draws=2)
    assert [row.neuron for row in rows] == [row.neuron for row in trained]
    assert (kept.n, kept.chosen_on, kept.held_out) == (1, 2, True)
    assert (flattered.n, flattered.held_out, flattered.chosen_kept) == (2, False, flattered.kept)
    assert kept.chosen_kept == pytest.approx(flattered.kept, abs=1e-9)
    split = others.model.split({1: "neurons"})
    experiment = Experiment(split, pairs[2:])
    keep = torch.from_numpy(experiment.graph.valid).clone()
    for name in (row.neuron for row in rows):
        place = experiment.graph.node_index[name]
        alone = keep.clone()
        alone[:, place] = False
        lost = float((others.clean - experiment.values(alone[None])[0]).mean())
        assert next(row.effect for row in rows if row.neuron == name) == pytest.approx(lost, abs=1e-9)
    names = {row.neuron for row in rows}
    keep[:, [experiment.graph.node_index[n] for n in experiment.graph.nodes if n[:3] == "m1." and n not in names]] = 0
    lost = float((others.clean - experiment.values(keep[None])[0]).mean())
    assert kept.kept == pytest.approx(1 - lost / kept.mlp, abs=1e-8)
