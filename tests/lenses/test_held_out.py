"""What is the strongest of many is chosen on one half of the prompts and measured on the other half."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from materials import material_of
from tiny import explainable_pairs, make_tiny

from wheatstone import Experiment, PromptPair, ResidualModel
from wheatstone._intervals import halves_of, measured_on
from wheatstone._progress import silent
from wheatstone.editing import EditRequest, TraceRun, TracingSettings, asked, causal_trace, trace_rows
from wheatstone.figures import ScreenData, found_neurons
from wheatstone.figures._trace import trace_words
from wheatstone.lenses import direct_effects, vocabulary
from wheatstone.neurons import NeuronSettings, Patching, neuron_effects, run_neurons
from wheatstone.runs import new_run
from wheatstone.tasks import ModelAnswers, load_task

EVEN, ODD = list(range(0, 8, 2)), list(range(1, 8, 2))


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64)


@pytest.fixture(scope="module")
def pairs(model: ResidualModel) -> list[PromptPair]:
    return explainable_pairs(model, [(f"w{at} w2 w3", f"w{at + 12} w2 w3") for at in range(4, 12)])


def test_halves() -> None:
    assert halves_of(7) is None
    assert halves_of(8) == (range(0, 8, 2), range(1, 8, 2))
    assert sorted([*halves_of(9)[0], *halves_of(9)[1]]) == list(range(9))  # pyright: ignore[reportOptionalSubscript]
    assert measured_on(1) == "chosen and measured on the same prompt, as there are fewer than 8"
    assert measured_on(9) == "chosen on 5 prompts and measured on the other 4"


def test_the_strongest_neuron_is_measured_on_prompts_that_did_not_choose_it(
    model: ResidualModel, pairs: list[PromptPair], tmp_path: Path
) -> None:
    run = run_neurons(model, pairs, NeuronSettings(top=6))
    screen, best = run.screen, run.best
    assert best is not None
    assert run.missing == {}
    assert (best["n"], best["chosen_on"], best["held_out"]) == (4, 4, True)
    by_estimate = screen.estimates[:, EVEN].mean(1).abs().argsort(descending=True)[:6].tolist()
    assert {row.neuron for row in screen.confirmed} == {screen.neurons[at] for at in by_estimate}
    chosen = max(screen.confirmed, key=lambda row: abs(np.mean([row.effects[at] for at in EVEN])))
    assert best["neuron"] == str(chosen.neuron)
    others = Patching(Experiment(model, [pairs[at] for at in ODD]))
    (effects,) = neuron_effects(others, [chosen.neuron])
    assert best["exact"] == pytest.approx(float(effects.mean()) / others.gap)
    assert best["exact"] != pytest.approx(chosen.exact)
    assert {row.neuron for row in run.doses} <= {str(row.neuron) for row in screen.confirmed}
    assert run.doses[0].neuron == best["neuron"]
    with new_run(tmp_path / "run") as folder:
        run.save(folder)
    data = ScreenData.load(tmp_path / "run")
    assert "4 prompts; the strongest on 4 others" in found_neurons(data)[0]
    old = replace(data, summary={name: value for name, value in data.summary.items() if name != "best"})
    assert "the strongest on these 8 prompts" in found_neurons(old)[0]


def test_too_few_prompts_to_halve_are_named(model: ResidualModel, pairs: list[PromptPair], tmp_path: Path) -> None:
    for n, words in ((1, "the strongest on this one prompt"), (5, "the strongest on these 5 prompts")):
        run = run_neurons(model, pairs[:n], NeuronSettings(top=3))
        assert run.best == run.confirmed[0]._asdict() | {"n": n, "chosen_on": n, "held_out": False}
        with new_run(tmp_path / str(n)) as folder:
            run.save(folder)
        assert words in found_neurons(ScreenData.load(tmp_path / str(n)))[0]


def test_the_words_of_the_strongest_parts(model: ResidualModel, pairs: list[PromptPair]) -> None:
    material = material_of(Experiment(model, pairs))
    summary = vocabulary(material, silent).summary
    assert (summary.n, summary.held_out) == (4, True)
    nodes = material.experiment.graph.nodes
    strength = direct_effects(material)[1:-1, EVEN].abs().mean(1)
    strongest = [nodes[1 + at] for at in strength.argsort(descending=True)[:10].tolist()]
    assert list(summary.most_often) == strongest
    answers = material.experiment.encoded.answers[:, 0]

    def first(node: str, half: list[int]) -> float:
        logits = material.readout.logits(material.last_nodes[material.experiment.graph.node_index[node]])
        return float((logits.argmax(-1) == answers)[half].double().mean())

    assert summary.answer_first == pytest.approx({node: first(node, ODD) for node in summary.answer_first})
    by_choice = [first(node, EVEN) for node in summary.answer_first]
    assert by_choice == sorted(by_choice, reverse=True)
    assert set(summary.answer_first) == {node for node in strongest if first(node, EVEN) > 0}


def test_the_place_that_brings_most_back(
    model: ResidualModel, pairs: list[PromptPair], tiny_task: tuple[Path, Path]
) -> None:
    requests = [
        asked(model, EditRequest(prompt=pair.prompt, subject=pair.prompt.split()[0], target=pair.answers[0]))
        for pair in pairs
    ]
    settings = TracingSettings(draws=1, window=1)
    traces = tuple(causal_trace(model, request, settings) for request in requests)
    task = load_task(tiny_task[1], model, known=None)
    run = TraceRun(model, task, settings, traces, {}, ModelAnswers(()))
    summary = run.summary()
    assert summary["most_on"] == {"n": 4, "chosen_on": 4, "held_out": True}
    for site, found in summary["most"].items():
        choosing = [row for row in trace_rows([traces[at] for at in EVEN]) if row.site == site]
        best = max(choosing, key=lambda row: row.effect)
        (measured,) = (
            row
            for row in trace_rows([traces[at] for at in ODD])
            if (row.site, row.role, row.layer) == (site, best.role, best.layer)
        )
        assert found == measured._asdict()
    assert "(chosen on 4 prompts, measured on 4 others)" in trace_words(summary)[1]
    few = replace(run, traces=traces[:3]).summary()
    assert "(chosen and measured on these 3 prompts)" in trace_words(few)[1]
