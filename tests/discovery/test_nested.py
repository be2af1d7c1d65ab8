"""Nested masks: they find a planted path at every size, learn from every counterfactual, and a seed fixes them."""

from __future__ import annotations

from random import Random

import pytest
import torch
from planted import planted_pair
from tolerance import rounding

from wheatstone import Experiment, PromptPair, RequestError, ResidualModel
from wheatstone.discovery import attribute, learn_ranking
from wheatstone.discovery._nested import _measured, _Runs, _turns, size_thresholds
from wheatstone.models import Tokens


def test_the_only_path_comes_first_whatever_the_start() -> None:
    model, pair = planted_pair()
    graph = model.graph
    draw = torch.rand(graph.valid.shape, generator=torch.Generator().manual_seed(3))
    learned = learn_ranking(model, [pair], scores=draw, edges=20, steps=60)
    path = torch.zeros(graph.valid.shape, dtype=torch.bool)
    for edge in (("input", "a1.g1<v>"), ("a1.h2", "logits")):
        path[graph.edge(*edge)] = True
    assert (draw[path] < draw[torch.from_numpy(graph.valid)].topk(20).values[-1]).any()  # not where it started
    first = learned.ranking().flatten().topk(2).indices
    assert set(first.tolist()) == set(path.flatten().nonzero().flatten().tolist())


def test_a_seed_gives_the_same_ranking_whatever_the_memory(tiny_experiment: Experiment) -> None:
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs
    scores = attribute(tiny_experiment).values
    first, again, little, other = (
        learn_ranking(model, pairs, scores=scores, edges=30, steps=4, batch=2, seed=seed, memory=memory)
        for seed, memory in ((1, None), (1, None), (1, 1), (2, None))
    )
    assert first.log_alpha.equal(again.log_alpha)
    assert first.steps == again.steps
    assert not first.log_alpha.equal(other.log_alpha)
    assert little.keep.equal(first.keep)
    assert int(first.keep.sum()) == 30
    assert (first.ranking() > 0).equal(torch.from_numpy(model.graph.valid))


def test_every_prompt_has_its_turn_with_each_of_its_counterfactuals() -> None:
    pairs = [
        PromptPair(prompt=prompt, counterfactual=other, answers=(" yes",))
        for prompt in ("a", "b", "c")
        for other in ("d", "e")
    ]
    turns = _turns(pairs, 2, Random(0))
    seen = [pair for _ in range(60) for pair in next(turns)]
    assert {pair.prompt for pair in seen[:3]} == {"a", "b", "c"}
    assert all(len({pair.prompt for pair in seen[i : i + 3]}) == 3 for i in range(0, 120, 3))
    assert len(set(seen)) == 6


def test_each_prompt_keeps_as_many_edges_as_its_size() -> None:
    x = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = (x > size_thresholds(x, [1, 20, 60])[:, None]).sum(1)
    assert kept.tolist() == [1, 20, 49]  # at least one edge stays out: where else would the threshold be


def test_the_metric_s_distance_is_0_for_the_model_and_1_for_the_counterfactuals(tiny_experiment: Experiment) -> None:
    experiment = tiny_experiment
    clean, other = experiment.clean_logits.log_softmax(-1), experiment.corrupt_logits.log_softmax(-1)
    far = _measured("logit_diff", experiment.encoded, clean, other)
    every = slice(0, len(clean))
    near = rounding(experiment.model).near
    assert far(experiment.clean_logits, every).tolist() == near([0.0] * len(clean))
    shares = (experiment.clean - experiment.corrupt).abs() / (experiment.clean - experiment.corrupt).mean().abs()
    assert far(experiment.corrupt_logits, every).tolist() == near(shares.tolist())
    assert far(experiment.corrupt_logits[1:], slice(1, len(clean))).tolist() == near(shares[1:].tolist())


def test_a_ranking_may_keep_the_metric_too(tiny_experiment: Experiment) -> None:
    scores, pairs = attribute(tiny_experiment).values, tiny_experiment.encoded.pairs
    plain, kept = (
        learn_ranking(tiny_experiment.model, pairs, scores=scores, edges=30, steps=2, metric=metric)
        for metric in (None, "logit_diff")
    )
    assert kept.steps[0].loss > plain.steps[0].loss
    assert not kept.log_alpha.equal(plain.log_alpha)


def test_plain_runs_are_kept_while_there_is_room(tiny_experiment: Experiment) -> None:
    model, texts = tiny_experiment.model, ["w1 w2 w3", "w4 w5"]
    runs = _Runs(model, 10**9)
    outputs, rows = runs.batch(texts, 3)
    nodes = outputs.nodes()
    for row, text in enumerate(texts):
        ids = model.encode(text)
        run = model.forward(Tokens.of([ids], model.device), cache=True)
        assert run.nodes is not None
        rounding(model).check(nodes[:, row, : len(ids)], run.nodes[:, 0])
        assert (nodes[:, row, len(ids) :] == 0).all()
        assert rows[row].equal(run.logits[0].log_softmax(-1))
    assert list(runs.kept) == texts
    outputs, rows = runs.kept[texts[1]]
    tight = _Runs(model, sum(part.nbytes for part in (*outputs.values, rows)))
    assert tight.batch(texts, 3)[0].nodes().equal(nodes)
    assert list(tight.kept) == [texts[1]]


@pytest.mark.parametrize(
    ("change", "said"), [({"edges": 0}, "0"), ({"steps": 0}, "0 steps"), ({"batch": 0}, "0 prompts")]
)
def test_wrong_options(tiny_experiment: Experiment, change: dict[str, int], said: str) -> None:
    model: ResidualModel = tiny_experiment.model
    scores = torch.ones(model.graph.valid.shape)
    asked = {"edges": 5, "steps": 1, "batch": 2} | change
    with pytest.raises(RequestError, match=said):
        learn_ranking(
            model,
            tiny_experiment.encoded.pairs,
            scores=scores,
            edges=asked["edges"],
            steps=asked["steps"],
            batch=asked["batch"],
        )
