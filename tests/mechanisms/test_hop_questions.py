"""A two-hop or reversed question about a fact by name: the whole question, then each that it is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_tiny

from wheatstone import Circuit, Experiment, PromptPair, RequestError, ResidualModel
from wheatstone.circuits import ModelInfo
from wheatstone.discovery import DiscoverySettings
from wheatstone.figures import claims_of
from wheatstone.mechanisms._hop_questions import hop_questions
from wheatstone.models import Graph
from wheatstone.runs import new_part, new_run
from wheatstone.studies import ExplainSettings, explain_run, run_discovery
from wheatstone.tasks import load_task


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """w5 leads to w25 and so on, w25 to w34 and so on."""
    monkeypatch.chdir(tmp_path)
    first = [{"subject": f"w{at}", "answers": [f"w{at + 20}"]} for at in range(5, 19)]
    second = [{"subject": f"w{at}", "answers": [f"w{at - 10}"]} for at in range(25, 39)]
    common: dict[str, Any] = {"kind": "factual"}
    texts = {"templates": ["w0 {subject} w3"], "phrase": "w2 {subject}", "reverse_templates": ["{object} w1"]}
    for name, facts, more in (("inner", first, texts), ("outer", second, {"templates": ["w0 {subject} w4"]})):
        Path(f"{name}.json").write_text(json.dumps({"name": name, **common, **more, "facts": facts}))


def whole(model: ResidualModel) -> Circuit:
    graph: Graph = model.graph
    return Circuit.of_mask(ModelInfo.of(model), torch.from_numpy(graph.valid))


@pytest.mark.usefixtures("files")
def test_a_fact_by_name_is_asked_whole_and_hop_by_hop(model: ResidualModel) -> None:
    """In a circuit of all edges the answer has the rank that it has in the model."""
    task, parts = "two-hop/inner.json+outer.json", ("facts/inner.json", "facts/outer.json")
    circuits = dict.fromkeys((task, *parts), whole(model))
    rows = hop_questions(model, task, parts, circuits, ["W7 "])
    assert [(row.subject, row.prompt, row.answer) for row in rows] == [
        ("w7", "w0 w2 w7 w4", " w17"),
        ("w7", "w0 w7 w3", " w27"),
        ("w7", "w0 w27 w4", " w17"),
    ]
    for row in rows:
        logits = model.forward(model.tokens([row.prompt])).logits[0]
        token = model.continuation(row.answer)[0]
        assert row.rank == row.circuit_rank == int((logits >= logits[token]).sum())
        assert row.probability == pytest.approx(float(logits.softmax(-1)[token]), rel=1e-4)
        assert row.first == model.decode([int(logits.argmax())])[0]


@pytest.mark.usefixtures("files")
def test_a_mean_is_that_of_the_circuit_s_own_prompts(model: ResidualModel) -> None:
    """Not that of the one counterfactual of the question: three edges out of four ablated, the ranks differ."""
    task, parts = "two-hop/inner.json+outer.json", ("facts/inner.json", "facts/outer.json")
    examples = tuple(
        PromptPair(prompt=f"w0 w{at} w3", counterfactual=f"w0 w{at + 1} w3", answers=(f" w{at + 20}",), distractors=())
        for at in range(5, 9)
    )
    valid = torch.from_numpy(model.graph.valid)
    keep = valid & (torch.rand(valid.shape, generator=torch.Generator().manual_seed(0)) < 0.25)
    circuit = Circuit.of_mask(ModelInfo.of(model), keep, ablation="mean", metric="kl", examples=examples)
    rows = hop_questions(model, task, parts, dict.fromkeys((task, *parts), circuit), ["w7", "w9", "w11"])
    own: list[int] = []
    for row in rows:
        pair = PromptPair(prompt=row.prompt, counterfactual="w1 " + row.prompt[3:], answers=(row.answer,))
        experiment = Experiment(model, [pair], ablation="mean", metric="kl", reference=examples, allow_weak=True)
        logits = experiment.logits(keep[None])[0, 0]
        own.append(int((logits >= logits[model.continuation(row.answer)[0]]).sum()))
    assert [row.circuit_rank for row in rows] == own


@pytest.mark.usefixtures("files")
def test_a_reversed_fact_is_asked_as_it_is_too(model: ResidualModel) -> None:
    task, parts = "reversed/inner.json", ("facts/inner.json",)
    rows = hop_questions(model, task, parts, dict.fromkeys((task, *parts), whole(model)), ["w25", "w99"])
    assert [(row.prompt, row.answer) for row in rows] == [("w25 w1", " w5"), ("w0 w5 w3", " w25")]


@pytest.mark.usefixtures("files", "own_home")
def test_explain_asks_for_it(model: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The circuits of relations that a random model does not know are left out: here each has every edge."""

    def circuits(model: ResidualModel, names: Sequence[str], **_: object) -> dict[str, Circuit]:
        return dict.fromkeys(names, whole(model))

    def none(*_: object, **__: object) -> tuple[int, None]:
        return 0, None

    monkeypatch.setattr("wheatstone.mechanisms._hops_section.task_circuits", circuits)
    monkeypatch.setattr("wheatstone.mechanisms._hops_section.held_out_faithfulness", none)
    run = tmp_path / "run"
    task = load_task("two-hop/inner.json+outer.json", model, known=None)
    with new_run(run) as folder:
        run_discovery(model, task.train, DiscoverySettings(method="eap", task=task.name, allow_weak=True)).save(folder)
        (folder / "task.json").write_text(json.dumps(task.to_json()))
    with pytest.raises(RequestError, match=r"a subject of the run's relation, such as .*; got 'w60'"):
        explain_run(run, run / "none", ExplainSettings(("hops",), subjects=("w60",)), model=model)
    with new_part(run, "explain") as folder:
        found = explain_run(run, folder, ExplainSettings(("hops",), subjects=("w7",)), model=model)
    named = found["hops"]["summary"]["named"]
    assert [row["prompt"] for row in named] == ["w0 w2 w7 w4", "w0 w7 w3", "w0 w27 w4"]
    assert (run / "explain" / "hop_questions.parquet").is_file()
    (first, *_) = (claim.text for name, claim in claims_of(run) if name == "hops")
    assert first.startswith("w7, asked for by name: after “w0 w2 w7 w4” the model ")
    assert first.count("; its own circuit alone ranks that ") == len([row for row in named if row["circuit_rank"]])
