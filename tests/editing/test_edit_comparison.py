"""What an edit did: nothing where it adds nothing; direct effects that add up; leaks as far as they are exact."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny import make_tiny
from tolerance import rounding

from wheatstone._errors import PromptError, RequestError
from wheatstone._progress import silent
from wheatstone.editing import (
    HOLDS,
    CircuitSettings,
    ComparisonSettings,
    Edit,
    EditRequest,
    _circuit_change,
    _judged_circuit,
    compare_edit,
    edit_question,
    leak,
    writers_change,
)
from wheatstone.editing._judged_circuit import EditTask, task_of_edit
from wheatstone.editing._question import asking_relation
from wheatstone.editing._weights import down_projection
from wheatstone.figures import comparison_chart, comparison_words
from wheatstone.models import ResidualModel, load_model
from wheatstone.tasks import About, PromptPair, Task

NEIGHBOURS = ("w5", "w6", "w7", "w8", "w9")


def says(model: ResidualModel, prompt: str, place: int = 0) -> str:
    """The token that the model likes best, or second best and so on."""
    return model.decode([int(model.forward(model.tokens([prompt])).logits[0].argsort(descending=True)[place])])[0]


def unlike(model: ResidualModel, request: EditRequest) -> str:
    """A subject of which the model says something else than either object."""
    objects = (request.target, says(model, request.prompt))
    prompts = {word: request.prompt.replace(request.subject, word) for word in NEIGHBOURS}
    return next(word for word, prompt in prompts.items() if says(model, prompt) not in objects)


def written(model: ResidualModel, request: EditRequest, layer: int, scale: float) -> Edit:
    """A rank of one matrix by hand: the key at the prompt's last token, and a value that keeps the stream's size."""
    where = down_projection(model, layer)
    streams = model.streams(model.tokens([request.prompt]))
    stream = streams.stream[-1, 0, -1]
    value = torch.randn(16, generator=torch.Generator().manual_seed(0)).to(stream)
    value -= stream * (value @ stream) / (stream @ stream)
    key = torch.randn(24, generator=torch.Generator().manual_seed(1)).to(stream)
    return Edit.of(model, "by hand", [request], {}, {where.name: where.write(scale * value[:, None], key[:, None])})


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("circuit", [None, CircuitSettings("eap")], ids=["edges", "faithfulness"])
def test_an_edit_of_nothing_keeps_every_edge_and_every_rank(kind: str, circuit: CircuitSettings | None) -> None:
    model = make_tiny(kind, torch.float32)
    circuit = circuit or CircuitSettings("eap-ig", edges=model.graph.edges)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target=says(model, "w4 w2 w3"))
    settings = ComparisonSettings(circuit, counterfactual=unlike(model, request), subjects=NEIGHBOURS)
    found = compare_edit(model, written(model, request, 1, 0.0), settings)
    assert found.circuit is not None
    assert {row.state for row in found.circuit.edges} == {"kept"}
    assert all(row.score_before == row.score_after for row in found.circuit.edges)
    assert circuit.goal or len(found.circuit.edges) == circuit.edges
    summary = found.summary
    assert summary["circuit"]["holds"]
    assert summary["circuit"]["held"]["before"]["n"] == 1
    assert not summary["circuit"]["held"]["before"]["held_out"]
    assert "on the prompt that each was found on" in comparison_words(summary)[0]
    assert summary["circuit"]["nodes"]["gone"] == summary["circuit"]["nodes"]["new"] == 0
    assert summary["circuit"]["faithfulness"]["before"] == summary["circuit"]["faithfulness"]["after"]
    by_state = {state: [row[1:] for row in found.writers.lens if row.state == state] for state in ("before", "after")}
    assert by_state["before"] == by_state["after"]
    assert {row.rank for row in found.writers.lens if (row.site, row.layer) == ("last", 3)} == {1}
    assert summary["writers"]["direct_logit"]["gain"] == rounding(model).near(0)
    assert summary["writers"]["movers_kept"] == summary["writers"]["movers"]
    assert [(row.at_subject, row.at_last, row.measured) for row in found.leak.rows] == [(0, 0, 0)] * 6
    assert summary["leak"]["changed"] == 0
    assert summary["leak"]["at_subject"] is None


def test_an_edit_that_does_not_take_is_compared_without_circuits() -> None:
    model = make_tiny("llama", torch.float32)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target="w9")  # which w6 favours more than w4 does
    settings = ComparisonSettings(CircuitSettings("eap-ig", edges=30), "w6", subjects=NEIGHBOURS)
    found = compare_edit(model, written(model, request, 1, 0.0), settings)
    assert found.circuit is None
    assert "nothing to explain" in found.refused
    assert sorted(found.tables) == ["edit_leak", "edit_lens", "edit_writers"]
    summary = found.summary
    said = comparison_words(summary)
    assert said[0].startswith("The circuits could not be compared: expected a counterfactual that changes the answer")
    assert "0 of 5 neighbours" in said[-1]
    drawn = comparison_chart([row._asdict() for row in found.writers.lens], summary).to_dict(validate=True)
    assert len(drawn["hconcat"]) == 1


def test_circuits_that_do_not_hold_are_not_compared() -> None:
    model = make_tiny("llama", torch.float32)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target=says(model, "w4 w2 w3"))
    settings = ComparisonSettings(CircuitSettings("eap-ig", edges=1), unlike(model, request), subjects=NEIGHBOURS)
    found = compare_edit(model, written(model, request, 1, 0.0), settings)
    assert found.circuit is not None
    assert not found.circuit.holds
    assert found.circuit.edges == ()
    assert "edit_edges" not in found.tables
    summary = found.summary
    assert abs(1 - summary["circuit"]["faithfulness"]["before"]) > 1 - HOLDS
    assert not {"edges", "nodes", "kept_by_chance"} & summary["circuit"].keys()
    said = comparison_words(summary)[0]
    assert "the circuit before the edit and after the edit does not hold, so that edges are not compared" in said
    drawn = comparison_chart([row._asdict() for row in found.writers.lens], summary).to_dict(validate=True)
    assert len(drawn["hconcat"]) == 1


def test_a_relation_s_circuits_are_judged_on_prompts_that_they_have_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of nothing: the same circuit before and after, with its own numbers on the test split.

    Found by a scoring method, which takes a second where learning takes a minute; the rest is the same.
    """
    model = make_tiny("llama", torch.float32)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target=says(model, "w4 w2 w3"))
    pairs = tuple(
        PromptPair(
            prompt=f"w{at} w2 w3",
            counterfactual=f"w{at + 14} w2 w3",
            answers=(" " + says(model, f"w{at} w2 w3").strip(),),
            distractors=(" " + says(model, f"w{at + 14} w2 w3", 1).strip(),),
        )
        for at in range(5, 19)
    )
    task = Task(About("by hand", "prompts", ""), pairs[:6], pairs[6:10], pairs[10:])
    monkeypatch.setattr(_circuit_change, "task_of_edit", lambda *_: EditTask(task, ()))
    monkeypatch.setattr(_circuit_change, "LEARNED", "eap")
    settings = ComparisonSettings(CircuitSettings("eap"), unlike(model, request), subjects=NEIGHBOURS)
    found = compare_edit(model, written(model, request, 1, 0.0), settings)
    assert found.circuit is not None
    assert (found.circuit.held_before.n, found.circuit.held_before.held_out) == (4, True)
    assert found.circuit.held_before == found.circuit.held_after
    assert found.circuit.before.edges == found.circuit.after.edges
    assert set(found.circuit.before.examples) == set(task.train)
    experiment = CircuitSettings("eap").search(0.9).experiment(model, task.train)
    test = experiment.on(experiment.several(task.test, most=4), allow_weak=True)
    assert len(test.encoded.pairs) == 4 * 4  # as many counterfactuals of each, so that means of means are means
    (reached,) = test.faithfulness(found.circuit.before.mask()[None])
    assert found.circuit.held_before.faithfulness == rounding(model).near(reached)
    said = comparison_words(found.summary)[0]
    assert "on 4 prompts that neither has seen" in said
    assert "by hand" in said
    if found.circuit.holds:
        assert found.circuit.again is not None
        assert "another seed keeps" in said


