"""The catalogue: an index that many processes share and that never outlives the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wheatstone import RunError
from wheatstone.runs import catalogue_add, catalogue_entries, catalogue_remove, new_run
from wheatstone.runs._folder import FORMAT, write_json


def make_run(out: Path, *, created: str = "2026-01-01T00:00:00+00:00", edges: int | None = 7, task: str = "") -> Path:
    manifest = {
        "format": FORMAT,
        "verb": "discover",
        "model": {"id": "tiny"},
        "settings": {"task": task},
        "prompts": [{"prompt": "The sky is"}],
        "created": created,
    }
    evaluation = None if edges is None else {"edges": edges, "faithfulness": 0.93}
    with new_run(out, force=True) as folder:
        write_json(folder / "manifest.json", manifest)
        write_json(folder / "circuit.json", {} if evaluation is None else {"evaluation": evaluation})
    return out


def test_runs_are_listed_newest_first_each_once(own_home: Path, tmp_path: Path) -> None:
    assert catalogue_entries() == []
    old, new = make_run(tmp_path / "old"), make_run(tmp_path / "new", created="2026-02-01T00:00:00+00:00", task="facts")
    entry = catalogue_add(old)
    assert (entry.path, entry.verb, entry.model, entry.task) == (str(old), "discover", "tiny", "The sky is")
    assert (entry.edges, entry.faithfulness) == (7, 0.93)
    catalogue_add(new)
    make_run(old, edges=3)
    catalogue_add(old)
    assert [(entry.path, entry.edges, entry.task) for entry in catalogue_entries()] == [
        (str(new), 7, "facts"),
        (str(old), 3, "The sky is"),
    ]


def test_a_run_without_an_evaluation_is_listed(own_home: Path, tmp_path: Path) -> None:
    catalogue_add(make_run(tmp_path / "run", edges=None))
    (entry,) = catalogue_entries()
    assert entry.edges is entry.faithfulness is None


def test_relative_paths_are_those_of_now(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    assert catalogue_add(Path("run")).path == str(tmp_path / "run")
    catalogue_remove(Path("run"))
    assert catalogue_entries() == []
    assert (tmp_path / "run").is_dir()


def test_a_run_that_is_gone_is_shown_as_gone(own_home: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    assert catalogue_add(run).exists
    run.rename(tmp_path / "elsewhere")
    (entry,) = catalogue_entries()
    assert not entry.exists


def test_four_processes_adding_at_once_lose_nothing(own_home: Path, tmp_path: Path) -> None:
    for index in range(20):
        make_run(tmp_path / f"run{index}")
    code = (
        "import sys; from pathlib import Path; from wheatstone.runs import catalogue_add\n"
        "for path in sys.argv[1:]: catalogue_add(Path(path))"
    )
    batches = [[str(tmp_path / f"run{index}") for index in range(first, 20, 4)] for first in range(4)]
    processes = [subprocess.Popen([sys.executable, "-c", code, *batch]) for batch in batches]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    assert {entry.path for entry in catalogue_entries()} == {path for batch in batches for path in batch}


def test_what_is_not_a_run_is_not_listed(own_home: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a run folder with a manifest"):
        catalogue_add(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "wheatstone.run/2"}))
    with pytest.raises(RunError, match="a run of format"):
        catalogue_add(tmp_path)
    assert catalogue_entries() == []


def test_a_damaged_catalogue_says_what_to_do(own_home: Path) -> None:
    own_home.mkdir()
    (own_home / "catalogue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match=r"catalogue\.sqlite: file is not a database; if it is damaged, delete it"):
        catalogue_entries()
