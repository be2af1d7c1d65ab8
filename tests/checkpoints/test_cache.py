"""The cache under processes that are killed, interrupted, and run at once."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wheatstone._errors import ComputationError
from wheatstone._progress import silent
from wheatstone.checkpoints._cache import CacheEntry, ModelFiles, require_space

PULL = """
import sys, time
from wheatstone._progress import silent
from wheatstone.checkpoints._cache import CacheEntry

def build(work, out):
    (out / "model.safetensors").write_bytes(b"weights")
    print("building", flush=True)
    time.sleep(float(sys.argv[1]))
    return {}

print(CacheEntry("tiny", "tiny", "pull again").make(build, force=False, report=silent).sha256)
"""


def start_pull(seconds: float) -> subprocess.Popen[str]:
    """A process that pulls, spending `seconds` midway."""
    command = [sys.executable, "-c", PULL, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("how", "leftovers"), [(signal.SIGKILL, 1), (signal.SIGINT, 0)])
def test_a_pull_stopped_midway_leaves_no_model_and_the_next_one_works(
    how: signal.Signals, leftovers: int, own_home: Path
) -> None:
    models = own_home / "models"
    with start_pull(60) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "building\n"
        process.send_signal(how)
        process.communicate()
    assert not (models / "tiny").exists()
    assert len(list(models.glob(".tiny.partial-*"))) == leftovers
    with start_pull(0) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert out.startswith("building\n")
    assert (models / "tiny" / "model.safetensors").read_bytes() == b"weights"
    assert list(models.glob(".tiny.partial-*")) == []


def test_parallel_pulls_build_once(own_home: Path) -> None:
    processes = [start_pull(1) for _ in range(2)]
    ends = [process.communicate() for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, ends, strict=True)] == [(0, "")] * 2
    assert sum("building" in out for out, _ in ends) == 1
    assert len({out.split()[-1] for out, _ in ends}) == 1


def make(build: Any, *, force: bool = False) -> ModelFiles:
    return CacheEntry("tiny", "tiny", "pull again").make(build, force=force, report=silent)


def build_weights(work: Path, out: Path) -> dict[str, Any]:
    (out / "model.safetensors").write_bytes(b"weights")
    return {}


def test_a_full_disk_keeps_the_model_that_lies_there(own_home: Path) -> None:
    def build(work: Path, out: Path) -> dict[str, Any]:
        (out / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    files = make(build_weights)
    with pytest.raises(ComputationError, match=r"No space left.*WHEATSTONE_HOME"):
        make(build, force=True)
    assert make(build_weights) == files
    assert list((own_home / "models").glob("*.part")) == []


def test_space_is_asked_for_before_it_is_used(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(ComputationError, match="MB free at"):
        require_space(tmp_path, 10**18)


def test_a_read_only_cache_still_opens(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = make(build_weights)
    (files.folder / "verified.json").unlink()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    assert CacheEntry("tiny", "tiny", "pull again").open(thorough=False, report=silent) == files
