"""Verification: each row against what it stands for, intervals against their definition."""

from __future__ import annotations

import json

import pytest
import torch
from tolerance import rounding

from wheatstone import Circuit, CircuitError, Edge, Experiment, Verification, verify
from wheatstone.circuits import ModelInfo, random_circuits
from wheatstone.cli._tables import second_path_note
from wheatstone.discovery._scores import attribute
from wheatstone.tasks import METRICS, hits
from wheatstone.verification import CONDITIONS, verify_in

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


def test_a_completeness_near_1_is_printed_with_what_it_does_not_say(tiny_experiment: Experiment) -> None:
    whole = torch.from_numpy(tiny_experiment.graph.valid)
    all_edges, none = (verify_in(tiny_experiment, keep, draws=1) for keep in (whole, torch.zeros_like(whole)))
    (note,) = second_path_note([none, all_edges])
    assert "does not rule out a second path" in note
    assert list(second_path_note([none])) == []


def test_whole_and_empty_circuits(tiny_experiment: Experiment) -> None:
    whole = torch.from_numpy(tiny_experiment.graph.valid)
    full = verify_in(tiny_experiment, whole, draws=1)
    assert (full.faithfulness, full.completeness) == rounding(tiny_experiment.model).near((1, 1))
    none = verify_in(tiny_experiment, torch.zeros_like(whole), draws=1)
    assert (none.faithfulness, none.completeness) == rounding(tiny_experiment.model).near((0, 0))


def test_draws_and_intervals_are_seeded(tiny_experiment: Experiment) -> None:
    keep = attribute(tiny_experiment).top([80])[0]
    first, again, other = (verify_in(tiny_experiment, keep, draws=3, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.metric_value["random"] != other.metric_value["random"]
    assert row(first, "circuit") == row(other, "circuit")


def test_several_prompts_give_intervals_around_the_mean(tiny_several: Experiment) -> None:
    keep = attribute(tiny_several).top([60])[0]
    several = verify_in(tiny_several, keep, draws=2)
    for measure in MEASURES:
        for condition in CONDITIONS:
            ends = several.ci95[measure][condition]
            if (measure, condition) == ("kl", "model"):
                assert ends is None  # of the model to itself: always 0
                continue
            low, high = ends
            assert low < high
            assert low <= getattr(several, measure)[condition] <= high
            assert measure not in ("hit_at_1", "hit_at_10") or 0 <= low < high <= 1
    for measure in ("faithfulness", "completeness"):
        low, high = several.ci95[measure]
        assert low < getattr(several, measure) < high
    json.dumps(several.to_dict(), allow_nan=False)


def test_the_whole_model_has_no_interval_of_faithfulness(tiny_several: Experiment) -> None:
    """It is 1 on every prompt by definition: the prompts say nothing of how it varies."""
    full = verify_in(tiny_several, torch.from_numpy(tiny_several.graph.valid), draws=1)
    assert full.ci95["faithfulness"] is None
    low, high = full.ci95["hit_at_1"]["circuit"]
    assert [low, high] == full.ci95["hit_at_1"]["model"]
    assert 0 <= low < high <= 1


@pytest.mark.parametrize("n", [1, 3])
def test_few_prompts_give_no_interval(tiny_experiment: Experiment, n: int) -> None:
    keep = attribute(tiny_experiment).top([60])[0]
    one = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs[:n])
    single = verify_in(one, keep, draws=2)
    assert single.n == n
    assert single.ci95["faithfulness"] is single.ci95["completeness"] is None
    assert {value for measure in MEASURES for value in single.ci95[measure].values()} == {None}
    json.dumps(single.to_dict(), allow_nan=False)


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
