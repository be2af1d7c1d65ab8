"""The prompts that a run's circuit was found on, and those that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wheatstone.circuits import Circuit
from wheatstone.runs import read_json
from wheatstone.tasks import PromptPair


def templates_of(run: Path) -> tuple[str, ...]:
    """Forms of the prompts of a run's task; none where the run has no task."""
    if not (run / "task.json").is_file():
        return ()
    return tuple(map(str, read_json(run, "task.json").get("templates", ())))


def prompts_of(run: Path, circuit: Circuit) -> tuple[tuple[PromptPair, ...], tuple[PromptPair, ...]]:
    """The prompts that the circuit was found on or chosen by, and those that it has not seen."""
    if not (run / "task.json").is_file():
        return circuit.examples, ()
    pairs: dict[str, Sequence[Any]] = read_json(run, "task.json")["pairs"]
    by_split = {name: tuple(map(PromptPair.model_validate, pairs.get(name, ()))) for name in pairs}
    seen = dict.fromkeys((*circuit.examples, *by_split.get("train", ()), *by_split.get("validation", ())))
    known = {pair.prompt for pair in seen}
    return tuple(seen), tuple(pair for pair in by_split.get("test", ()) if pair.prompt not in known)
