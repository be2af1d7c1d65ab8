"""An explanation is part of its run: all of it or none, its rows readable, what is missing said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from wheatstone import RequestError, RunError, load_model
from wheatstone.discovery import DiscoverySettings
from wheatstone.figures import PARTS, claims_of
from wheatstone.runs import add_file, damaged_files, new_part, new_run
from wheatstone.studies import SECTIONS, ExplainSettings, explain_run, run_discovery
from wheatstone.tasks import load_task


@pytest.fixture(scope="module")
def runs(tiny_task: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of a task and one of a single prompt, on a tiny model."""
    folder, file = tiny_task
    model = load_model(str(folder))
    task = load_task(str(file), model, known=None)
    out = tmp_path_factory.mktemp("explained")
    for name, pairs in (("task", task.train), ("prompt", task.train[:1])):
        with new_run(out / name) as made:
            run_discovery(model, pairs, DiscoverySettings(method="eap")).save(made)
            if name == "task":
                add_file(made, "task.json", task.to_json())
    return out / "task", out / "prompt"


def explained(run: Path, settings: ExplainSettings | None = None) -> dict[str, dict[str, Any]]:
    with new_part(run, "explain") as folder:
        return explain_run(run, folder, settings or ExplainSettings())


def interrupted(run: Path) -> None:
    with new_part(run, "explain") as folder:
        (folder / "half.json").write_text("{")
        raise KeyboardInterrupt


def test_every_section_has_a_part_of_the_page() -> None:
    assert list(PARTS) == list(SECTIONS)


def test_every_section_is_written_or_says_what_it_lacks(runs: tuple[Path, Path]) -> None:
    for run, n in zip(runs, (6, 1), strict=True):
        found = explained(run)
        assert set(found) == set(SECTIONS)
        for name, section in found.items():
            assert section == json.loads((run / "explain" / f"{name}.json").read_text())
            assert section["n"] == n
            assert len({"missing", "summary", "unasked"} & set(section)) == 1
            for table, rows in section.get("tables", {}).items():
                assert pq.read_metadata(run / "explain" / f"{table}.parquet").num_rows == rows
        assert damaged_files(run) == []
        tables = {table for section in found.values() for table in section.get("tables", {})}
        for name, claim in claims_of(run):
            assert claim.table in found[name]["tables"], claim
            assert claim.table in tables


def test_one_section_alone_leaves_the_others(runs: tuple[Path, Path]) -> None:
    run = runs[0]
    before = explained(run)
    found = explained(run, ExplainSettings(only=("lens",), most=2))
    assert found["lens"]["n"] == 2
    assert {name: found[name] for name in found if name != "lens"} == {
        name: before[name] for name in before if name != "lens"
    }


def test_a_dear_section_is_made_when_named_and_then_kept(
    runs: tuple[Path, Path], own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, task = runs[0], json.loads((runs[0] / "task.json").read_text())["name"]
    monkeypatch.setattr("wheatstone.mechanisms._competition_section.COMPETING", (task,))
    monkeypatch.setattr("wheatstone.mechanisms._competition_section._EDGES", 20)
    assert explained(run)["competition"]["unasked"] is True
    made = explained(run, ExplainSettings(only=("competition",)))["competition"]
    assert made["summary"]["edges"] == 20
    assert explained(run)["competition"] == made
    texts = [claim.text for name, claim in claims_of(run) if name == "competition"]
    assert any("own edges do more" in text for text in texts)


def test_requests_that_cannot_be_met_leave_the_run_as_it_was(runs: tuple[Path, Path]) -> None:
    run, prompt = runs
    explained(run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with pytest.raises(RequestError, match=r"a section out of lens.*got 'lense'"):
        explained(run, ExplainSettings(only=("lense",)))
    with pytest.raises(RequestError, match=r"a split out of .*got 'dev'"):
        explained(run, ExplainSettings(split="dev"))
    with pytest.raises(RequestError, match="a run of a task"):
        explained(prompt, ExplainSettings(split="test"))
    with pytest.raises(KeyboardInterrupt):
        interrupted(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert not list(run.glob(".explain*"))


def test_only_a_discovery_can_be_explained(tmp_path: Path) -> None:
    about = {"format": "wheatstone.run/1", "verb": "study", "created": "", "model": {"id": "m"}, "settings": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(about | {"prompts": []}))
    with pytest.raises(RunError, match="a run of `wheatstone discover`"):
        explained(tmp_path)


def test_splits_are_read_as_asked(runs: tuple[Path, Path]) -> None:
    assert explained(runs[0], ExplainSettings(only=("lens",), split="test"))["lens"]["n"] == 3
    assert explained(runs[0], ExplainSettings(only=("lens",)))["lens"]["prompts"] == "train, validation and test"


def test_a_circuit_that_tells_positions_apart_is_explained_by_whole_nodes(
    tiny_task: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, file = tiny_task
    model = load_model(str(folder))
    pairs = load_task(str(file), model, known=None).train[:1]
    with new_run(tmp_path / "run") as made:
        run_discovery(model, pairs, DiscoverySettings(method="eap", positions="each")).save(made)
    found = explained(tmp_path / "run", ExplainSettings(only=("attribution",)))
    assert "missing" not in found["attribution"]
    rows = pq.read_table(tmp_path / "run/explain/attribution_nodes.parquet").to_pylist()
    assert not any("@" in row["node"] for row in rows)
    assert any(row["in_circuit"] for row in rows)
