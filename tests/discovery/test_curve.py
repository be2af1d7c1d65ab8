"""Faithfulness by size."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import Experiment
from wheatstone.circuits import random_circuits
from wheatstone.discovery._curve import default_sizes, size_curve
from wheatstone.discovery._scores import attribute
from wheatstone.models import Graph
from wheatstone.tasks import METRICS, hits


def test_sizes_by_hand() -> None:
    assert default_sizes(1) == (1,)
    assert default_sizes(50) == (1, 2, 5, 10, 20, 50)
    assert default_sizes(70651)[-4:] == (10000, 20000, 50000, 70651)


def test_the_curve_ends_at_the_model_and_every_point_is_an_exact_run(tiny_experiment: Experiment) -> None:
    experiment, scores = tiny_experiment, attribute(tiny_experiment)
    points = size_curve(experiment, scores, draws=2)
    ranking = [point for point in points if point.kind == "ranking"]
    assert [point.size for point in ranking] == list(default_sizes(experiment.graph.edges))
    assert ranking[-1].faithfulness == rounding(experiment.model).near(1)
    assert ranking[-1].kl == rounding(experiment.model).near(0)
    whole = torch.from_numpy(experiment.graph.valid)
    for point in (point for point in points if point.kind == "complement"):
        (value,) = experiment.faithfulness(whole & ~scores.top([point.size]))
        assert point.faithfulness == rounding(experiment.model).near(value)
    for point in ranking:
        logits = experiment.logits(scores.top([point.size]))
        assert point.faithfulness == rounding(experiment.model).near(
            experiment.faithfulness(scores.top([point.size]))[0]
        )
        assert point.kl == rounding(experiment.model).near(float(METRICS["kl"](logits, experiment.targets).mean()))
        assert point.hit_at_1 == pytest.approx(float(hits(logits, experiment.encoded, 1).mean()))


def test_the_random_baseline_is_seeded(tiny_experiment: Experiment) -> None:
    scores = attribute(tiny_experiment)

    def baseline(seed: int) -> list[tuple[int, int, float]]:
        points = size_curve(tiny_experiment, scores, sizes=[30, 60, tiny_experiment.graph.edges], seed=seed)
        return [(point.size, point.draw, point.faithfulness) for point in points if point.kind == "random"]

    first = baseline(1)
    assert [row[:2] for row in first] == [(size, draw) for draw in range(3) for size in (30, 60)]
    assert first == baseline(1)
    assert first != baseline(2)
    assert len({value for *_, value in first}) > 1


def test_random_circuits_are_of_one_size_inside_the_graph_and_drawn_evenly() -> None:
    graph = Graph(2, 2, 1)
    valid = torch.from_numpy(graph.valid)
    keep = random_circuits(graph, 5, 1000, seed=3)
    assert (keep.sum((1, 2)) == 5).all()
    assert not (keep & ~valid).any()
    assert torch.equal(keep, random_circuits(graph, 5, 1000, seed=3))
    expected = 1000 * 5 / graph.edges
    assert ((keep.sum(0)[valid] - expected).abs() < 5 * expected**0.5).all()
    assert torch.equal(random_circuits(graph, graph.edges, 1, seed=0)[0], valid)
