"""Whole graphs on tiny models: what is said of sets is what runs say, and what cannot be drawn is refused."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import networkx
import pytest
import torch
from tiny import make_tiny
from tiny_families import tiny_family
from tolerance import rounding

from wheatstone._errors import ModelError, PromptError, RequestError
from wheatstone.figures import graph_words
from wheatstone.graphs import (
    Baseline,
    GraphRun,
    GraphSettings,
    NeuronGraph,
    NodeAxis,
    Question,
    counterfactual_baseline,
    graph,
    node_slopes,
    prove,
    run_graph,
    single_effects,
    to_circuit_tracer,
)
from wheatstone.graphs._learn import Turns
from wheatstone.models import NodeValues, Replace, ResidualModel, run_nodes
from wheatstone.tasks import PromptPair

PROMPT, OTHER = "w3 w1 w4 w1 w5", "w3 w1 w6 w1 w5"


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64)


@pytest.fixture(scope="module")
def question(model: ResidualModel) -> Question:
    return Question.of(model, PROMPT, [" w7"], [" w8"], None)


@pytest.fixture(scope="module")
def drawn(model: ResidualModel) -> NeuronGraph:
    settings = GraphSettings(nodes=30, exact=5)
    return graph(model, PROMPT, " w7", counterfactual=OTHER, distractor=" w8", settings=settings)


def test_a_set_alone_is_what_interventions_say(model: ResidualModel, question: Question) -> None:
    axis = NodeAxis.of(model, question.tokens.width)
    baseline = counterfactual_baseline(question, OTHER)
    everything, nothing = torch.ones(1, axis.size, dtype=torch.bool), torch.zeros(1, axis.size, dtype=torch.bool)
    whole, none = prove(question, axis, baseline, torch.cat((everything, nothing)))
    assert (whole.faithfulness, whole.completeness) == (
        rounding(model).near(1.0, magnitude=10),
        rounding(model).near(1.0, magnitude=10),
    )
    assert (none.faithfulness, none.completeness) == (
        rounding(model).near(0.0),
        rounding(model).near(0.0, magnitude=10),
    )
    assert whole.keeps_top
    assert whole.enough
    assert not none.enough


def test_a_neurons_effect_is_that_of_patching_it(model: ResidualModel, question: Question) -> None:
    axis = NodeAxis.of(model, question.tokens.width)
    baseline = counterfactual_baseline(question, OTHER)
    slopes = node_slopes(question, axis, baseline, steps=1, rules=None)
    neurons = [p for p in slopes.abs().argsort(descending=True).tolist() if axis.node(p).kind == "neuron"][:4]
    assert baseline.values is not None
    for place, effect in zip(neurons, single_effects(question, axis, baseline, neurons).tolist(), strict=True):
        node = axis.node(place)
        value = baseline.values.neurons[node.layer][:, node.position, node.index]
        patched = model.forward_with(
            question.tokens, [Replace(at=node.place, positions=(node.position,), value=value[:, None])]
        ).logits
        before, after = (question.measure(logits) for logits in (question.clean.logits, patched))
        assert effect == rounding(model).times(2).near(float(before - after), magnitude=10)


def test_plain_slopes_are_the_first_order_of_single_effects(model: ResidualModel, question: Question) -> None:
    """A node moved a small step towards its ablated value, and as far away from it."""
    axis = NodeAxis.of(model, question.tokens.width)
    far, own, step = counterfactual_baseline(question, OTHER), question.clean.values, 1e-5
    assert far.values is not None
    slopes = node_slopes(question, axis, far, steps=1, rules=None)
    strongest = slopes.abs().argsort(descending=True)[:8].tolist()
    there = far.values

    def moved(by: float) -> list[float]:
        heads, neurons = (
            tuple(one + by * (other - one) for one, other in zip(kind, others, strict=True))
            for kind, others in ((own.heads, there.heads), (own.neurons, there.neurons))
        )
        near = Baseline("counterfactual", far.input, NodeValues(heads, neurons))
        return single_effects(question, axis, near, strongest).tolist()

    up, down = moved(step), moved(-step)
    for slope, more, less in zip(slopes[strongest].tolist(), up, down, strict=True):
        assert slope == rounding(model).slope(more, less, step)


def test_the_graph_says_what_its_nodes_hold(drawn: NeuronGraph, model: ResidualModel, question: Question) -> None:
    axis = NodeAxis.of(model, question.tokens.width)
    held = torch.zeros(1, axis.size, dtype=torch.bool)
    names = {row.node for row in drawn.rows if row.kind != "token"}
    held[0, [p for p in range(axis.size) if str(axis.node(p)) in names]] = True
    assert drawn.proofs == (prove(question, axis, counterfactual_baseline(question, OTHER), held)[0],)
    assert drawn.proofs[0].nodes == len(names) <= 30
    assert sum(row.effect is not None for row in drawn.rows) == min(5, len(names))
    assert drawn.clean == float(question.measure(question.clean.logits))


def test_edges_join_nodes_of_the_graph_and_the_strongest_come_first(drawn: NeuronGraph) -> None:
    names = {row.node for row in drawn.rows}
    assert {edge.sender for edge in drawn.edges} <= names
    assert {edge.receiver for edge in drawn.edges} <= names | {"target"}
    weights = [abs(edge.weight) for edge in drawn.edges]
    assert weights == sorted(weights, reverse=True)
    assert any(edge.receiver == "target" for edge in drawn.edges)


def test_a_verified_graph_holds_the_answer(model: ResidualModel) -> None:
    axis = NodeAxis.of(model, 5)
    settings = GraphSettings(nodes=axis.size - 1, steps=30, verify=True)
    found = graph(model, PROMPT, " w7", counterfactual=OTHER, distractor=" w8", settings=settings)
    assert found.enough
    assert found.proofs[0].nodes < axis.size - 1
    again = graph(model, PROMPT, " w7", counterfactual=OTHER, distractor=" w8", settings=settings)
    assert again.rows == found.rows
    assert again.edges == found.edges


def test_several_counterfactuals_are_all_proven(model: ResidualModel) -> None:
    settings = GraphSettings(nodes=40, steps=5, verify=True)
    others = [OTHER, "w3 w1 w9 w1 w5"]
    found = graph(model, PROMPT, " w7", counterfactual=others, distractor=" w8", settings=settings)
    assert len(found.proofs) == 2
    assert found.enough == all(proof.enough for proof in found.proofs)


@pytest.mark.parametrize("target", ["logit", "top"])
def test_without_a_counterfactual_nodes_are_ablated_to_zero(model: ResidualModel, target: str) -> None:
    found = graph(model, PROMPT, " w7", settings=GraphSettings(target=target, ablation="zero", nodes=20))
    assert found.proofs[0].baseline == "zero"
    logits = run_nodes(model, model.tokens([PROMPT])).logits[0]
    if target == "logit":
        expected = logits[found.question.answers[0]] - logits.mean()
    else:
        likely = logits.softmax(-1).sort(descending=True)
        few = int((likely.values.cumsum(0) < 0.95).sum()) + 1
        shares = likely.values[:few] / likely.values[:few].sum()
        expected = (shares * logits[likely.indices[:few]]).sum() - logits.mean()
    assert found.clean == rounding(model).near(float(expected))


def test_circuit_tracers_document_has_what_its_schema_asks_for(drawn: NeuronGraph) -> None:
    document = json.loads(json.dumps(to_circuit_tracer(drawn)))
    assert document.keys() == {"metadata", "qParams", "nodes", "links"}
    assert {"slug", "scan", "prompt_tokens", "prompt"} <= document["metadata"].keys()
    assert document["metadata"]["prompt_tokens"] == drawn.question.model.decode(drawn.question.tokens.ids[0].tolist())
    kinds = {"neuron", "attention head", "embedding", "logit"}
    for node in document["nodes"]:
        assert {"node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp"} <= node.keys()
        assert isinstance(node["feature"], int)
        assert isinstance(node["ctx_idx"], int)
        assert node["feature_type"] in kinds
    names = [node["node_id"] for node in document["nodes"]]
    assert len(set(names)) == len(names) == len(drawn.rows) + 1
    assert len(document["links"]) == len(drawn.edges)
    for link in document["links"]:
        assert {link["source"], link["target"]} <= set(names)
    assert sum(node["is_target_logit"] for node in document["nodes"]) == 1


def test_networkx_has_the_same_nodes_and_edges(drawn: NeuronGraph) -> None:
    found = drawn.to_networkx()
    assert networkx.is_directed_acyclic_graph(found)
    assert found.number_of_nodes() == len(drawn.rows) + 1
    assert found.number_of_edges() == len(drawn.edges)


def test_what_cannot_be_drawn_is_refused(model: ResidualModel) -> None:
    with pytest.raises(PromptError, match="differs from its prompt"):
        graph(model, PROMPT, " w7", counterfactual=PROMPT)
    with pytest.raises(PromptError, match="token"):
        graph(model, PROMPT, " w7", counterfactual="w3 w1")
    with pytest.raises(PromptError, match="differ in their first token"):
        graph(model, PROMPT, " w7", counterfactual=OTHER, distractor=" w7")
    with pytest.raises(PromptError, match="at most 32 tokens"):
        graph(model, " ".join(["w1"] * 33), " w7")
    with pytest.raises(PromptError):
        graph(model, PROMPT, "")
    with pytest.raises(RequestError, match="a distractor"):
        graph(model, PROMPT, " w7", settings=GraphSettings(target="difference"))
    with pytest.raises(RequestError, match="a counterfactual prompt to ablate to"):
        graph(model, PROMPT, " w7", settings=GraphSettings(ablation="counterfactual"))
    for settings in (GraphSettings(target="x"), GraphSettings(ablation="x"), GraphSettings(nodes=0)):
        with pytest.raises(RequestError):
            graph(model, PROMPT, " w7", counterfactual=OTHER, settings=settings)


def test_a_prompt_of_one_token_has_a_graph(model: ResidualModel) -> None:
    found = graph(model, "w3", " w7", counterfactual="w4", settings=GraphSettings(nodes=20))
    assert {row.position for row in found.rows} == {0}


def test_a_mixture_of_experts_is_refused() -> None:
    with pytest.raises(ModelError, match=r"every MLP of which has neurons.*wheatstone discover --experts-of LAYER"):
        graph(tiny_family("mixtral"), PROMPT, " w7")


def test_further_counterfactuals_have_distractors_of_their_own(model: ResidualModel, question: Question) -> None:
    further, unseen = (
        PromptPair(prompt=PROMPT, counterfactual=f"w3 w1 {word} w1 w5", answers=(" w7",), distractors=(f" {other}",))
        for word, other in (("w9", "w10"), ("w11", "w12"))
    )
    settings = GraphSettings(nodes=40, steps=5, verify=True)
    found = graph(
        model,
        PROMPT,
        " w7",
        counterfactual=OTHER,
        distractor=" w8",
        further=[further],
        held_out=[unseen],
        settings=settings,
    )
    axis = NodeAxis.of(model, question.tokens.width)
    held = torch.zeros(1, axis.size, dtype=torch.bool)
    names = {row.node for row in found.rows if row.kind != "token"}
    held[0, [p for p in range(axis.size) if str(axis.node(p)) in names]] = True
    for pair, proof in zip((further, unseen), (found.proofs[1], found.held_out[0]), strict=True):
        asked = Question.of(model, PROMPT, [" w7"], pair.distractors, None)
        assert proof == prove(asked, axis, counterfactual_baseline(asked, pair.counterfactual), held)[0]
    assert len(found.proofs) == 2


def test_the_first_of_a_tasks_counterfactuals_is_compared_with(model: ResidualModel) -> None:
    pair = PromptPair(prompt=PROMPT, counterfactual=OTHER, answers=(" w7",), distractors=(" w8",))
    settings = GraphSettings(nodes=10, exact=0)
    alone = graph(model, PROMPT, " w7", further=[pair], settings=settings)
    given = graph(model, PROMPT, " w7", counterfactual=OTHER, distractor=" w8", settings=settings)
    assert (alone.rows, alone.edges, alone.target) == (given.rows, given.edges, given.target)


def test_a_given_distractor_is_what_the_first_of_a_task_is_compared_with(model: ResidualModel) -> None:
    pair = PromptPair(prompt=PROMPT, counterfactual=OTHER, answers=(" w7",), distractors=(" w10",))
    settings = GraphSettings(nodes=10, exact=0)
    found = graph(model, PROMPT, " w7", distractor=" w8", further=[pair], settings=settings)
    given = graph(model, PROMPT, " w7", counterfactual=OTHER, distractor=" w8", settings=settings)
    assert (found.rows, found.proofs, found.target) == (given.rows, given.proofs, given.target)


def test_a_counterfactual_that_is_given_is_not_drawn_again(model: ResidualModel) -> None:
    prompts = [f"w{number} w2 w3" for number in range(4, 9)]
    task = [
        PromptPair(prompt=text, counterfactual="w14 w2 w3", answers=(f" w{20 + number}",), distractors=(" w30",))
        for number, text in enumerate(prompts)
    ]

    def run(**options: Any) -> GraphRun:
        settings = GraphSettings(nodes=10, exact=0, **options)
        return run_graph(
            model, "w3 w2 w3", [" w7"], counterfactuals=prompts[:3], others=task, distractors=[" w8"], settings=settings
        )

    found = run()
    assert {*found.held_out, *found.counterfactuals[3:]} == {*prompts[3:]}
    assert found.counterfactuals[:3] == tuple(prompts[:3])
    assert len(found.held_out) == 1
    said = " ".join(graph_words(found.summary()))
    assert "Under the other counterfactuals they keep" in said
    assert ("--verify looks for" in said) == (not found.graph.enough)
    assert run(ablation="zero").counterfactuals == ()


def test_turns_take_every_case_equally_often() -> None:
    turns, draw = Turns(5), Random(0)
    drawn = torch.cat([turns.next(3, draw) for _ in range(10)])
    assert drawn.bincount().tolist() == [6] * 5
    assert sorted(drawn[:5].tolist()) == list(range(5))
