"""Places that are claimed, results that are exchanged, and what killed processes leave."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from wheatstone import RunError
from wheatstone._disk import (
    changed,
    claimed,
    clear_left_over,
    copied,
    finish_changes,
    left_over,
    put,
    replaced,
    scratch_folder,
    write_tensors,
)

pytestmark = pytest.mark.needs("pipes")  # and with them fork


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], object]) -> None:
    """Does something in a process that kills itself in it, so that nothing is cleaned up."""
    process = os.fork()
    if process == 0:
        try:
            work()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def claim_and_write(place: Path, then: Callable[[Path], object] = lambda folder: None) -> None:
    with claimed(place) as claim:
        claim.work.mkdir()
        (claim.work / "half").write_text("half")
        then(claim.folder)
        die()


def test_a_second_claim_is_refused_at_once_and_names_the_first(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "run"

    def claim() -> None:
        with claimed(place):
            pass

    with claimed(place), ThreadPoolExecutor(1) as other:
        with claimed(place):  # the same thread may, such as a verb and the function that it calls
            pass
        with pytest.raises(RunError, match=rf"run, where one is running \(process {os.getpid()}, since 20"):
            other.submit(claim).result()
        with claimed(place.with_name("another")):
            pass
        assert [path.name for path in place.parent.iterdir()] == [".run.partial-wheatstone"]
    assert list(tmp_path.iterdir()) == []
    claim()


def test_a_claim_of_a_killed_process_is_nobody_s_and_the_next_one_clears_it(tmp_path: Path) -> None:
    killed(lambda: claim_and_write(tmp_path / "run"))
    assert contents(tmp_path)[".run.partial-wheatstone/work/half"] == "half"
    killed(lambda: claim_and_write(tmp_path / "other"))
    assert [path.name for path in tmp_path.iterdir()] == [".other.partial-wheatstone"]
    with claimed(tmp_path / "run") as claim:
        assert not claim.work.exists()
        assert [path.name for path in tmp_path.iterdir()] == [".run.partial-wheatstone"]
    assert list(tmp_path.iterdir()) == []


def test_what_a_living_process_claims_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where no other test's folders are
    with claimed(tmp_path / "living") as living:
        living.work.write_text("half")

        def claim() -> None:
            with claimed(tmp_path / "other"):
                pass

        with ThreadPoolExecutor(1) as other:
            other.submit(claim).result()
        assert [(left.alive, left.process) for left in left_over(tmp_path)] == [(True, os.getpid())]
        assert clear_left_over(tmp_path) == []
        assert living.work.read_text() == "half"


def test_other_hidden_things_are_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "letter").write_text("dear")
    (tmp_path / ".link.partial-wheatstone").symlink_to(elsewhere)
    (tmp_path / ".file.partial-wheatstone").write_text("a file")
    (tmp_path / ".other.partial-abc").mkdir()
    (tmp_path / ".some.lock").write_text("")
    before = sorted(os.listdir(tmp_path))
    with claimed(tmp_path / "run"):
        pass
    assert clear_left_over(tmp_path) == []
    assert sorted(os.listdir(tmp_path)) == before
    assert (elsewhere / "letter").read_text() == "dear"


@pytest.mark.parametrize("exchanges", [True, False])
def test_an_older_folder_is_replaced_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool) -> None:
    if not exchanges:
        monkeypatch.setattr("wheatstone._disk._exchange.exchange", lambda one, other: False)
    place = tmp_path / "run"
    for text in ("first", "second"):
        with claimed(place) as claim:
            claim.work.mkdir()
            (claim.work / "text").write_text(text)
            claim.put(claim.work)
        assert contents(tmp_path) == {"run/text": text}


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system cannot exchange two names: the older result is put back by the next command."""
    place = tmp_path / "run"
    place.mkdir()
    (place / "text").write_text("old")
    monkeypatch.setattr("wheatstone._disk._exchange.exchange", lambda one, other: False)

    def replace_half(folder: Path) -> None:
        replace = os.replace

        def one_then_kill(source: Path, target: Path) -> None:
            replace(source, target)
            die()

        os.replace = one_then_kill  # type: ignore[assignment]
        put(folder / "work", place, folder / "old")

    killed(lambda: claim_and_write(place, replace_half))
    assert contents(tmp_path)[".run.partial-wheatstone/old/text"] == "old"
    with claimed(place):
        assert contents(place) == {"text": "old"}
    assert contents(tmp_path) == {"run/text": "old"}


