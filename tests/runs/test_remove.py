"""Runs taken away, and what is left of the list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_catalogue import make_run

from wheatstone import RunError
from wheatstone.runs import catalogue_add, catalogue_entries, delete_run, prunable, prune

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def paths(entries: object) -> list[str]:
    assert isinstance(entries, tuple)
    return [Path(entry.path).name for entry in entries]


def test_only_runs_that_are_gone_or_older_than_asked_go(own_home: Path, tmp_path: Path) -> None:
    for name, created in [
        ("new", "2026-02-20T00:00:00+00:00"),
        ("old", "2026-01-01T00:00:00+00:00"),
        ("naive", "2026-01-01T00:00:00"),
        ("odd", "yesterday"),
        ("gone", "2026-02-01T00:00:00+00:00"),
    ]:
        catalogue_add(make_run(tmp_path / name, created=created))
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    assert prunable(now=NOW).old == ()
    found = prunable(timedelta(days=30), now=NOW)
    assert (paths(found.gone), sorted(paths(found.old))) == (["gone"], ["naive", "old"])
    assert len(catalogue_entries()) == 5  # looking changes nothing
    prune(found)
    assert sorted(Path(entry.path).name for entry in catalogue_entries()) == ["new", "odd"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "home", "new", "odd"]


def test_a_folder_that_is_no_run_is_not_deleted(own_home: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    with pytest.raises(RunError):
        delete_run(tmp_path / "thesis")
    assert (tmp_path / "thesis").is_dir()


def test_a_link_to_a_run_is_deleted_and_the_run_stays(own_home: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    delete_run(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "run"]
    assert (run / "manifest.json").is_file()
