"""A relation study: what is chosen and averaged by hand, resuming, refusing, and one relation on real weights."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import WORDS, make_tiny

from wheatstone import Circuit, PromptError, RequestError, ResidualModel, RunError
from wheatstone._effects import gain_kept
from wheatstone.circuits import ModelInfo
from wheatstone.executors._resumable import alone_in
from wheatstone.runs import catalogue_add, damaged_files
from wheatstone.studies import StudySettings, run_study, study_so_far
from wheatstone.studies import _study as study_module
from wheatstone.studies import _study_relation as relation_module
from wheatstone.studies._study_find import as_good
from wheatstone.studies._study_overlap import overlap
from wheatstone.studies._study_relation import study_relation
from wheatstone.tasks import KNOWN_RANK
from wheatstone.verification import CONDITIONS

pytestmark = pytest.mark.usefixtures("own_home")


def relation(facts: list[tuple[str, list[str]]], *templates: str) -> dict[str, Any]:
    rows = [{"subject": subject, "answers": answers} for subject, answers in facts]
    return {"name": "words", "kind": "factual", "templates": templates or ("w0 {subject} w3",), "facts": rows}


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float32)


def facts_it_knows(model: ResidualModel, template: str, words: list[str]) -> list[tuple[str, list[str]]]:
    """Facts that this random model happens to hold: its own first choice after each subject."""
    prompts = [template.replace("{subject}", word) for word in words]
    first = [int(model.forward(model.tokens([prompt])).logits[0].argmax()) for prompt in prompts]
    return [(word, [WORDS[token]]) for word, token in zip(words, first, strict=True)]


@pytest.fixture(scope="module")
def known(model: ResidualModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, template = tmp_path_factory.mktemp("known"), "w0 {subject} w3"
    facts = facts_it_knows(model, template, WORDS)
    return write(folder, "known.json", relation(facts, template, "{subject} w3"))


def settings(*relations: object, **more: Any) -> StudySettings:
    asked: dict[str, Any] = {"train": 4, "test": 8, "share": 0.5, "draws": 3, "method": "eap-ig"} | more
    return StudySettings(tuple(map(str, relations)), **asked)


def test_a_circuit_is_made_smaller_only_on_evidence() -> None:
    few = np.ones(20)  # equal on 20 facts is not yet within 5 points
    assert as_good(np.stack([np.r_[0, np.ones(19)], few, few]), 0.05) == 2
    many = np.ones(400)
    assert as_good(np.stack([np.r_[np.zeros(40), np.ones(360)], many, many]), 0.05) == 1
    assert as_good(np.stack([np.ones(3), np.ones(3)]), 0.5) == 1  # too few for an interval
    assert as_good(np.stack([np.ones(40), np.r_[np.zeros(4), np.ones(36)]]), 0.05) == 0  # the larger one is worse


def test_the_gain_that_is_kept() -> None:
    assert gain_kept(1.0, 0.8, 0.5) == pytest.approx(0.6)
    assert gain_kept(0.5, 0.8, 0.5) is None


def test_facts_by_the_model_s_own_rank() -> None:
    def prompt(model: int, circuit: int, empty: int) -> dict[str, Any]:
        return {"model": {"rank": model}, "circuit": {"rank": circuit}, "empty": {"rank": empty}}

    found = study_module._by_rank([prompt(1, 10, 11), prompt(1, 3, 2), prompt(2, 11, 300), prompt(10, 1, 9)])
    assert found["1"] == {"n": 2, "circuit": 2, "empty": 1}
    assert found["2 to 3"] == {"n": 1, "circuit": 0, "empty": 0}
    assert found["4 to 10"] == {"n": 1, "circuit": 1, "empty": 1}


def test_averages_by_hand() -> None:
    def row(kept: float | None, train: float, **others: float | None) -> dict[str, Any]:
        hit = dict.fromkeys(CONDITIONS, 0.5)
        return {
            "gain_kept": kept,
            "edges": 10,
            "share": 0.01,
            "test": {"hit_at_1": hit, "hit_at_10": hit, "faithfulness": 1.0},
            "curve": [{"edges": 10, "share": 0.01, "gain_kept_train": train, "gain_kept_test": kept}],
            "transfer": {name: {"gain_kept": other} for name, other in others.items()} | {"unasked": {"why_not": ""}},
        }

    rows = [row(0.8, 1.0, one=0.6, two=None, reversed=0.0), row(0.6, 0.8, one=0.5, two=0.4), row(None, 0.0, one=0.9)]
    found = study_module._average(rows)
    assert found is not None
    assert found["gain_kept"] == pytest.approx(0.7)
    assert found["other_templates"] == pytest.approx({"n": 3, "gain_kept": 0.5, "gap": (0.2 + 0.1 + 0.2) / 3})
    (point,) = found["curve"]  # without the relation on which the model gains nothing
    assert point == pytest.approx({"edges": 10, "share": 0.01, "gain_kept_train": 0.9, "gain_kept_test": 0.7})


def test_overlap_by_hand() -> None:
    graph = make_tiny("llama", torch.float32)
    info = ModelInfo.of(graph)
    edges = Circuit.of_mask(info, torch.from_numpy(info.graph.valid)).edges
    circuits = [Circuit(info, edges[:2]), Circuit(info, edges[5:7]), Circuit(info, edges[1:3])]
    found = overlap(["a", "b", "c"], circuits)
    assert found["order"] in (["a", "c", "b"], ["c", "a", "b"], ["b", "a", "c"], ["b", "c", "a"])
    place = {name: index for index, name in enumerate(found["order"])}
    assert found["edges"][place["a"]][place["c"]] == pytest.approx(1 / 3)
    assert found["edges"][place["a"]][place["b"]] == 0
    assert [found["edges"][i][i] for i in range(3)] == [1, 1, 1]


def test_a_study_and_its_files(model: ResidualModel, known: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    document = run_study(model, settings(known, method="re-ranked", faithfulness=0.6), out)
    assert json.loads((out / "study.json").read_text()) == document
    (row,) = document["relations"]
    circuit = Circuit.load(out / "relations/known/circuit.json")
    result = json.loads((out / "relations/known/result.json").read_text())
    assert len(circuit) == row["edges"] == result["edges"] <= 0.5 * model.graph.edges
    assert row["edges"] in {tried["edges"] for tried in row["validation"]}
    hit = row["test"]["hit_at_10"]
    assert set(hit) == set(CONDITIONS)
    assert hit["model"] == 1  # what the model knows is what it was asked
    assert row["test"]["n"] == len(result["test"]["prompts"]) == min(8, row["facts"]["test"])
    trained = {pair.prompt for pair in circuit.examples}
    assert len(trained) == row["facts"]["discovered_on"] == 4
    assert not trained & {prompt["prompt"] for prompt in result["test"]["prompts"]}
    assert sum(of["n"] for of in row["by_model_rank"].values()) == row["test"]["n"]
    assert study_so_far(out) == document | {"to_do": []}
    assert row["few"]
    assert document["average"] is None
    assert set(row["transfer"]) == {"template 1"}
    assert damaged_files(out) == []
    entry = catalogue_add(out)
    assert (entry.verb, entry.task, entry.edges) == ("study", "1 relations", None)


def test_a_learned_ranking_is_judged_against_several_counterfactuals(model: ResidualModel, known: Path) -> None:
    asked = settings(known, method="learned", steps=3, batch=2, share=0.2, counterfactuals=3)
    result = study_relation(model, str(known), asked)
    limit = int(0.2 * model.graph.edges)
    assert [(row["by"], row["edges"]) for row in result.about["validation"]] == [
        ("nested masks", limit // part) for part in (4, 2, 1)
    ]
    assert len(result.circuit) in {limit // part for part in (4, 2, 1)}
    verification = result.verification
    assert verification.n == min(8, result.about["facts"]["test"])
    assert verification.n < (verification.pairs or 0) <= 3 * verification.n
    curve = result.about["curve"]
    assert [row["edges"] for row in curve] == sorted(row["edges"] for row in curve)
    one = study_relation(model, str(known), replace(asked, counterfactuals=1)).verification
    assert one.pairs == one.n


def test_it_goes_on_where_it_stopped(
    model: ResidualModel, known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = known.with_name("other.json")
    other.write_bytes(known.read_bytes())
    out, asked, real, done = tmp_path / "study", settings(known, other), study_relation, list[str]()

    def interrupted(model: ResidualModel, relation: str, *rest: Any, **more: Any) -> Any:
        if relation == str(other) and "stopped" not in done:
            done.append("stopped")
            raise KeyboardInterrupt
        done.append(relation)
        return real(model, relation, *rest, **more)

    monkeypatch.setattr(relation_module, "study_relation", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(model, asked, out)
    assert [path.name for path in (out / "relations").iterdir()] == ["known"]
    assert not (out / "manifest.json").exists()
    first = (out / "relations/known/result.json").read_bytes()
    document = run_study(model, asked, out)
    assert [row["relation"] for row in document["relations"]] == ["known", "other"]
    assert document["overlap"]["edges"] == [[1, 1], [1, 1]]
    assert (out / "relations/known/result.json").read_bytes() == first
    run_study(model, asked, out)
    assert done == [str(known), "stopped", str(other)]

    with pytest.raises(RunError, match=r"seed: 1, where it began with 0"):
        run_study(model, replace(asked, seed=1), out)
    assert json.loads((out / "study.json").read_text()) == document


def test_two_at_once_in_one_folder_are_refused(model: ResidualModel, known: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "study"
    with (
        alone_in(out, "study"),
        ThreadPoolExecutor() as other,
        pytest.raises(RunError, match=r"study, where one is running \(process \d+, since 20"),
    ):
        other.submit(run_study, model, settings(known), out).result()
    assert not out.parent.exists()
    assert run_study(model, settings(known), out)["relations"]


def test_a_folder_with_something_else_is_left_alone(model: ResidualModel, known: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="not a run"):
        run_study(model, settings(known), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["letter.txt"]


def test_what_fails_is_listed_and_the_rest_goes_on(model: ResidualModel, known: Path, tmp_path: Path) -> None:
    broken = write(tmp_path, "broken.json", "{")
    small = write(tmp_path, "small.json", relation([("w1", ["w2"]), ("w3", ["w4"]), ("w5", ["w6"])]))
    data = json.loads(known.read_text())
    data["facts"].append({"subject": "w1", "answers": ["w3"]})
    marred = write(tmp_path, "marred.json", data)
    document = run_study(model, settings(broken, small, marred), tmp_path / "study")
    assert set(document["failed"]) == {"broken", "small"}
    assert "broken.json" in document["failed"]["broken"]
    assert [row["relation"] for row in document["relations"]] == ["marred"]
    ((name, problems),) = document["skipped_records"].items()
    assert name == "marred"
    assert f"fact {len(data['facts'])} ('w1')" in problems[0]


def test_a_relation_nobody_knows(model: ResidualModel, tmp_path: Path) -> None:
    worst = [
        (word, [WORDS[int(model.forward(model.tokens([f"w0 {word} w3"])).logits[0].argmin())]]) for word in WORDS[1:20]
    ]
    unknown = write(tmp_path, "unknown.json", relation(worst))
    with pytest.raises(PromptError, match=rf"unknown: .*\(?0 of|top {KNOWN_RANK}"):
        run_study(model, settings(unknown), tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"relations": ("capitals",)}, "'capitals'"),
        ({"relations": ()}, "none"),
        ({"relations": ("antonym", "antonym")}, "'antonym' twice"),
        ({"train": 3}, "--train 3"),
        ({"share": 0.0}, "0.0"),
        ({"faithfulness": 1.5}, "1.5"),
        ({"method": "acdc"}, "threshold"),
        ({"steps": 0}, "--steps from 1 to 10,000; got 0"),
    ],
)
def test_wrong_settings(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        replace(StudySettings(("antonym",)), **change).check()