def test_what_earlier_versions_moved_aside_is_put_back(tmp_path: Path) -> None:
    old = tmp_path / ".run.partial-k3j4h5x_" / "old"
    old.mkdir(parents=True)
    (old / "text").write_text("old")
    with claimed(tmp_path / "run"):
        pass
    assert contents(tmp_path) == {"run/text": "old"}


def test_a_change_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    def make(*names: str) -> None:
        with changed(tmp_path) as change:
            for name in names:
                change.file(name).write_text("new")
            (change.folder("part") / "only").write_text("new")

    (tmp_path / "part").mkdir()
    before = {"a": "old", "b": "old", "part/gone": "old"}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ZeroDivisionError), changed(tmp_path) as change:  # noqa: PT012
        change.file("a").write_text("half")
        raise ZeroDivisionError
    assert contents(tmp_path) == before
    make("a", "deep/c")
    assert contents(tmp_path) == {"a": "new", "b": "old", "deep/c": "new", "part/only": "new"}


@pytest.mark.parametrize("at", range(1, 6))
def test_a_killed_change_is_finished_by_the_next_reader(tmp_path: Path, at: int) -> None:
    """Killed after its n-th rename: from the first on, which commits it, it is done."""
    (tmp_path / "part").mkdir()
    for name in ("a", "part/gone"):
        (tmp_path / name).write_text("old")

    def change() -> None:
        replace, count = os.replace, 0

        def kill_after(source: Path, target: Path) -> None:
            nonlocal count
            replace(source, target)
            count += 1
            if count == at:
                die()

        os.replace = kill_after  # type: ignore[assignment]
        with changed(tmp_path) as made:
            made.file("a").write_text("new")
            made.file("b").write_text("new")
            (made.folder("part") / "only").write_text("new")

    killed(change)
    finish_changes(tmp_path)
    clear_left_over(tmp_path)
    assert contents(tmp_path) == {"a": "new", "b": "new", "part/only": "new"}


def test_a_change_that_was_not_committed_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def change() -> None:
        with changed(tmp_path) as made:
            made.file("a").write_text("half")
            die()

    killed(change)
    assert any(path.name.startswith(".change-") for path in tmp_path.iterdir())
    with changed(tmp_path) as made:
        made.file("b").write_text("new")
    assert contents(tmp_path) == {"a": "old", "b": "new"}


def test_scratch_folders_of_killed_processes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def work() -> None:
        with scratch_folder() as folder:
            (folder / "shard").write_text("half")
            die()

    killed(work)
    (tmp_path / "wheatstone-notes").mkdir()  # somebody's folder: it has no lock
    (tmp_path / "wheatstone-a1b2c3d4").mkdir()  # of a process that was killed before it locked it
    assert len(list(tmp_path.iterdir())) == 3
    with scratch_folder() as mine:
        assert list(mine.iterdir()) == []
        assert clear_left_over() == []
    assert [path.name for path in tmp_path.iterdir()] == ["wheatstone-notes"]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "record.json"
    with replaced(path) as partial:
        partial.write_text("first")
    with pytest.raises(ZeroDivisionError), replaced(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise ZeroDivisionError
    assert contents(tmp_path) == {"deep/record.json": "first"}


@pytest.mark.needs("small disk")
def test_a_full_disk_is_an_error_of_the_system_for_tensors_too(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)], check=True)
    try:
        with pytest.raises(OSError, match="No space left") as caught:
            write_tensors({"x": torch.zeros(100_000)}, tmp_path / "x.safetensors")
        assert caught.value.errno == errno.ENOSPC
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_copy_that_fails_says_which_error_it_was(tmp_path: Path) -> None:
    (tmp_path / "one" / "deep").mkdir(parents=True)
    (tmp_path / "one" / "deep" / "file").write_text("x")

    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    with pytest.raises(OSError, match="No space left") as found:
        copied(tmp_path / "one", tmp_path / "other", copy=full)
    assert found.value.errno == errno.ENOSPC
    copied(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "other" / "deep" / "file").read_text() == "x"
