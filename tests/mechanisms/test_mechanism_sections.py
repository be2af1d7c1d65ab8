"""Sections about tasks, errors and other prompts: what each needs, and which prompts it then asks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tolerance import rounding

from wheatstone import Circuit, Experiment, PromptPair
from wheatstone.lenses import Material
from wheatstone.lenses._section import everywhere, whole_mlps
from wheatstone.mechanisms import CompetitionSummary, task_circuits
from wheatstone.mechanisms._hops_section import parts_of
from wheatstone.mechanisms._wrong_section import template_of
from wheatstone.studies import SECTIONS


@pytest.mark.parametrize(
    ("section", "task", "lacks"),
    [
        ("ioi", "ioi", "a span 'IO' in every prompt (3 of 3 lack it), as the task ioi has"),
        ("years", "ioi", "a run of a task greater-than"),
        ("years", "greater-than", "a span 'YY' in every prompt (3 of 3 lack it)"),
        ("wrong", "", "a run of a relation (facts/… or a relation's .json file) (this is one of given prompts)"),
        ("wrong", "facts/country_capital", None),
        ("wrong", "/nowhere/mine.json", "the relation's file /nowhere/mine.json, which is no longer there"),
        ("demonstrations", "icl-3//nowhere/mine.json", "the relation's file /nowhere/mine.json"),
        ("hops", "reversed//nowhere/mine.json", "the relation's file /nowhere/mine.json"),
        ("demonstrations", "ioi", "a run of demonstrations (icl…/…) or a relation"),
        ("demonstrations", "icl-3/country_capital", None),
        ("hops", "facts/country_capital", "a run of two hops (two-hop/…) or a reversed relation (reversed/…)"),
        ("hops", "reversed/country_capital", None),
        ("competition", "", None),
    ],
)
def test_what_a_run_lacks(material: Material, section: str, task: str, lacks: str | None) -> None:
    missing = SECTIONS[section].missing(dataclasses.replace(material, task=task))
    assert missing is lacks is None or (missing or "").startswith(str(lacks))


def test_intervals_distractors_and_the_ablation_are_needed(material: Material, tiny_experiment: Experiment) -> None:
    model, pairs = tiny_experiment.model, tiny_experiment.encoded.pairs
    one = Experiment(model, pairs[:1])
    zero = Experiment(model, pairs, ablation="zero", metric="kl")
    for experiment, lacks in ((one, "a second prompt"), (zero, "the counterfactual ablation")):
        missing = SECTIONS["competition"].missing(dataclasses.replace(material, experiment=experiment))
        assert str(missing).startswith(lacks)


def test_whole_mlps_and_edges_without_positions(material: Material, tiny_experiment: Experiment) -> None:
    assert whole_mlps(material) is everywhere(material) is None
    model = tiny_experiment.model.split({1: "neurons"})
    split = Experiment(model, tiny_experiment.encoded.pairs)
    assert "whole MLPs" in str(whole_mlps(dataclasses.replace(material, experiment=split)))
    spanned = Experiment(tiny_experiment.model, tiny_experiment.encoded.pairs[:1], positions="each")
    info = dataclasses.replace(material.circuit.model, graph=spanned.graph)
    told_apart = dataclasses.replace(material, circuit=Circuit(info, ()))
    assert "all positions" in str(everywhere(told_apart))


def test_dear_sections_are_those_that_ask_other_prompts() -> None:
    assert [name for name, section in SECTIONS.items() if section.slow] == ["demonstrations", "competition"]


def test_the_prompts_that_a_run_is_asked_anew() -> None:
    assert parts_of("two-hop/landmark_country+country_capital") == ("facts/landmark_country", "facts/country_capital")
    assert parts_of("reversed/country_capital") == ("facts/country_capital",)
    about: dict[str, Any] = {"answers": (" Paris",), "spans": {"subject": (14, 20)}}
    pair = PromptPair(prompt="The centre of France is", counterfactual="The centre of Spain is", **about)
    assert template_of(pair) == "The centre of {subject} is"


def test_circuits_of_files_compete(
    tiny_task: tuple[Path, Path], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a task of its own the model's circuits are found, run and beside their copies."""
    from materials import material_of

    from wheatstone._progress import silent
    from wheatstone.models import load_model
    from wheatstone.tasks import load_task

    folder, file = tiny_task
    model = load_model(str(folder))
    task = load_task(str(file), model, known=None)
    monkeypatch.setattr("wheatstone.mechanisms._competition_section.COMPETING", (str(file),))
    monkeypatch.setattr("wheatstone.mechanisms._competition_section._EDGES", 30)
    material = material_of(Experiment(model, (*task.train, *task.test)), task=task.name)
    found = SECTIONS["competition"].read(material, silent)
    assert isinstance(found.summary, CompetitionSummary)
    (circuit,) = found.summary.circuits
    ranked = task_circuits(model, (str(file),), edges=30)[str(file)].examples
    others = [at for at, pair in enumerate(material.experiment.encoded.pairs) if pair not in ranked]
    n = len(others)
    assert 0 < len(ranked) == 5 - n  # a circuit is not measured on the prompts that it was ranked on
    assert (circuit.circuit, circuit.edges, circuit.own_edges, circuit.n) == (str(file), 30, 30, n)
    assert found.summary.held_out is True
    assert found.summary.model == rounding(model).near(float(material.experiment.clean[others].mean()))
    assert circuit.drop == pytest.approx(circuit.own_drop)  # no other circuit has any of its edges
    assert (found.summary.task, found.summary.ladder, set(found.tables)) == (None, (), {"competition"})
