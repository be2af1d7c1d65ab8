"""A sweep: its files, what it refuses, what `wheatstone runs` says of it, and stopped at any point the same bytes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
import stopped

from wheatstone import Circuit, PromptError, RequestError, ResidualModel, RunError, load_model
from wheatstone.cli import main
from wheatstone.executors import LocalExecutor, ProcessExecutor
from wheatstone.executors._resumable import alone_in
from wheatstone.runs import catalogue_add, damaged_files
from wheatstone.studies import SweepSettings, run_sweep

pytestmark = pytest.mark.usefixtures("own_home")
Shown = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def model(tiny_task: tuple[Path, Path]) -> ResidualModel:
    return load_model(str(tiny_task[0]))


@pytest.fixture
def pairs(tiny_task: tuple[Path, Path], tmp_path: Path) -> Path:
    """A file of six pairs that a test may change."""
    return Path(shutil.copy(tiny_task[1], tmp_path / "pairs.jsonl"))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shown:
    """A command's exit code and stdout."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["wheatstone", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out or err

    return run


def asked(*tasks: object, size: int | None = None) -> SweepSettings:
    return SweepSettings(tuple(map(str, tasks)), known=None, size=size)


def test_a_sweep_and_its_files(model: ResidualModel, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    document = run_sweep(model, asked(pairs), out, executor=LocalExecutor(1))
    assert json.loads((out / "sweep.json").read_text()) == document
    assert (document["pairs"], document["failed"]) == (6, {})
    rows = parquet.read_table(out / "pairs.parquet").to_pylist()
    assert [row["name"] for row in rows] == [f"pairs-{number:05}" for number in range(1, 7)]
    circuits = [Circuit.load(out / "pairs" / row["name"] / "circuit.json") for row in rows]
    assert [row["edges"] for row in rows] == [len(circuit) for circuit in circuits]
    assert [[row["prompt"]] for row in rows] == [[pair.prompt for pair in circuit.examples] for circuit in circuits]
    assert document["edges"]["most"] == max(row["edges"] for row in rows)
    assert min(row["faithfulness"] for row in rows) == document["faithfulness"]["least"] >= 0.8
    nodes = parquet.read_table(out / "nodes.parquet").to_pylist()
    counts = {row["node"]: row["circuits"] for row in nodes}
    assert all(counts[node] == sum(node in circuit.nodes for circuit in circuits) for node in counts)
    assert all(row["share"] == row["circuits"] / 6 for row in nodes)
    for row in nodes:
        head = ".h" in row["node"]
        assert head is (row["expected"] is not None) is (row["p"] is not None)
        if head:
            layer = row["node"].partition(".")[0]
            there = [sum(node.startswith(f"{layer}.h") for node in circuit.nodes) for circuit in circuits]
            assert row["expected"] == pytest.approx(sum(there) / 6 / model.graph.heads)
            assert row["excess"] == pytest.approx(row["share"] - row["expected"])
    heads = [row for row in nodes if ".h" in row["node"]]
    assert [row["excess"] for row in heads] == sorted((row["excess"] for row in heads), reverse=True)
    assert document["heads"] == heads  # fewer than are shown
    assert document["heads_in_all"] == sum(row["circuits"] == 6 for row in heads)
    assert document["heads_of_model"] == model.graph.layers * model.graph.heads
    assert damaged_files(out) == []
    entry = catalogue_add(out)
    assert (entry.verb, entry.task, entry.edges) == ("sweep", str(pairs), None)


def test_what_is_refused(model: ResidualModel, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="got none"):
        run_sweep(model, asked(), tmp_path / "sweep")
    with pytest.raises(RequestError, match=r"different names.*antonym, reversed/antonym"):
        run_sweep(model, asked("facts/antonym", "reversed/antonym"), tmp_path / "sweep")
    with pytest.raises(RequestError, match="not a run"):
        run_sweep(model, asked(pairs), tmp_path)
    with (
        alone_in(tmp_path / "sweep", "sweep"),
        ThreadPoolExecutor() as other,
        pytest.raises(RunError, match=r"sweep, where one is running \(process \d+, since 20"),
    ):
        other.submit(run_sweep, model, asked(pairs), tmp_path / "sweep").result()
    records = [json.loads(line) for line in pairs.read_text().splitlines()]
    for record in records:  # each now speaks for the other answer
        record["prompt"], record["counterfactual"] = record["counterfactual"], record["prompt"]
    pairs.write_text("\n".join(map(json.dumps, records)))
    with pytest.raises(PromptError, match=r"pairs-00001: .* \| pairs-00002: .*; choose another task"):
        run_sweep(model, asked(pairs), tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_it_goes_on_as_it_began(model: ResidualModel, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "sweep"
    first = run_sweep(model, asked(pairs), out)
    made = {path: path.read_bytes() for path in (out / "pairs").rglob("*.json")}
    assert run_sweep(model, asked(pairs), out) == first
    assert {path: path.read_bytes() for path in (out / "pairs").rglob("*.json")} == made
    with pytest.raises(RunError, match=r"another settings size: 3, where it began with None"):
        run_sweep(model, asked(pairs, size=3), out)
    pairs.write_text("".join(pairs.read_text().splitlines(keepends=True)[::-1]))
    with pytest.raises(RunError, match=rf"another files {pairs}: '"):
        run_sweep(model, asked(pairs), out)


def test_how_far_it_is(model: ResidualModel, pairs: Path, tmp_path: Path, shown: Shown) -> None:
    out = tmp_path / "sweep"
    run_sweep(model, asked(pairs), out, executor=LocalExecutor(1))
    code, said = shown("runs", "show", out)
    assert code == 0
    assert "result: pairs" in said
    evaluation = json.loads(shown("runs", "show", out, "--json")[1])["evaluation"]
    assert (evaluation["pairs"], evaluation["failed"]) == (6, 0)

    for name in ("manifest.json", "files.json", "sweep.json"):  # as a killed one leaves it
        (out / name).unlink()
    shutil.rmtree(out / "pairs" / "pairs-00003")
    found = json.loads(shown("runs", "show", out, "--json")[1])
    assert (found["unfinished"], found["done"], found["total"]) == ("sweep", 5, 6)
    said = shown("runs", "show", out)[1]
    assert "a sweep, 5 of 6 done" in said
    assert "wheatstone sweep" in said
    assert shown("runs", "check", out)[0] == 0
    (out / "pairs/pairs-00002/circuit.json").write_text("{}")
    code, said = shown("runs", "check", out, "--json")
    assert (code, json.loads(said)["damaged"]) == (1, ["pairs/pairs-00002/circuit.json"])
    run_sweep(model, asked(pairs), out)
    assert shown("runs", "check", out)[0] == 0


def test_the_command_stopped_at_random_points(model: ResidualModel, pairs: Path, tmp_path: Path) -> None:
    words = [sys.executable, stopped.__file__, "command", model.id, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["operations"] > 6 * 5
    # A signal that arrives while something is cleared away may be too late to stop it.
    assert set(found["ends"]["SIGINT"]) <= {130, 0}
    assert set(found["ends"]["SIGTERM"]) <= {128 + signal.SIGTERM, 0}
    assert found["ends"]["SIGKILL"] == [-signal.SIGKILL] * 2 or 0 in found["ends"]["SIGKILL"]
    assert "Traceback" not in done.stderr


def test_processes_find_what_one_finds(model: ResidualModel, pairs: Path, tmp_path: Path) -> None:
    for name, executor in (("here", LocalExecutor(1)), ("there", ProcessExecutor(2))):
        run_sweep(model, asked(pairs), tmp_path / name, executor=executor)
    assert stopped.same_bytes(tmp_path / "here") == stopped.same_bytes(tmp_path / "there")


def test_a_list_that_was_tampered_with_reaches_nothing_outside(
    model: ResidualModel, pairs: Path, tmp_path: Path
) -> None:
    out, victim = tmp_path / "sweep", tmp_path / "letters"
    run_sweep(model, SweepSettings((str(pairs),), known=None), out)
    victim.mkdir()
    (victim / "dear.txt").write_text("dear")
    listed = json.loads((out / "pairs.json").read_text())
    (out / "pairs.json").write_text(json.dumps({"../../letters": next(iter(listed.values()))}))
    with pytest.raises(RunError, match=r"letters.*do not trust"):
        run_sweep(model, SweepSettings((str(pairs),), known=None), out)
    assert (victim / "dear.txt").read_text() == "dear"
