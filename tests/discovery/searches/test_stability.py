"""What recurs when the prompts are drawn again."""

from __future__ import annotations

import pytest
import torch

from wheatstone import Experiment, RequestError
from wheatstone.discovery import DiscoverySettings, discover_in, stability


def test_a_circuit_that_never_changes_is_perfectly_stable(tiny_experiment: Experiment) -> None:
    keep = torch.from_numpy(tiny_experiment.graph.valid)
    found = stability(tiny_experiment, lambda _: keep, samples=4)
    assert (found.samples, found.prompts, found.edges, found.nodes) == (4, 3, 1.0, 1.0)
    assert found.sizes == (tiny_experiment.graph.edges,) * 4
    assert torch.equal(found.frequency.bool(), keep)


def test_overlap_is_the_mean_jaccard_of_pairs(tiny_experiment: Experiment) -> None:
    circuits = torch.zeros(3, *tiny_experiment.graph.valid.shape, dtype=torch.bool)
    circuits[0, 1, 0] = circuits[0, 2, 0] = circuits[1, 1, 0] = circuits[2, 0, 0] = True
    drawn = iter(circuits)
    found = stability(tiny_experiment, lambda _: next(drawn), samples=3)
    assert found.edges == pytest.approx((0.5 + 0 + 0) / 3)
    assert found.nodes == 1.0
    assert float(found.frequency[1, 0]) == pytest.approx(2 / 3)


def test_samples_are_drawn_from_the_prompts_by_seed(tiny_experiment: Experiment) -> None:
    def drawn(seed: int) -> list[tuple[str, ...]]:
        seen: list[tuple[str, ...]] = []

        def find(sample: Experiment) -> torch.Tensor:
            seen.append(tuple(pair.prompt for pair in sample.encoded.pairs))
            return torch.from_numpy(sample.graph.valid)

        stability(tiny_experiment, find, samples=6, seed=seed)
        return seen

    first = drawn(0)
    assert first == drawn(0) != drawn(1)
    assert {len(prompts) for prompts in first} == {3}
    assert any(len(set(prompts)) < 3 for prompts in first)


def test_what_recurs_meets_the_goal(tiny_experiment: Experiment) -> None:
    found = discover_in(tiny_experiment, DiscoverySettings(faithfulness=0.8, stable=3), curve=False)
    assert found.stability is not None
    evaluation = found.circuit.evaluation
    assert evaluation is not None
    assert abs(1 - evaluation.faithfulness) <= 0.2
    kept = found.stability.frequency[found.circuit.mask()]
    left = found.stability.frequency[~found.circuit.mask()]
    assert float(kept.min()) >= float(left.max())
    assert found.circuit.effects is None


def test_one_prompt_gives_no_samples(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="at least 2 prompts"):
        stability(tiny_experiment.on(tiny_experiment.encoded.pairs[:1]), lambda _: torch.zeros(1), samples=4)