def test_the_edited_fact_is_in_none_of_a_relation_s_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_tiny("llama", torch.float32)
    request = EditRequest(prompt="The capital of Germany is", subject="Germany", target="w9")
    asking = asking_relation(request)
    assert asking is not None
    assert (asking[0].name, asking[1]) == ("country_capital", 1)
    assert asking_relation(request.model_copy(update={"prompt": "In Germany"})) is None
    names = [f"The capital of {name} is" for name in ("Germany", "Peru", "Chad", "Mali", "Cuba", "Iran", "Iraq")]
    made = [PromptPair(prompt=one, counterfactual=other, answers=("w1",)) for one, other in pairwise(names)]
    split = (*made, PromptPair(prompt=names[3], counterfactual=names[0], answers=("w1",)))
    task = Task(About("facts/country_capital", "factual", ""), split, split, split)
    monkeypatch.setattr(_judged_circuit, "load_task", lambda *_, **__: task)
    other = asking[0].templates[0].replace("{subject}", "Germany")
    reworded = [PromptPair(prompt=other, counterfactual=names[1], answers=("w1",)), made[2]]
    monkeypatch.setattr(_judged_circuit, "other_wordings", lambda *_, **__: (reworded, []))
    left, wordings = task_of_edit(model, request, CircuitSettings(), silent)
    assert left.train == left.validation == left.test == tuple(made[1:])
    assert wordings == (made[2],)
    monkeypatch.setattr(_judged_circuit, "load_task", lambda *_, **__: replace(task, test=split[:3]))
    with pytest.raises(PromptError, match="4 known facts of country_capital"):
        task_of_edit(model, request, CircuitSettings(), silent)


