"""The run folder: there whole or not at all, and damage is seen."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from needs import require

from wheatstone import ComputationError, RunError
from wheatstone.runs import add_file, check_free, damaged_files, new_run
from wheatstone.runs._folder import FORMAT, add_text, read_manifest, write_json


def make_run(out: Path, text: str = "first", *, force: bool = False) -> Path:
    with new_run(out, force=force) as folder:
        write_json(folder / "manifest.json", {"format": FORMAT, "text": text})
        (folder / "figures").mkdir()
        (folder / "figures" / "circuit.svg").write_text("<svg/>")
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def full_disk(tmp_path: Path) -> Generator[Path, None, None]:
    """A disk of 64 kB, really full when that much is written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    require("small disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_run_appears_whole_when_its_work_is_done(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    with new_run(out) as folder:
        assert not out.exists()
        assert folder.parent.parent == out.parent
        write_json(folder / "manifest.json", {"format": FORMAT})
    assert json.loads((out / "manifest.json").read_text()) == {"format": FORMAT}
    assert os.listdir(out.parent) == ["run"]
    assert out.stat().st_mode & 0o777 == 0o755
    assert damaged_files(out) == []


@pytest.mark.parametrize("stop", [ValueError("wrong"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("replaces", [False, True])
def test_work_that_stops_leaves_no_run_and_keeps_the_old_one(
    tmp_path: Path, stop: BaseException, replaces: bool
) -> None:
    out = tmp_path / "run"
    before = contents(make_run(out)) if replaces else {}
    expected = ComputationError if isinstance(stop, OSError) else type(stop)
    with pytest.raises(expected), new_run(out, force=True) as folder:  # noqa: PT012
        write_json(folder / "manifest.json", {"format": FORMAT, "text": "half"})
        raise stop
    assert os.listdir(tmp_path) == (["run"] if replaces else [])
    assert contents(out) == before


@pytest.mark.parametrize("fails_at", [1, 2, 3])  # the hashes, the old run's move aside, the new run's to its place
def test_a_disk_that_fails_while_runs_are_exchanged_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    out = make_run(tmp_path / "run")
    before, replace, calls = contents(out), os.replace, list[object]()
    monkeypatch.setattr("wheatstone._disk._exchange.exchange", lambda one, other: False)  # as on a network's disk

    def fails_once(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == fails_at + 1:  # the first puts the manifest in place
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_once)
    with pytest.raises(ComputationError, match=r"Input/output error; free some space.*nothing was left behind"):
        make_run(out, "second", force=True)
    assert os.listdir(tmp_path) == ["run"]
    assert contents(out) == before


def test_a_full_disk_leaves_no_run_and_keeps_the_old_one(full_disk: Path) -> None:
    old = make_run(full_disk / "old")
    before = contents(old)
    for out in (full_disk / "new", old):
        with pytest.raises(ComputationError, match="No space left on device"), new_run(out, force=True) as folder:  # noqa: PT012
            write_json(folder / "manifest.json", {"format": FORMAT})
            (folder / "edges.parquet").write_bytes(bytes(100_000))
        assert os.listdir(full_disk) == ["old"]
        assert contents(old) == before
    (full_disk / "filler").write_bytes(bytes(30_000))
    with pytest.raises(OSError, match="No space left on device"):
        add_file(old, "verification.json", "x" * 100_000)
    assert contents(old) == before
    assert damaged_files(old) == []


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    out = tmp_path / "run[1]"
    (tmp_path / ".run[1].partial-abc").mkdir()
    (tmp_path / ".run[1].partial-abc" / "edges.parquet").write_text("half")
    (tmp_path / ".other.partial-abc").mkdir()
    make_run(out)
    assert sorted(os.listdir(tmp_path)) == [".other.partial-abc", "run[1]"]


def test_a_run_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = make_run(tmp_path / "run")
    with pytest.raises(RunError, match=r"already holds a run; choose another --out, or replace the run with --force"):
        make_run(out, "second")
    assert json.loads((out / "manifest.json").read_text())["text"] == "first"
    make_run(out, "second", force=True)
    assert json.loads((out / "manifest.json").read_text())["text"] == "second"
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_a_run_is_never_replaced(tmp_path: Path, force: bool) -> None:
    folder, file = tmp_path / "thesis", tmp_path / "file"
    folder.mkdir()
    (folder / "chapter.tex").write_text("years of work")
    file.write_text("text")
    for out in (folder, file):
        with pytest.raises(RunError, match="something that is not a run; choose another --out"):
            check_free(out, force=force)
        with pytest.raises(RunError):
            make_run(out, force=force)
    assert (folder / "chapter.tex").read_text() == "years of work"
    assert file.read_text() == "text"
    empty = tmp_path / "empty"
    empty.mkdir()
    check_free(empty, force=force)
    make_run(empty, force=force)
    with pytest.raises(RunError, match="a folder that can be written"):
        make_run(file / "run", force=force)


def test_a_changed_or_missing_file_is_named(tmp_path: Path) -> None:
    out = make_run(tmp_path / "run")
    picture = out / "figures" / "circuit.svg"
    picture.write_bytes(bytes([picture.read_bytes()[0] ^ 1]) + picture.read_bytes()[1:])
    assert damaged_files(out) == ["figures/circuit.svg"]
    (out / "manifest.json").unlink()
    assert damaged_files(out) == ["figures/circuit.svg", "manifest.json"]
    (out / "files.json").write_text("{")
    assert damaged_files(out) == ["files.json"]


def test_adding_a_file_notes_it_and_hides_no_damage(tmp_path: Path) -> None:
    out = make_run(tmp_path / "run")
    add_file(out, "notes.json", {"n": 1})
    add_text(out, "report.html", "<html>")
    assert damaged_files(out) == []
    (out / "report.html").write_text("changed")
    assert damaged_files(out) == ["report.html"]
    add_file(out, "notes.json", {"n": 2})
    assert json.loads((out / "notes.json").read_text()) == {"n": 2}
    assert damaged_files(out) == ["report.html"]


def test_not_a_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"faithfulness": float("nan")})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (None, "a run folder with a manifest.json; got .*, a folder without a manifest.json"),
        ("{", "a run folder with a manifest.json; got .*Expecting property name"),
        ("[]", "a run of format wheatstone.run/1; got .* of format None"),
        ('{"format": "wheatstone.run/2"}', "got .* of format 'wheatstone.run/2'; make the run again"),
    ],
)
def test_other_manifests_are_refused(tmp_path: Path, manifest: str | None, message: str) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(RunError, match=message):
        read_manifest(tmp_path)


def test_a_run_of_another_verb_is_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    manifest = {"format": FORMAT, "verb": "scan", "created": "", "model": {"id": "m"}, "settings": {}}
    write_json(tmp_path / "manifest.json", manifest)
    assert read_manifest(tmp_path) == read_manifest(tmp_path, "edit", "scan") == manifest
    with pytest.raises(
        RunError, match=r"a run of `wheatstone neuron screen` or `wheatstone edit`; got .*'neuron scan'"
    ):
        read_manifest(tmp_path, "neuron", "edit")


@pytest.mark.parametrize("digest", [2**62, None, [], {}, True])
def test_a_hash_that_is_none_is_damage(tmp_path: Path, digest: object) -> None:
    out = make_run(tmp_path / "run")
    noted = json.loads((out / "files.json").read_text())
    (out / "files.json").write_text(json.dumps(dict.fromkeys(noted, digest)))
    assert damaged_files(out) == ["figures/circuit.svg", "manifest.json"]
