"""A folder of shards: what is kept, what is done again, and the same bytes whatever happens in between."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import stopped
from notes import Note, gone, notes, processes_of, same_bytes, times_run, wait_until

from wheatstone import ComputationError, RequestError
from wheatstone._progress import Reporter, silent
from wheatstone.executors import Done, LocalExecutor, damaged_shards, run_shards, shards_done
from wheatstone.executors._shards import shard_key
from wheatstone.models import ResidualModel, load_model

LOCAL = LocalExecutor(1)


@pytest.fixture(scope="module")
def model(tiny_task: tuple[Path, Path]) -> ResidualModel:
    return load_model(str(tiny_task[0]))


def run(model: ResidualModel, shards: Sequence[Any], out: Path, report: Reporter = silent) -> dict[str, str]:
    out.mkdir(exist_ok=True)
    return run_shards(model, shards, out, "shards", LOCAL, report)


def test_a_folder_of_shards(model: ResidualModel, tmp_path: Path) -> None:
    shards, said = notes(tmp_path / "notes", 3), list[tuple[str, float, float | None]]()
    assert run(model, shards[:1], tmp_path / "out") == {}
    assert shards_done(tmp_path) is None
    assert shards_done(tmp_path / "out") == (1, 1)
    assert run(model, shards, tmp_path / "out", lambda *call: said.append(call)) == {}
    assert said == [("shards", 1, 3), ("shards", 2, 3), ("shards", 3, 3)]
    assert shards_done(tmp_path / "out") == (3, 3)
    assert [times_run(shard) for shard in shards] == [1, 1, 1]
    about = json.loads((tmp_path / "out/shards/n0/shard.json").read_text())
    assert about["key"] == shard_key(model, shards[0])
    assert (tmp_path / "out/shards/n0/name.txt").read_text() == "n0"
    assert damaged_shards(tmp_path / "out") == []


def test_damage_is_named_and_made_again(model: ResidualModel, tmp_path: Path) -> None:
    out, shards = tmp_path / "out", notes(tmp_path / "notes", 7)
    run(model, shards, out)
    before = same_bytes(out)
    folders = [out / "shards" / shard.name for shard in shards]
    logits = bytearray((folders[1] / "deep/logits.bin").read_bytes())
    logits[7] ^= 1
    (folders[1] / "deep/logits.bin").write_bytes(logits)
    (folders[2] / "deep/logits.bin").write_bytes(logits[:5])
    (folders[3] / "name.txt").unlink()
    (folders[4] / "shard.json").write_text("[]")
    shutil.rmtree(folders[5])
    (folders[6] / "files.json").write_text("[]")
    found = ["deep/logits.bin", "deep/logits.bin", "name.txt", "shard.json", "files.json"]
    expected = [f"shards/{shards[at].name}/{name}" for at, name in zip((1, 2, 3, 4, 6), found, strict=True)]
    assert damaged_shards(out) == expected
    assert shards_done(out) == (6, 7)
    run(model, shards, out)
    assert same_bytes(out) == before
    assert [times_run(shard) for shard in shards] == [1, 2, 2, 2, 2, 2, 2]
    assert damaged_shards(out) == []


def test_a_key_is_what_the_files_depend_on(model: ResidualModel, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Other(Note):
        @property
        def content(self) -> dict[str, Any]:
            return super().content | {"data": "other"}

    (shard,) = notes(tmp_path / "notes", 1)
    other = Other(shard.name, shard.notes)
    assert shard_key(model, shard) == shard_key(model, replace(shard, notes=tmp_path))
    assert shard_key(model, shard) != shard_key(model, other)
    assert shard_key(model, shard) != shard_key(load_model(model.id, dtype="float64"), shard)
    run(model, [shard], tmp_path / "out")
    run(model, [other], tmp_path / "out")
    assert times_run(shard) == 2


def test_what_is_refused_is_tried_again(model: ResidualModel, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Wary(Note):
        def run(self, model: ResidualModel, folder: Path, report: Reporter, /) -> None:
            super().run(model, folder, report)
            if times_run(self) < 2:
                raise RequestError(expected="a second time", got="the first", do="come again")

    (tmp_path / "notes").mkdir()
    shards = [Note("n0", tmp_path / "notes"), Wary("n00", tmp_path / "notes")]
    assert run(model, shards, tmp_path / "out") == {"n00": "expected a second time; got the first; come again"}
    assert shards_done(tmp_path / "out") == (1, 2)
    assert run(model, shards, tmp_path / "out") == {}
    assert [times_run(shard) for shard in shards] == [1, 2]


def test_the_clock_does_not_matter(model: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, shards = tmp_path / "out", notes(tmp_path / "notes", 3)
    run(model, shards[:2], out)
    for number, path in enumerate(sorted(out.rglob("*"))):
        os.utime(path, (4e9, 4e9) if number % 2 else (1, 1))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    run(model, shards, out)
    assert [times_run(shard) for shard in shards] == [1, 1, 1]
    run(model, notes(tmp_path / "again", 3), tmp_path / "now")
    assert same_bytes(out) == same_bytes(tmp_path / "now")


@dataclass(frozen=True)
class Large:
    """A shard of so many bytes."""

    name: str
    size: int

    @property
    def content(self) -> dict[str, Any]:
        return {"large": self.size}

    def run(self, model: ResidualModel, folder: Path, report: Reporter, /) -> None:
        (folder / "zeros.bin").write_bytes(bytes(self.size))


@dataclass(frozen=True)
class Elsewhere:
    """Gives what shards wrote on another machine, whose disk is not this one's."""

    closed: list[str]

    def run(
        self, model: ResidualModel, shards: Sequence[Any], report: Reporter = silent
    ) -> Generator[Done, None, None]:
        try:
            for shard in shards:
                yield Done(shard.name, {"zeros.bin": bytes(shard.size)})
        finally:
            self.closed.append("closed")


