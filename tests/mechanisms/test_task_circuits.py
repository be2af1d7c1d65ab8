"""Circuits of tasks, found once and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from wheatstone import RequestError
from wheatstone.discovery import score_edges
from wheatstone.mechanisms import task_circuits
from wheatstone.models import load_model
from wheatstone.tasks import load_task


def test_the_top_of_the_ranking_is_found_once_and_kept(tiny_task: tuple[Path, Path], own_home: Path) -> None:
    folder, file = tiny_task
    model, name = load_model(str(folder)), str(file)
    circuit = task_circuits(model, [name], edges=20)[name]
    task = load_task(name, model)
    expected = score_edges(model, task.train, metric=task.metric).top([20])[0]
    assert circuit.mask().equal(expected)
    assert circuit.task == name
    assert circuit.evaluation is not None
    assert circuit.evaluation.edges == 20
    (kept,) = (own_home / "circuits").iterdir()
    stamp = kept.stat().st_mtime_ns
    assert task_circuits(model, [name], edges=20)[name] == circuit
    assert kept.stat().st_mtime_ns == stamp
    kept.write_text("half a fi")  # a damaged record is found anew
    assert task_circuits(model, [name], edges=20)[name] == circuit
    assert kept.read_text().startswith("{")


def test_another_file_of_the_same_name_is_another_task(
    tiny_task: tuple[Path, Path], own_home: Path, tmp_path: Path
) -> None:
    folder, file = tiny_task
    model, copy = load_model(str(folder)), tmp_path / "pairs.jsonl"
    for lines in (6, 5):
        copy.write_text("\n".join(file.read_text().splitlines()[:lines]))
        task_circuits(model, [str(copy)], edges=5)
    assert len(list((own_home / "circuits").iterdir())) == 2


def test_more_edges_than_there_are(tiny_task: tuple[Path, Path]) -> None:
    folder, file = tiny_task
    with pytest.raises(RequestError, match="1 to"):
        task_circuits(load_model(str(folder)), [str(file)], edges=10**6)
