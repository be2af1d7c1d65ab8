"""Scores prompt by prompt, and what recurs in a matrix in which the truth was planted."""

from __future__ import annotations

import pytest
import torch
from tolerance import rounding

from wheatstone import Experiment, RequestError
from wheatstone.discovery import BY_PROMPT, attribute, recurrence, scores_by_prompt
from wheatstone.discovery._recurrence import jaccard


@pytest.mark.parametrize("method", BY_PROMPT)
def test_the_mean_over_prompts_is_the_method_s_own_score(tiny_experiment: Experiment, method: str) -> None:
    by_prompt = scores_by_prompt(tiny_experiment, method=method)
    assert by_prompt.values.shape == (3, tiny_experiment.graph.edges)
    whole = attribute(tiny_experiment, method=method).values
    near = rounding(tiny_experiment.model, passes=3)
    near.check(by_prompt.mean().values, whole.to(by_prompt.values.dtype))
    alone = attribute(tiny_experiment.on(tiny_experiment.encoded.pairs[1:2]), method=method).values
    near.check(by_prompt.spread(by_prompt.values[1]), alone.to(by_prompt.values.dtype))


def test_other_methods_have_no_scores_of_single_prompts(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match="a method out of eap-ig, eap, exact"):
        scores_by_prompt(tiny_experiment, method="relp")


def test_planted_edges_recur_and_a_coin_does_not() -> None:
    """Edge 0 and 1 are strong on every prompt; edges 2 and 3 are equal, so that prompts decide which comes third;
    the others are noise."""
    draw = torch.Generator().manual_seed(0)
    scores = 0.01 * torch.randn(40, 20, generator=draw)
    scores[:, 0] += 1
    scores[:, 1] -= 1
    scores[:, 2:4] += 0.5 + 0.5 * torch.randn(40, 2, generator=draw)
    found = recurrence(scores, 3, samples=200, seed=1)
    assert found.inclusion[:2].tolist() == [1, 1]
    assert found.inclusion[2] + found.inclusion[3] == pytest.approx(1)
    assert found.inclusion[4:].max() == 0
    assert found.decided_in.nonzero().flatten().tolist()[:2] == [0, 1]
    assert bool(found.decided_out[4:].all())
    assert found.sign[:2].tolist() == [1, 1]
    assert found.inclusion.sum() == pytest.approx(3)


def test_inclusion_by_hand() -> None:
    """Two prompts that disagree: a sample keeps edge 0 unless it drew the second prompt twice, one in four."""
    scores = torch.tensor([[3.0, 1.0], [0.0, 1.0]])
    found = recurrence(scores, 1, samples=4000, seed=0)
    assert float(found.inclusion[0]) == pytest.approx(0.75, abs=3 * (0.75 * 0.25 / 4000) ** 0.5)
    assert found.sign.tolist() == [0.5, 1.0]
    # Two samples agree with probability 0.75² + 0.25²; the overlap of different circuits of one edge is 0.
    assert found.overlap == pytest.approx(0.625, abs=0.03)
    assert found.overlap_nodes == pytest.approx(found.overlap)  # each edge its own sender
    assert recurrence(scores, 1, senders=torch.tensor([3, 3]), seed=0).overlap_nodes == 1
    assert found.half_edges == ()
    assert found.expected_by_chance == pytest.approx(1 / (0.8 * 2))


def test_halves_of_prompts_that_agree_share_everything() -> None:
    scores = torch.tensor([5.0, 4.0, 0.1, 0.0]).repeat(8, 1)
    found = recurrence(scores, 2, senders=torch.tensor([0, 0, 1, 2]), samples=10)
    assert set(found.half_edges) == set(found.half_nodes) == {1.0}
    assert len(found.half_edges) == 10


def test_an_edge_without_a_score_is_never_in() -> None:
    """Three edges are asked for and one has a score: the others would come in by their place in the table alone."""
    scores = torch.zeros(8, 6)
    scores[:, 4] = 1
    found = recurrence(scores, 3, samples=10)
    assert found.inclusion.tolist() == [0, 0, 0, 0, 1, 0]
    nothing = recurrence(torch.zeros(8, 6), 3, samples=10)
    assert not nothing.decided_in.any()
    assert (nothing.overlap, set(nothing.half_edges)) == (0, {0})


def test_overlap_of_sets_by_hand() -> None:
    ours, theirs = torch.tensor([True, True, False]), torch.tensor([False, True, True])
    assert jaccard(ours, theirs) == pytest.approx(1 / 3)
    assert jaccard(torch.zeros(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)) == 0


def test_one_prompt_has_no_samples() -> None:
    with pytest.raises(RequestError, match="at least 2 prompts"):
        recurrence(torch.zeros(1, 4), 2)
