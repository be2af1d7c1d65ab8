"""Sets of heads and neurons over a task's prompts: everything is the model, nothing the counterfactuals."""

from __future__ import annotations

import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone._errors import RequestError
from wheatstone.graphs import MeanAblation, Node, NodeAxis, Question, TaskNodes, mean_baseline, mean_edges
from wheatstone.models import NodeValues, Replace, ResidualModel, run_nodes
from wheatstone.tasks import encode


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


def test_slopes_are_those_of_each_prompt(nodes: TaskNodes, model: ResidualModel) -> None:
    each = [TaskNodes(model, [pair]).slopes()[0] for pair in nodes.encoded.pairs]
    rounding(model).times(4).check(nodes.slopes(), torch.stack(each))


def test_options_out_of_range_are_refused(nodes: TaskNodes) -> None:
    for target, steps, batch in ((0, 1, 1), (nodes.axis.size, 1, 1), (5, 0, 1), (5, 1, 0)):
        with pytest.raises(RequestError, match="a target from 1 to"):
            nodes.learn(target=target, steps=steps, batch=batch)


def test_parts_of_the_prompt_have_gates_of_their_own(nodes: TaskNodes, model: ResidualModel) -> None:
    parts = TaskNodes(model, nodes.encoded.pairs, spans=("subject", "last"))
    assert parts.spans == ("subject", "last", "elsewhere")
    assert parts.axis.size == 3 * nodes.axis.size
    neuron = parts.axis.node(3 * parts.axis.heads + parts.axis.neurons[0] + 3)
    assert str(neuron) == "m0.n3@1"  # at the last token
    but_one = torch.ones(1, parts.axis.size, dtype=torch.bool)
    but_one[0, parts.axis.place(neuron)] = False
    for number, pair in enumerate(nodes.encoded.pairs):
        clean, other = (model.tokens([text]) for text in (pair.prompt, pair.counterfactual))
        value = model.neurons(other, all_positions=True).activations[0][:, -1:, 3]
        expected = model.forward_with(clean, [Replace(at="m0.n3", positions=(-1,), value=value)]).logits
        rounding(model).times(2).check(parts.logits(but_one)[0, number], expected[0])


def test_slopes_of_parts_add_up_to_those_of_all_positions(nodes: TaskNodes, model: ResidualModel) -> None:
    parts = TaskNodes(model, nodes.encoded.pairs, spans=("subject", "last"))
    found = parts.axis.values(parts.slopes(steps=1, rules=None))
    together = NodeValues(*(tuple(part.sum(1, keepdim=True) for part in kind) for kind in (found.heads, found.neurons)))
    rounding(model).times(4).check(nodes.axis.row(together), nodes.slopes(steps=1, rules=None))


def test_a_mean_over_a_task_is_that_of_the_same_places(model: ResidualModel) -> None:
    """Two prompts of one length: ablated to their means, every place but the first has the mean of both."""
    pairs = explainable_pairs(model, [("w4 w2 w3", "w14 w2 w3"), ("w5 w2 w3", "w15 w2 w3")])
    first = TaskNodes(model, pairs)
    found = TaskNodes(model, pairs, ablation=MeanAblation.of_task(model, first.encoded))
    own = run_nodes(model, first.encoded.clean).values.neurons[1]
    means = own.mean(0, keepdim=True).expand_as(own).clone()
    means[:, 0] = own[:, 0]
    _, ablated = found.values()
    rounding(model).check(ablated.neurons[1][0, 0], means.mean((0, 1)))


def test_first_tokens_are_in_no_mean(model: ResidualModel) -> None:
    """Subjects of one and two tokens at the start: the second token alone says what the end of a subject does."""
    short = explainable_pairs(model, [("w4 w2 w3", "w14 w2 w3")])
    mixed = [*short, *explainable_pairs(model, [("w6 w5 w2 w3", "w16 w15 w2 w3")])]
    two = TaskNodes(model, mixed).encoded
    values = run_nodes(model, two.clean).values.neurons[0]
    found = MeanAblation.of_task(model, two)(model, two).neurons[0]
    rounding(model).check(found[1, 1], values[1, 1])
    rounding(model).check(found[1, 2], (values[0, 1] + values[1, 2]) / 2)
    rounding(model).check(found[:, 0], values[:, 0])


def test_a_place_without_samples_has_the_mean_of_all_others(model: ResidualModel) -> None:
    one = TaskNodes(model, explainable_pairs(model, [("w4 w2 w3", "w14 w2 w3")])).encoded
    values = run_nodes(model, one.clean).values.neurons[0][0]
    longer = encode(model, explainable_pairs(model, [("w6 w5 w2 w3", "w16 w15 w2 w3")]))
    found = MeanAblation.of_task(model, one)(model, longer).neurons[0][0]
    rounding(model).check(found[1], (values[1] + values[2]) / 2)


def test_edges_that_do_not_fit_in_memory_are_refused(
    model: ResidualModel, nodes: TaskNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wheatstone.graphs._task_edges.memory_room", lambda _device: 20 * 6**2 - 1
    )  # two nodes at three tokens
    kept = [Node(0, "neuron", number, 0) for number in range(2)]
    with pytest.raises(RequestError, match="lower --nodes"):
        mean_edges(model, nodes.encoded.pairs[:1], torch.zeros(1, 3, dtype=torch.long), kept)


def test_a_longer_prompt_has_the_means_of_the_nearest_places(model: ResidualModel) -> None:
    pairs = explainable_pairs(model, [("w1 w4 w2 w3", "w1 w14 w2 w3"), ("w1 w5 w2 w3", "w1 w15 w2 w3")])
    known = TaskNodes(model, pairs).encoded
    ablation = MeanAblation.of_task(model, known)
    longer = encode(model, explainable_pairs(model, [("w1 w4 w6 w8 w2 w3", "w1 w14 w7 w9 w2 w3")]))
    values = ablation(model, longer).neurons[0][0]
    means = run_nodes(model, known.clean).values.neurons[0].mean(0)
    for position, place in enumerate(
        (1, 1, 1, 2, 3), start=1
    ):  # the subject is three tokens long, of which one is known
        rounding(model).check(values[position], means[place])


def test_a_mean_over_texts_is_that_of_a_prompts_graph(model: ResidualModel) -> None:
    pairs = explainable_pairs(model, [("w4 w2 w3", "w14 w2 w3")])
    found = TaskNodes(model, pairs, ablation=MeanAblation.of_texts(model))
    question = Question.of(model, pairs[0].prompt, pairs[0].answers, pairs[0].distractors, None)
    nothing = torch.zeros(1, found.axis.size, dtype=torch.bool)
    axis = NodeAxis.of(model, question.tokens.width)
    expected = ablated_logits(question, axis)
    rounding(model).check(found.logits(nothing)[0], expected)


def ablated_logits(question: Question, axis: NodeAxis) -> torch.Tensor:
    """Everything ablated to the mean over texts."""
    gates = axis.values(torch.zeros(1, axis.size, dtype=question.model.dtype))
    baseline = mean_baseline(question).values
    return run_nodes(question.model, question.tokens, gates=gates, ablated=baseline).logits


def test_a_span_that_a_prompt_lacks_is_refused(nodes: TaskNodes, model: ResidualModel) -> None:
    with pytest.raises(RequestError, match="a span that every prompt has"):
        TaskNodes(model, nodes.encoded.pairs, spans=("relation",))
