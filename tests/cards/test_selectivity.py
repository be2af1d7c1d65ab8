"""What every task loses without every circuit: cells against the definition, stopped work, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from tiny import explainable_pairs, make_tiny
from tolerance import rounding

from wheatstone import CircuitError, Experiment, RequestError, ResidualModel, RunError
from wheatstone._progress import Reporter, silent
from wheatstone.cards import SelectivitySettings, run_selectivity
from wheatstone.cards._selectivity_circuits import TaskCircuit, _circuits_in, own_parts
from wheatstone.cards._selectivity_matrix import matrix_of, summary_of
from wheatstone.circuits import Circuit
from wheatstone.discovery import DiscoverySettings
from wheatstone.executors import Done, LocalExecutor, Shard
from wheatstone.figures import render_all
from wheatstone.runs import add_file, damaged_files, import_run, new_run, write_hashes
from wheatstone.studies import run_discovery
from wheatstone.tasks import PromptPair, load_task

NAMES = ("first", "second", "third")


@pytest.fixture(scope="module")
def model() -> ResidualModel:
    return make_tiny("llama", torch.float64)


@pytest.fixture(scope="module")
def tasks(model: ResidualModel) -> dict[str, list[PromptPair]]:
    """Three tasks of ten prompts each, the last six of which are held out."""
    prompts = {
        "first": [(f"w{at} w2 w3", f"w{at + 10} w2 w3") for at in range(4, 14)],
        "second": [(f"w5 w{at} w3", f"w5 w{at + 10} w3") for at in range(4, 14)],
        "third": [(f"w5 w6 w{at}", f"w5 w6 w{at + 10}") for at in range(4, 14)],
    }
    return {name: explainable_pairs(model, prompts[name]) for name in NAMES}


@pytest.fixture(scope="module")
def runs(model: ResidualModel, tasks: dict[str, list[PromptPair]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each task, in a folder of its name."""
    folder = tmp_path_factory.mktemp("selectivity")
    settings = DiscoverySettings(method="eap-ig", allow_weak=True, faithfulness=0.8)
    for name, pairs in tasks.items():
        with new_run(folder / name) as made:
            run_discovery(model, pairs[:4], settings).save(made)
            splits = {"train": pairs[:4], "validation": [], "test": pairs[4:]}
            dumped = {split: [pair.model_dump() for pair in of] for split, of in splits.items()}
            add_file(made, "task.json", {"name": name, "pairs": dumped})
    return folder


def settings_of(runs: Path, *names: str, shared: float = 0.9) -> SelectivitySettings:
    return SelectivitySettings(tuple(runs / name for name in names or NAMES), shared=shared)


def test_each_cell_is_the_share_that_a_held_out_task_loses(
    model: ResidualModel, runs: Path, tasks: dict[str, list[PromptPair]], tmp_path: Path
) -> None:
    """By hand: the whole model without a circuit's edges, but for those that all three keep."""
    out = tmp_path / "out"
    document = run_selectivity(model, settings_of(runs), out, pictures=render_all)
    cells = {(row["circuit"], row["task"]): row for row in pq.read_table(out / "matrix.parquet").to_pylist()}
    assert len(cells) == 9
    circuits = {name: Circuit.load(runs / name) for name in NAMES}
    common = set.intersection(*(set(circuit.edges) for circuit in circuits.values()))
    assert common
    valid = torch.from_numpy(model.graph.valid)
    near = rounding(model, passes=2)
    for task, pairs in tasks.items():
        experiment = Experiment(model, pairs[4:], allow_weak=True)
        change = (experiment.clean - experiment.corrupt).mean()
        for name, circuit in circuits.items():
            keep = valid.clone()
            for edge in set(circuit.edges) - common:
                keep[model.graph.edge(*edge)] = False
            lost = float((experiment.clean - experiment.values(keep[None])[0]).mean() / change)
            scale = float(experiment.clean_logits.abs().max() / change.abs())
            assert cells[name, task]["lost"] == near.near(lost, magnitude=scale)
            assert cells[name, task]["facts"] == 6
            assert cells[name, task]["low"] <= cells[name, task]["lost"] <= cells[name, task]["high"]
    for row in document["circuits"]:
        own = cells[row["circuit"], row["circuit"]]
        column = [cells[other, row["circuit"]]["lost"] for other in NAMES]
        others = [cells[row["circuit"], other] for other in NAMES if other != row["circuit"]]
        assert row["ablated"] == len(set(circuits[row["circuit"]].edges) - common)
        assert row["place"] == sorted(column, reverse=True).index(own["lost"]) + 1
        assert row["clearly_less"] == sum(other["high"] < own["low"] for other in others)
    assert json.loads((out / "selectivity.json").read_text()) == document
    assert damaged_files(out) == []
    assert (out / "figures" / "matrix.svg").is_file()
    page = (out / "report.html").read_text()
    assert all(name in page for name in NAMES)