def test_a_relation_s_circuits_need_a_relation() -> None:
    model = make_tiny("llama", torch.float32)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target=says(model, "w4 w2 w3"))
    found = compare_edit(
        model, written(model, request, 1, 0.0), ComparisonSettings(counterfactual=unlike(model, request))
    )
    assert found.circuit is None
    assert "a prompt that a bundled relation asks" in found.refused


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_direct_effects_add_up_to_the_objects_logit_with_and_without_the_edit(kind: str) -> None:
    model = make_tiny(kind, torch.float64)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target=says(model, "w4 w2 w3", 5))
    other = next(
        word for word in NEIGHBOURS if says(model, f"{word} w2 w3") not in (request.target, says(model, request.prompt))
    )
    question, edit = edit_question(model, request, other), written(model, request, 1, 0.3)
    found = writers_change(model, edit, question)

    def direct() -> dict[str, float]:
        logits = model.forward(model.tokens([request.prompt])).logits[0]
        return {name: float(logits[token] - logits.mean()) for name, token in question.objects(model).items()}

    before = direct()
    with edit.applied(model):
        after = direct()
    for name in ("old", "new"):
        assert sum(getattr(row, f"{name}_before") for row in found.writers) == rounding(model).near(before[name])
        assert sum(getattr(row, f"{name}_after") for row in found.writers) == rounding(model).near(after[name])
    assert sum(found.summary["gain"].values()) == rounding(model).near(after["new"] - before["new"])
    groups = {row.node: row.group for row in found.writers}
    assert groups["m1"] == "edited MLPs"
    assert groups["m2"] == "later MLPs"
    assert groups["a2.h0"] == "later heads"
    assert groups["a1.h0"] == groups["m0"] == groups["input"] == groups["biases"] == "the rest"


def test_written_in_the_last_layer_at_the_last_token_the_leak_is_predicted_and_the_edited_mlp_writes_all() -> None:
    model = make_tiny("llama", torch.float64)
    request = EditRequest(prompt="w2 w3 w4", subject="w4", target=says(model, "w2 w3 w4", 5))
    edit = written(model, request, 2, 1e-5)  # small, and across the stream: the final norm's scale stays
    (own,) = leak(model, edit, request, []).rows
    assert own.edited
    assert own.at_subject == own.at_last
    assert own.measured == pytest.approx(own.at_last, rel=0.02)  # a prediction to first order
    assert abs(own.measured) > 1e-7
    other = next(
        word for word in NEIGHBOURS if says(model, f"w2 w3 {word}") not in (request.target, says(model, request.prompt))
    )
    gain = writers_change(model, edit, edit_question(model, request, other)).summary["gain"]
    assert gain["edited MLPs"] == pytest.approx(own.measured, rel=0.02)
    assert gain["later heads"] == gain["later MLPs"] == 0


def test_the_leak_of_many_is_ranked() -> None:
    model = make_tiny("llama", torch.float64)
    request = EditRequest(prompt="w2 w3 w4", subject="w4", target=says(model, "w2 w3 w4", 5))
    found = leak(model, written(model, request, 2, 1e-5), request, [*NEIGHBOURS, *(f"w{at}" for at in range(10, 25))])
    assert [row.edited for row in found.rows] == [True] + [False] * 20
    sizes = [abs(row.measured) for row in found.rows[1:]]
    assert sizes == sorted(sizes, reverse=True)
    agreement = found.summary["at_last"]
    assert agreement["n"] == 20
    assert -1 <= agreement["low"] < agreement["rank_correlation"] < agreement["high"] <= 1


def test_what_cannot_be_compared_is_refused() -> None:
    model = make_tiny("llama", torch.float32)
    request = EditRequest(prompt="w4 w2 w3", subject="w4", target="w9")
    with pytest.raises(PromptError, match="a counterfactual to 'w4'"):
        edit_question(model, request)
    with pytest.raises(PromptError, match="3 tokens"):
        edit_question(model, request, "w5 w6")
    with pytest.raises(RequestError, match="at least one edge"):
        CircuitSettings("eap", edges=0).check()
    with pytest.raises(RequestError, match="chooses the size itself"):
        CircuitSettings("verified", edges=200).check()
    with pytest.raises(RequestError, match="a method out of"):
        CircuitSettings("guess").check()
    with pytest.raises(RequestError, match="faithfulness"):
        CircuitSettings("verified", faithfulness=2.0).check()
    assert CircuitSettings("verified").goal == 0.9


@pytest.mark.real_weights
def test_the_relation_that_asks_so_gives_the_counterfactual() -> None:
    model = load_model("smollm2-135m")
    request = EditRequest(prompt="The official language of France is", subject="France", target="Italian")
    question = edit_question(model, request)
    assert question.before.answers == (" French",)
    assert question.after.answers == (" Italian",)
    assert question.before.distractors not in ((" French",), (" Italian",))
    assert len(model.encode(question.before.counterfactual)) == len(model.encode(request.prompt))
