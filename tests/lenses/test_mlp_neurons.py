"""MLPs straight to the logits, and what a few neurons of one keep alone."""

from __future__ import annotations

import pytest
import torch

from wheatstone import Experiment, RequestError
from wheatstone.discovery import node_scores
from wheatstone.lenses import mlps_to_logits, strongest_neurons


def test_rows_are_edges_ablated(tiny_experiment: Experiment) -> None:
    rows = mlps_to_logits(tiny_experiment)
    graph = tiny_experiment.graph
    assert {row.mlp for row in rows} == {"m0", "m1", "m2"}
    assert [abs(row.effect) for row in rows] == sorted((abs(row.effect) for row in rows), reverse=True)
    for row in rows:
        keep = torch.from_numpy(graph.valid).clone()
        keep[graph.edge(row.mlp, "logits")] = False
        lost = (tiny_experiment.clean - tiny_experiment.values(keep[None])[0]).mean()
        assert row.effect == pytest.approx(float(lost), abs=1e-9)


def test_all_neurons_keep_everything(tiny_experiment: Experiment) -> None:
    count = tiny_experiment.model.blocks[2].neurons
    rows, kept = strongest_neurons(tiny_experiment, 2, count=count, draws=1)
    exact = node_scores(tiny_experiment, method="exact").values
    whole = float(exact[tiny_experiment.graph.node_index["m2"]].mean())
    assert kept.mlp == pytest.approx(whole, abs=1e-9)
    assert (kept.kept, kept.random, kept.task_lost_with_others) == pytest.approx((1, 1, 0), abs=1e-9)
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
    assert row.effect == pytest.approx(alone, abs=1e-9)
    keep = torch.from_numpy(experiment.graph.valid).clone()
    others = [experiment.graph.node_index[name] for name in nodes if name != row.neuron]
    keep[:, others] = False
    lost = (tiny_experiment.clean - experiment.values(keep[None])[0]).mean()
    assert kept.kept == pytest.approx(1 - float(lost) / kept.mlp, abs=1e-8)
    assert kept.random_low <= kept.random <= kept.random_high


def test_more_neurons_than_there_are(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="1 to 24 neurons"):
        strongest_neurons(tiny_experiment, 0, count=25)
