"""`wheatstone card`: on a tiny run of a task, on an imported circuit, and on what has no circuit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import Cli, Refused

from wheatstone.discovery import DiscoverySettings
from wheatstone.models import load_model
from wheatstone.runs import add_file, damaged_files, new_run
from wheatstone.studies import run_discovery
from wheatstone.tasks import load_task
from wheatstone.verification import LINES, VERDICTS

QUICK = ("--samples", 4, "--draws", 1, "--shuffles", 1, "--effects", 2)


@pytest.fixture(scope="module")
def tiny_run(tiny_task: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a task on a tiny model in a folder."""
    folder, file = tiny_task
    model = load_model(str(folder))
    task = load_task(str(file), model, known=None)
    out = tmp_path_factory.mktemp("card") / "run"
    with new_run(out) as made:
        run_discovery(model, task.train, DiscoverySettings(method="eap-ig", allow_weak=True)).save(made)
        add_file(made, "task.json", task.to_json())
    return out


def test_it_prints_what_the_run_keeps(tiny_run: Path, tmp_path: Path, cli: Cli) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    document = cli("card", run, *QUICK, "--json").document
    assert set(LINES) <= document.keys()
    assert {document[name]["verdict"] for name in LINES} <= set(VERDICTS)
    assert all(document[name]["why"] for name in LINES)
    stored = json.loads((run / "card.json").read_text())
    assert {name: stored[name] for name in LINES} == {name: document[name] for name in LINES}
    assert (run / "card.html").is_file()
    assert damaged_files(run) == []
    shown = cli("card", run, *QUICK)
    assert shown.code == 0
    for name in LINES:
        assert " ".join(document[name]["why"].split()) in " ".join(shown.out.split())


def test_an_imported_circuit_without_prompts(
    tiny_run: Path, tiny_task: tuple[Path, Path], tmp_path: Path, cli: Cli
) -> None:
    file = tmp_path / "circuit.eap.json"
    assert cli("export", tiny_run, "--format", "eap-json", "--out", file).code == 0
    bare = tmp_path / "bare"
    assert cli("import", file, "--model", tiny_task[0], "--out", bare, "--no-figures").code == 0
    document = cli("card", bare, *QUICK, "--json").document
    assert {document[name]["verdict"] for name in LINES} == {"not tested"}
    assert "imported without prompts" in document["null"]["why"]
    assert (bare / "card.html").is_file()


def test_an_imported_circuit_with_a_task(
    tiny_run: Path, tiny_task: tuple[Path, Path], tmp_path: Path, cli: Cli
) -> None:
    """Its scores are made again: the file has none of single prompts."""
    file, task = tmp_path / "circuit.eap.json", tmp_path / "task"
    assert cli("export", tiny_run, "--format", "eap-json", "--out", file).code == 0
    words = ("import", file, "--model", tiny_task[0], "--task", tiny_task[1], "--known", 0, "--no-figures")
    assert cli(*words, "--out", task).code == 0
    document = cli("card", task, *QUICK, "--json").document
    assert document["held_out"]["available"] == 3
    assert document["core"]["method"] == "eap-ig"


def test_requests_that_cannot_be_carried_out(tiny_run: Path, tmp_path: Path, refused: Refused) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "a run folder with a manifest.json" in refused("card", tmp_path / "none")
    assert "--samples from 2 to 1,000" in refused("card", run, "--samples", 1)
    assert "--keep from 0 to 1" in refused("card", run, "--keep", 1.5)
    assert "no-such-task" in refused("card", run, "--against", "no-such-task")
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"verb": "study"}))
    assert "a run of `wheatstone discover` or `wheatstone import`" in refused("card", run)
    (run / "manifest.json").write_bytes(before[run / "manifest.json"])
    circuit = json.loads((run / "circuit.json").read_text())
    (run / "circuit.json").write_text(json.dumps(circuit | {"edges": []}))
    assert "a circuit with edges" in refused("card", run, *QUICK)
    (run / "circuit.json").write_bytes(before[run / "circuit.json"])
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_another_model_s_circuit_says_so_on_every_line(tiny_run: Path, tmp_path: Path, cli: Cli) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    circuit = json.loads((run / "circuit.json").read_text())
    circuit["model"]["sha256"] = "0" * 64
    (run / "circuit.json").write_text(json.dumps(circuit))
    document = cli("card", run, *QUICK, "--json").document
    assert {document[name]["verdict"] for name in LINES} == {"not tested"}
    assert all("the weights the circuit was found in" in document[name]["why"] for name in LINES)
