"""The same threads and memory budget give the same bytes; others, the same edges and the same numbers to rounding."""

from __future__ import annotations

from collections.abc import Generator
from itertools import product

import pytest
import torch
from prompts import FRANCE
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone.circuits import Circuit, Experiment
from wheatstone.discovery import DiscoverySettings, discover_in
from wheatstone.models import ResidualModel


@pytest.fixture(autouse=True)
def own_threads() -> Generator[None]:
    """The number of threads is as before when the test ends."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def found(experiment: Experiment, threads: int, target: float) -> Circuit:
    torch.set_num_threads(threads)
    return discover_in(experiment, DiscoverySettings(target), curve=False).circuit


def assert_same_up_to_rounding(one: Circuit, other: Circuit, experiment: Experiment) -> None:
    """The same edges; scores as gradients of the metric, effects as shares of the gap between the two prompts."""
    exact, logits = rounding(experiment.model, passes=3), float(experiment.clean_logits.abs().max())
    gap = float((experiment.clean.mean() - experiment.corrupt.mean()).abs())
    assert one.edges == other.edges
    assert one.scores == exact.near(other.scores, magnitude=logits)
    assert one.effects == exact.near(other.effects, magnitude=logits / gap)
    assert one.evaluation is not None
    assert other.evaluation is not None
    assert vars(one.evaluation) == exact.near(vars(other.evaluation), magnitude=logits)


def test_threads_and_memory_change_last_digits_at_most() -> None:
    model = make_tiny("llama", torch.float32, layers=2)
    prompts = [("w5 w2 w3", "w15 w2 w3"), ("w6 w2", "w16 w2")]
    pairs = explainable_pairs(model, prompts)
    circuits: dict[tuple[int, int], Circuit] = {}
    for threads, memory in product((1, 2), (1 << 30, 1)):
        experiment = Experiment(model, pairs, memory=memory)
        circuits[threads, memory] = found(experiment, threads, 0.8)
        assert_same_up_to_rounding(circuits[threads, memory], circuits[1, 1 << 30], experiment)
    again = found(Experiment(model, pairs, memory=1), 2, 0.8)
    assert again.to_json() == circuits[2, 1].to_json()


@pytest.mark.real_weights
def test_the_official_language_of_france_on_one_and_two_threads(smollm2: ResidualModel) -> None:
    one, two = (found(Experiment(smollm2, [FRANCE], memory=1 << 30), threads, 0.9) for threads in (1, 2))
    assert_same_up_to_rounding(two, one, Experiment(smollm2, [FRANCE]))
