"""Learned masks: they find a planted path, a seed gives the same mask, and the schedule holds."""

from __future__ import annotations

import pytest
import torch
from planted import planted_pair
from tolerance import rounding

from wheatstone import Experiment, RequestError
from wheatstone.discovery import attribute, learn_mask
from wheatstone.discovery._learned import _SHIFT, _loss, _opened, _turns, short_of_rank


@pytest.fixture
def planted() -> Experiment:
    model, pair = planted_pair()
    return Experiment(model, [pair], metric="kl")


@pytest.mark.parametrize("loss", ["kl", "metric"])
def test_it_finds_the_only_path(planted: Experiment, loss: str) -> None:
    learned = learn_mask(planted, edges=2, steps=100, loss=loss)
    graph = planted.graph
    expected = torch.zeros_like(learned.keep)
    for edge in (("input", "a1.g1<v>"), ("a1.h2", "logits")):
        expected[graph.edge(*edge)] = True
    assert planted.faithfulness(expected[None]) == rounding(planted.model).near([1.0])
    assert learned.keep.equal(expected)


def test_a_seed_gives_the_same_mask_and_another_seed_another(tiny_experiment: Experiment) -> None:
    first, again, other = (learn_mask(tiny_experiment, edges=30, steps=5, seed=seed) for seed in (1, 1, 2))
    assert first.log_alpha.equal(again.log_alpha)
    assert first.steps == again.steps
    assert not first.log_alpha.equal(other.log_alpha)


def test_the_expected_size_goes_down_to_the_target(tiny_experiment: Experiment) -> None:
    graph = tiny_experiment.graph
    said: list[float] = []
    learned = learn_mask(
        tiny_experiment, edges=40, steps=20, report=lambda _stage, done, _total: said.append(float(done))
    )
    sizes = [step.expected for step in learned.steps]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < graph.edges
    assert sizes[-4:] == pytest.approx([40.0] * 4)
    assert int(learned.keep.sum()) == 40
    assert said == [float(step) for step in range(21)]


def test_from_scores_it_begins_ahead_and_learns_from_every_prompt(tiny_experiment: Experiment) -> None:
    scores = attribute(tiny_experiment).values
    learned = learn_mask(tiny_experiment, edges=20, steps=10, batch=1, scores=scores)
    assert learned.steps[0].expected < 80
    assert learned.steps[-1].expected == pytest.approx(20)
    still = learn_mask(tiny_experiment, edges=20, steps=1, scores=scores, learning_rate=1e-9)
    assert still.keep.equal(attribute(tiny_experiment).top([20])[0])


def test_every_prompt_has_its_turn() -> None:
    turns = _turns(5, 2, torch.Generator().manual_seed(0))
    seen = torch.cat([next(turns) for _ in range(5)])
    assert seen.bincount().tolist() == [2] * 5
    assert [next(_turns(3, most, torch.Generator())).tolist() for most in (None, 3, 9)] == [[0, 1, 2]] * 3


def test_how_far_an_answer_is_from_the_first_ten() -> None:
    logits = torch.arange(30.0).repeat(3, 1)
    answers = torch.tensor([[25, -1], [3, 19], [19, 29]])
    assert short_of_rank(logits, answers).tolist() == [0, 2, 0]  # the tenth other: 19, 20 and 18
    assert short_of_rank(logits, torch.tensor([[20], [2], [0]])).tolist() == [0, 19, 21]
    logits.requires_grad_()
    (slope,) = torch.autograd.grad(short_of_rank(logits, torch.tensor([[29], [2], [29]])).sum(), logits)
    assert slope.nonzero().tolist() == [[1, 2], [1, 20]]


def test_a_step_of_some_prompts_is_the_mean_over_them(tiny_experiment: Experiment) -> None:
    gates = torch.rand(tiny_experiment.graph.valid.shape, generator=torch.Generator().manual_seed(0))
    gates = gates * torch.from_numpy(tiny_experiment.graph.valid)
    prompts = torch.arange(tiny_experiment.encoded.clean.batch)
    assert len(prompts) > 1
    for loss in ("kl", "metric", "hit"):
        value, slope = _loss(tiny_experiment, gates, loss, prompts)
        each = [_loss(tiny_experiment, gates, loss, one) for one in prompts.split(1)]
        assert value == pytest.approx(sum(one for one, _ in each) / len(each))
        rounding(tiny_experiment.model, passes=3).check(slope, torch.stack([one for _, one in each]).mean(0))


def test_gates_are_moved_by_one_number_to_the_expected_size() -> None:
    log_alpha = torch.tensor([[-3.0, 0.0, 50.0], [1.0, 2.0, 9.0]], dtype=torch.float64)
    valid = torch.tensor([[True, True, True], [True, True, False]])
    moved = _opened(log_alpha, valid, 1.5)
    assert float((moved[valid] + _SHIFT).sigmoid().sum()) == pytest.approx(1.5)
    assert (moved - log_alpha).unique().numel() <= 3  # one number, to rounding
    torch.testing.assert_close(moved - log_alpha, (moved - log_alpha)[0, 0].expand(2, 3))


def test_a_learned_circuit_beats_eap_at_its_size(tiny_experiment: Experiment) -> None:
    """On the loss that it was trained for; a random model has no small circuit, so the size is a third."""
    experiment = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs, metric="kl")
    edges = experiment.graph.edges // 3
    learned = learn_mask(experiment, edges=edges, steps=60)
    ranked = attribute(experiment, method="eap-ig").top([edges])[0]
    ours, theirs = experiment.values(torch.stack([learned.keep, ranked])).mean(-1).tolist()
    assert ours < theirs


def test_as_scores_all_are_positive_and_rank_as_the_mask_does(tiny_experiment: Experiment) -> None:
    scores = attribute(tiny_experiment, method="edge-pruning", steps=4, seed=3)
    valid = torch.from_numpy(tiny_experiment.graph.valid)
    assert (scores.values[valid] > 0).all()
    learned = learn_mask(tiny_experiment, steps=4, seed=3)
    size = int(learned.keep.sum())
    assert scores.top([size])[0].equal(learned.keep)


def test_requests_that_are_refused(tiny_experiment: Experiment) -> None:
    with pytest.raises(RequestError, match=r"from 1 to \d+ edges; got 0"):
        learn_mask(tiny_experiment, edges=0)
    with pytest.raises(RequestError, match="got 0 steps"):
        learn_mask(tiny_experiment, steps=0)
    with pytest.raises(RequestError, match="a loss out of kl, metric, hit; got 'l2'"):
        learn_mask(tiny_experiment, loss="l2")
    with pytest.raises(RequestError, match="one prompt a step"):
        learn_mask(tiny_experiment, batch=0)
