"""Work in several processes: the same bytes, and what becomes of it where processes are killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from notes import Note, by_name, gone, notes, processes_of, times_run, wait_until

from wheatstone import ModelError, RequestError
from wheatstone.executors import (
    EXECUTORS,
    Executor,
    LocalExecutor,
    ProcessExecutor,
    RayExecutor,
    Shard,
    _processes,
    executor_named,
)
from wheatstone.executors._executor import ModelSource
from wheatstone.models import ResidualModel, load_model


@pytest.fixture(scope="module")
def model(tiny_task: tuple[Path, Path]) -> ResidualModel:
    return load_model(str(tiny_task[0]))


def test_executors_by_name() -> None:
    assert executor_named("local", threads=1) == LocalExecutor(1)
    assert executor_named("processes", workers=3) == ProcessExecutor(3, 1)
    assert executor_named("processes", threads=10_000) == ProcessExecutor(1, 10_000)
    assert executor_named("ray", workers=2, address="auto") == RayExecutor("auto", 2, 1)
    assert all(isinstance(executor_named(name), Executor) for name in EXECUTORS)
    assert isinstance(Note("n", Path()), Shard)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("slurm", {}, "'slurm'"),
        ("processes", {"workers": 0}, "--workers 0"),
        ("local", {"threads": 0}, "--threads 0"),
        ("local", {"workers": 2}, "leave --workers out"),
        ("processes", {"address": "auto"}, "leave --address out"),
    ],
)
def test_executors_that_are_not(name: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        executor_named(name, **options)  # pyright: ignore[reportArgumentType]


def test_here_one_after_another(model: ResidualModel, tmp_path: Path) -> None:
    shards = notes(tmp_path, 3)
    results = LocalExecutor(1).run(model, shards)
    assert next(results).files == {"deep/logits.bin": _logits(model, 2), "name.txt": b"n0"}
    results.close()
    assert [times_run(shard) for shard in shards] == [1, 0, 0]


def _logits(model: ResidualModel, word: int) -> bytes:
    return model.forward(model.tokens([f"w{word} w2 w3"])).logits.numpy().tobytes()


def test_killed_processes(model: ResidualModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One shard's process is killed once, another's whenever it is run; the others' bytes are what they always are."""
    monkeypatch.setattr(_processes, "ATTEMPTS", 2)
    shards = notes(tmp_path / "notes", 6, n00={"kills": 1}, n0000={"kills": 99})
    expected = by_name(list(LocalExecutor(1).run(model, notes(tmp_path / "quiet", 6))))
    found = by_name(list(ProcessExecutor(2).run(model, shards)))
    assert found.pop("n0000") == ({}, _processes.LOST)
    del expected["n0000"]
    assert found == expected
    assert times_run(shards[3]) in (2, 3)  # alone, and before that perhaps beside others
    assert len(processes_of(tmp_path / "notes")) > 2
    wait_until(lambda: all(map(gone, processes_of(tmp_path / "notes"))), "no process is left")


def test_closed_early(model: ResidualModel, tmp_path: Path) -> None:
    shards = notes(tmp_path, 8, **{"n" + "0" * count: {"waits": True} for count in range(2, 9)})
    results = ProcessExecutor(2).run(model, shards)
    assert next(results).shard == "n0"
    wait_until(lambda: times_run(shards[1]), "another is under way")
    results.close()
    wait_until(lambda: all(map(gone, processes_of(tmp_path))), "no process is left")
    assert times_run(shards[7]) == 0


def test_what_is_wrong_with_the_model_is_said_once(model: ResidualModel, tmp_path: Path) -> None:
    source = ModelSource.of(model)
    assert source.load().sha256 == model.sha256
    with pytest.raises(ModelError, match="copy the same files there"):
        replace(source, sha256="0" * 64).load()
    elsewhere = ResidualModel(model.module, model.tokenizer, id=str(tmp_path / "moved"))
    with pytest.raises(ModelError, match="moved"):
        list(ProcessExecutor(1).run(elsewhere, notes(tmp_path / "notes", 2)))
