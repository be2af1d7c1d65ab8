"""Lines of the list of runs, kept between starts of the studio."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from wheatstone._home import home
from wheatstone.studio import Library, _library, _lines

UNREADABLE = ["", "[]", '{"made_by": 1}', '{"lines": {"/x": 1}}', "spoilt state", "spoilt facts"]


@pytest.fixture
def record(runs_folder: Path) -> Path:
    """The file, of runs that were listed once; nothing is kept in memory."""
    Library((runs_folder,)).runs()
    _lines._kept.clear()
    return home() / "studio" / "lines.json"


def test_a_run_that_did_not_change_is_not_read_again(
    record: Path, runs_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    facts = _library._facts
    monkeypatch.setattr(_library, "_facts", lambda path: (read.append(path), facts(path))[1])
    before = Library((runs_folder,)).runs()
    assert read == []
    manifest = runs_folder / "mine" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"title": "another"}))
    os.utime(manifest, (1, 1))
    after = Library((runs_folder,)).runs()
    assert read == [runs_folder / "mine"]
    assert [run.title for run in after.runs if not run.example] == ["another"]
    assert [run for run in after.runs if run.example] == [run for run in before.runs if run.example]
    _lines._kept.clear()
    assert Library((runs_folder,)).runs() == after
    assert read == [runs_folder / "mine"]


@pytest.mark.parametrize("spoilt", UNREADABLE)
def test_a_record_that_cannot_be_used_costs_nothing_but_time(record: Path, runs_folder: Path, spoilt: str) -> None:
    before = Library((runs_folder,)).runs()
    _lines._kept.clear()
    if spoilt.startswith("spoilt"):
        document = json.loads(record.read_text())
        line = document["lines"][str(runs_folder / "mine")]
        line[0 if "state" in spoilt else 2] = ["x"] if "state" in spoilt else {"title": ["no text"]}
        spoilt = json.dumps(document)
    record.write_text(spoilt)
    assert Library((runs_folder,)).runs() == before
    assert json.loads(record.read_text())["lines"]


def test_lines_of_runs_that_are_gone_are_dropped(record: Path, runs_folder: Path) -> None:
    (runs_folder / "mine" / "manifest.json").unlink()
    Library((runs_folder,)).runs()
    assert str(runs_folder / "mine") not in json.loads(record.read_text())["lines"]
