"""Sets of heads and neurons over a task's prompts: everything is the model, nothing the counterfactuals."""

from __future__ import annotations

import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone._errors import RequestError
from wheatstone.graphs import TaskNodes
from wheatstone.models import Replace, ResidualModel


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64)


@pytest.fixture(scope="module")
def nodes(model: ResidualModel) -> TaskNodes:
    # Of two lengths: a shorter prompt is padded, and runs as it does alone.
    pairs = [(f"w{at} w2 w3", f"w{at + 10} w2 w3") for at in (4, 5, 6)] + [("w1 w8 w2 w3", "w1 w19 w2 w3")]
    return TaskNodes(model, explainable_pairs(model, pairs))


def test_everything_is_the_model_and_nothing_the_counterfactuals(nodes: TaskNodes, model: ResidualModel) -> None:
    everything = torch.ones(1, nodes.axis.size, dtype=torch.bool)
    (whole,) = nodes.prove(everything)
    assert (whole.faithfulness, whole.completeness) == (rounding(model).near(1, magnitude=10),) * 2
    assert (whole.agreement, whole.n, whole.units) == (1.0, 4, nodes.axis.size)
    others = model.forward(nodes.encoded.counterfactual).logits
    rounding(model).check(nodes.logits(~everything)[0], others)


def test_a_unit_is_ablated_at_all_positions(nodes: TaskNodes, model: ResidualModel) -> None:
    neuron = nodes.axis.node(nodes.axis.heads + 3)
    assert str(neuron) == "m0.n3@0"
    but_one = torch.ones(1, nodes.axis.size, dtype=torch.bool)
    but_one[0, nodes.axis.place(neuron)] = False
    values = model.neurons(nodes.encoded.counterfactual, all_positions=True).activations[0][:, :, 3]
    expected = model.forward_with(nodes.encoded.clean, [Replace(at="m0.n3", value=values)]).logits
    rounding(model).times(2).check(nodes.logits(but_one)[0], expected)


def test_a_learned_ranking_finds_sets_that_hold(nodes: TaskNodes) -> None:
    ranking = nodes.learn(target=40, steps=30, batch=4)
    assert torch.equal(ranking, nodes.learn(target=40, steps=30, batch=4))
    order = ranking.argsort(descending=True)
    sets = torch.zeros(2, len(order), dtype=torch.bool)
    sets[0, order[:40]] = True
    sets[1, order[-40:]] = True
    learned, last = nodes.prove(sets)
    assert abs(learned.faithfulness - 1) < abs(last.faithfulness - 1)


def test_slopes_are_means_over_prompts(nodes: TaskNodes, model: ResidualModel) -> None:
    each = [TaskNodes(model, [pair]).slopes() for pair in nodes.encoded.pairs]
    rounding(model).times(4).check(nodes.slopes(), torch.stack(each).mean(0))


def test_options_out_of_range_are_refused(nodes: TaskNodes) -> None:
    for target, steps, batch in ((0, 1, 1), (nodes.axis.size, 1, 1), (5, 0, 1), (5, 1, 0)):
        with pytest.raises(RequestError, match="a target from 1 to"):
            nodes.learn(target=target, steps=steps, batch=batch)
