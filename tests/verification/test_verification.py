"""Verification: each row against what it stands for, intervals against their definition."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tolerance import rounding

from wheatstone import Circuit, CircuitError, Edge, Experiment, Verification, verify
from wheatstone.circuits import ModelInfo, random_circuits
from wheatstone.discovery._scores import attribute
from wheatstone.tasks import METRICS, hits
from wheatstone.verification import CONDITIONS, verify_in
from wheatstone.verification._interval import mean_interval, ratio_interval

MEASURES = ("metric_value", "kl", "hit_at_1", "hit_at_10")


def measured(experiment: Experiment, keep: torch.Tensor) -> list[float]:
    """The four measures, averaged over prompts and draws."""
    logits = experiment.logits(keep)
    columns = (
        experiment.values_of(logits),
        METRICS["kl"](logits, experiment.targets),
        hits(logits, experiment.encoded, 1),
        hits(logits, experiment.encoded, 10),
    )
    return [float(column.mean()) for column in columns]


def row(found: Verification, condition: str) -> list[float]:
    return [getattr(found, measure)[condition] for measure in MEASURES]


def test_each_condition_is_what_it_is_called(tiny_experiment: Experiment) -> None:
    experiment = tiny_experiment
    whole = torch.from_numpy(experiment.graph.valid)
    keep = attribute(experiment).top([40])[0]
    found = verify_in(experiment, keep, draws=5, seed=3)
    empty = torch.zeros_like(whole)
    expected = {
        "model": whole[None],
        "circuit": keep[None],
        "complement": (whole & ~keep)[None],
        "random": random_circuits(experiment.graph, 40, 5, 3),
        "empty": empty[None],
    }
    assert tuple(expected) == CONDITIONS
    for condition, circuits in expected.items():
        assert row(found, condition) == rounding(experiment.model).near(measured(experiment, circuits))
    assert found.metric_value["model"] == pytest.approx(float(experiment.clean.mean()))
    assert found.metric_value["empty"] == pytest.approx(float(experiment.corrupt.mean()))
    assert found.kl["model"] == rounding(experiment.model).near(0)
    circuit, complement = experiment.faithfulness(torch.stack([keep, whole & ~keep]))
    assert found.faithfulness == pytest.approx(circuit)
    assert found.completeness == pytest.approx(1 - complement)
    assert (found.n, found.random_draws, found.metric) == (3, 5, "logit_diff")


def test_whole_and_empty_circuits(tiny_experiment: Experiment) -> None:
    whole = torch.from_numpy(tiny_experiment.graph.valid)
    full = verify_in(tiny_experiment, whole, draws=1)
    assert (full.faithfulness, full.completeness) == rounding(tiny_experiment.model).near((1, 1))
    assert full.ci95["faithfulness"] == rounding(tiny_experiment.model).near([1, 1])
    none = verify_in(tiny_experiment, torch.zeros_like(whole), draws=1)
    assert (none.faithfulness, none.completeness) == rounding(tiny_experiment.model).near((0, 0))


def test_draws_and_intervals_are_seeded(tiny_experiment: Experiment) -> None:
    keep = attribute(tiny_experiment).top([80])[0]
    first, again, other = (verify_in(tiny_experiment, keep, draws=3, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.metric_value["random"] != other.metric_value["random"]
    assert row(first, "circuit") == row(other, "circuit")


def test_one_prompt_gives_no_interval_and_several_one_around_the_mean(tiny_experiment: Experiment) -> None:
    keep = attribute(tiny_experiment).top([60])[0]
    several = verify_in(tiny_experiment, keep, draws=2)
    for measure in MEASURES:
        for condition in CONDITIONS:
            low, high = several.ci95[measure][condition]
            assert low - 1e-12 <= getattr(several, measure)[condition] <= high + 1e-12
    for measure in ("faithfulness", "completeness"):
        low, high = several.ci95[measure]
        assert low <= getattr(several, measure) <= high

    one = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs[:1])
    single = verify_in(one, keep, draws=2)
    assert single.n == 1
    assert single.ci95["faithfulness"] is single.ci95["completeness"] is None
    assert {value for measure in MEASURES for value in single.ci95[measure].values()} == {None}
    json.dumps(single.to_dict(), allow_nan=False)


def test_the_interval_of_a_mean_is_that_of_its_bootstrap() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, size=(1, 400))
    interval = mean_interval(values, seed=0)
    assert interval is not None
    expected = 1.96 * values.std() / 20
    assert interval == pytest.approx([values.mean() - expected, values.mean() + expected], abs=0.1 * expected)
    assert mean_interval(values, seed=0) == interval
    assert mean_interval(np.ones((3, 5)), seed=0) == [1.0, 1.0]
    # Draws of one prompt are one observation.
    assert mean_interval(np.array([[0.0, 2.0], [2.0, 0.0]]), seed=0) == [1.0, 1.0]


def test_the_interval_of_a_ratio_resamples_prompts_as_a_whole() -> None:
    clean, corrupt = np.array([1.0, 10.0, 100.0]), np.array([0.0, -10.0, 0.0])
    assert ratio_interval(corrupt + 0.5 * (clean - corrupt), clean, corrupt, seed=0) == pytest.approx([0.5, 0.5])


def test_prompts_one_by_one(tiny_experiment: Experiment) -> None:
    experiment = tiny_experiment
    keep = attribute(experiment).top([40])[0]
    found = verify_in(experiment, keep, draws=2)
    probabilities = experiment.logits(keep[None])[0].softmax(-1)
    for prompt, pair, reading in zip(found.prompts, experiment.encoded.pairs, probabilities, strict=True):
        assert (prompt.prompt, prompt.answer) == (pair.prompt, pair.answers[0])
        token = experiment.model.continuation(pair.answers[0])[0]
        assert prompt.circuit.probability == pytest.approx(float(reading[token]))
        assert prompt.circuit.rank == 1 + int((reading > reading[token]).sum())
        assert experiment.model.continuation(" " + prompt.circuit.top.strip())[0] == int(reading.argmax())
        assert prompt.model.rank <= 40


def test_a_circuit_is_scored_under_its_own_ablation_and_metric(tiny_experiment: Experiment) -> None:
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs[:1]
    edge = Edge("input", "logits")
    circuit = Circuit(ModelInfo.of(model), (edge,), ablation="zero", metric="kl")
    found = verify(model, circuit, pairs, draws=2, split="test")
    experiment = Experiment(model, pairs, ablation="zero", metric="kl")
    assert (found.ablation, found.metric, found.split) == ("zero", "kl", "test")
    assert found.faithfulness == pytest.approx(experiment.faithfulness(circuit.mask()[None])[0])


def test_a_circuit_of_another_model_is_refused(tiny_experiment: Experiment) -> None:
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs
    circuit = Circuit(ModelInfo.of(model), (Edge("a9.h9", "logits"),))
    with pytest.raises(CircuitError, match=r"'a9\.h9' in the edge a9\.h9 -> logits"):
        verify(model, circuit, pairs)