LARGE = [Large("small", 10), Large("large", 300_000), Large("last", 20)]


def test_a_file_too_large_for_the_disk(model: ResidualModel, tmp_path: Path) -> None:
    @contextmanager
    def no_file_above(size: int) -> Generator[None, None, None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    out, who = tmp_path / "out", Elsewhere([])
    out.mkdir()
    with no_file_above(200_000), pytest.raises(ComputationError, match=os.strerror(errno.EFBIG)) as caught:
        run_shards(model, LARGE, out, "shards", who)
    assert who.closed == ["closed"]  # at once, though the error is still held
    assert "the same command goes on from there" in str(caught.value)
    assert [path.name for path in (out / "shards").iterdir()] == ["small"]
    run_shards(model, LARGE, out, "shards", who)
    assert {path: len(data) for path, data in same_bytes(out / "shards").items()} == {
        f"{shard.name}/zeros.bin": shard.size for shard in LARGE
    }


@pytest.mark.needs("small disk")
def test_a_full_disk(model: ResidualModel, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], check=True)
    try:
        out = disk / "out"
        out.mkdir()
        with pytest.raises(ComputationError, match=os.strerror(errno.ENOSPC)):
            run_shards(model, LARGE, out, "shards", Elsewhere([]))
        assert [path.name for path in (out / "shards").iterdir()] == ["small"]
        assert damaged_shards(out) == []
        subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
        run_shards(model, LARGE, out, "shards", Elsewhere([]))
        assert shards_done(out) == (3, 3)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def started(kind: str, model: ResidualModel, folder: Path) -> subprocess.Popen[str]:
    """`stopped.py`, at work."""
    words = [sys.executable, stopped.__file__, kind, model.id, str(folder)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_at_random_points_the_bytes_are_the_same(model: ResidualModel, tmp_path: Path) -> None:
    with started("points", model, tmp_path) as process:
        out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    found = json.loads(out)
    assert found["operations"] > 12 * 5
    assert found["killed"] > 4


def test_whoever_began_the_work_is_stopped(model: ResidualModel, tmp_path: Path) -> None:
    """Ctrl-C, SIGTERM and SIGKILL while two processes are at work: none is left, and the work goes on."""
    with started("drivers", model, tmp_path) as process:
        for stop in stopped.STOPS:
            name = stop.name
            begun = [tmp_path / f"notes-{name}" / f"{shard}.0" for shard in ("n00", "n000")]
            done = tmp_path / name / "shards/n0"
            wait_until(
                lambda begun=begun, done=done: all(path.exists() for path in (done, *begun)) or process.poll(),
                "one is done, two are under way",
            )
            os.kill(int((tmp_path / f"{name}.process").read_text()), stop)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out) == {"SIGINT": -signal.SIGINT, "SIGTERM": 128 + signal.SIGTERM, "SIGKILL": -signal.SIGKILL}
    run(model, notes(tmp_path / "notes-quiet", stopped.SHARDS), tmp_path / "quiet")
    for stop in stopped.STOPS:
        folder = tmp_path / f"notes-{stop.name}"
        wait_until(lambda folder=folder: all(map(gone, processes_of(folder))), "no process is left")
        assert shards_done(tmp_path / stop.name) == (1, stopped.SHARDS)
        (folder / "go").touch()
        shards = notes(folder, stopped.SHARDS)
        run(model, shards, tmp_path / stop.name)
        assert times_run(shards[0]) == 1
        assert same_bytes(tmp_path / stop.name) == same_bytes(tmp_path / "quiet")