def test_whole_circuits_are_ablated_where_all_may_share(model: ResidualModel, runs: Path, tmp_path: Path) -> None:
    document = run_selectivity(model, settings_of(runs, shared=1), tmp_path / "out")
    assert [row["ablated"] for row in document["circuits"]] == [row["edges"] for row in document["circuits"]]


def test_stopped_anywhere_it_goes_on_and_gives_the_same(
    model: ResidualModel, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    run_selectivity(model, settings_of(runs), whole)
    out = tmp_path / "out"
    measured: list[str] = []

    class Stopping(LocalExecutor):
        """Ends after the first task, as a killed process does."""

        def run(
            self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent
        ) -> Generator[Done, None, None]:
            for done in super().run(model, shards, report):
                measured.append(done.shard)
                yield done
                if out.name == "out" and len(measured) == 1:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_selectivity(model, settings_of(runs), out, executor=Stopping())
    assert not (out / "manifest.json").exists()
    run_selectivity(model, settings_of(runs), out, executor=Stopping())
    assert measured == list(NAMES)
    assert (out / "matrix.parquet").read_bytes() == (whole / "matrix.parquet").read_bytes()
    assert (out / "selectivity.json").read_bytes() == (whole / "selectivity.json").read_bytes()
    with pytest.raises(RunError, match=r"shared: 0\.5, where it began with 0.9"):
        run_selectivity(model, settings_of(runs, shared=0.5), out)


def test_the_facts_of_a_study_are_loaded_once(
    model: ResidualModel,
    runs: Path,
    tasks: dict[str, list[PromptPair]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A study keeps no facts: the model is asked about each task's, on the first start alone."""
    studied: list[TaskCircuit] = []
    for name in NAMES:
        file = tmp_path / f"{name}.jsonl"
        file.write_text("\n".join(pair.model_dump_json() for pair in tasks[name]))
        studied.append(TaskCircuit(name, Circuit.load(runs / name), task=str(file)))
    monkeypatch.setattr(SelectivitySettings, "circuits", lambda self: tuple(studied))
    loaded: list[str] = []
    monkeypatch.setattr(
        "wheatstone.cards._selectivity_circuits.load_task",
        lambda source, *args, **more: loaded.append(Path(source).stem) or load_task(source, *args, **more),
    )

    class Stopping(LocalExecutor):
        """Ends before the first task, as a killed process does."""

        def run(
            self, model: ResidualModel, shards: Sequence[Shard], report: Reporter = silent
        ) -> Generator[Done, None, None]:
            raise KeyboardInterrupt
            yield

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_selectivity(model, settings_of(runs), out, executor=Stopping())
    kept = (out / "studied-facts.json").read_bytes()
    first = run_selectivity(model, settings_of(runs), out)
    assert loaded == list(NAMES)
    assert (out / "studied-facts.json").read_bytes() == kept
    assert damaged_files(out) == []
    assert run_selectivity(model, settings_of(runs), tmp_path / "again") == first
    assert loaded == [*NAMES, *NAMES]
    (out / "studied-facts.json").write_text('{"first": [{"prompt": 3}]}')
    with pytest.raises(RunError, match="validation error"):
        run_selectivity(model, settings_of(runs), out)


def test_an_edge_that_exactly_the_share_keeps_is_no_common_one(runs: Path) -> None:
    """0.29 · 100 is a little less than 29 in floating point."""
    circuit = Circuit.load(runs / "first")
    one, other = circuit.edges[:2]
    many = [
        TaskCircuit(str(at), replace(circuit, edges=(one, other) if at < 29 else (other,), scores=None, effects=None))
        for at in range(100)
    ]
    assert own_parts(many, 0.29)["0"] == (one,)


def test_a_matrix_by_hand() -> None:
    """Two circuits and three tasks, one of which has no circuit of its own among the measured."""
    results = [
        {"task": "a", "whole": [1.0, 3.0], "lost": {"a": [1.0, 2.0], "b": [0.0, 1.0]}},
        {"task": "b", "whole": [2.0, 2.0], "lost": {"a": [1.0, 1.0], "b": [0.0, 1.0]}},
    ]
    cells = {(cell.circuit, cell.task): cell.lost for cell in matrix_of(results)}
    assert cells == {("a", "a"): 0.75, ("b", "a"): 0.25, ("a", "b"): 0.5, ("b", "b"): 0.25}
    found = summary_of(matrix_of(results), {"a": (5, 4), "b": (3, 3)})
    assert [row["place"] for row in found["circuits"]] == [1, 2]
    assert (found["own"]["value"], found["others"]["value"], found["difference"]["value"]) == (0.5, 0.375, 0.125)
    assert found["first"] == 1
    one = summary_of(matrix_of(results[:1]), {"a": (5, 4), "b": (3, 3)})
    assert [(row["own"] is None, row["others"] is None) for row in one["circuits"]] == [(False, True), (True, False)]
    assert one["difference"] is None


@pytest.mark.parametrize(
    ("spoil", "error", "said"),
    [
        (lambda circuit: replace(circuit, edges=(), scores=None, effects=None), CircuitError, "circuits with edges"),
        (lambda circuit: replace(circuit, task="facts/second"), RequestError, "two of second"),
        (
            lambda circuit: replace(circuit, model=replace(circuit.model, sha256="0" * 64)),
            CircuitError,
            "circuits of one model",
        ),
    ],
)
def test_circuits_that_cannot_be_compared(
    runs: Path, tmp_path: Path, spoil: Callable[[Circuit], Circuit], error: type[Exception], said: str
) -> None:
    with new_run(tmp_path / "first") as made:
        for file in ("manifest.json", "task.json"):
            (made / file).write_bytes((runs / "first" / file).read_bytes())
        spoil(Circuit.load(runs / "first")).save(made / "circuit.json")
    with pytest.raises(error, match=said):
        SelectivitySettings((tmp_path / "first", runs / "second")).circuits()


def test_one_circuit_has_nothing_to_be_compared_with(runs: Path) -> None:
    with pytest.raises(RequestError, match="at least two circuits; got 1"):
        settings_of(runs, "first").circuits()


def test_a_study_names_no_circuit_outside_itself(runs: Path, tmp_path: Path) -> None:
    """A run may come from anyone."""
    study, outside = tmp_path / "study", tmp_path / "outside"
    import_run(Path(__file__).parents[1] / "runs/formerly/study.zip", study)
    assert all(one.circuit.edges for one in _circuits_in(study))
    document = json.loads((study / "study.json").read_text())
    document["relations"][0]["relation"] = "../../outside"
    (study / "study.json").write_text(json.dumps(document))
    outside.mkdir()
    Circuit.load(runs / "first").save(outside / "circuit.json")
    write_hashes(study)
    with pytest.raises(RunError, match="outside"):
        _circuits_in(study)
