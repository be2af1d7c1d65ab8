"""The circuits that are compared, from the runs that hold them, and the facts of their tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wheatstone._errors import CircuitError, RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter
from wheatstone.cards._prompts import prompts_of
from wheatstone.circuits import Circuit, Edge
from wheatstone.models import ResidualModel
from wheatstone.runs import CIRCUITS, Run, sound
from wheatstone.tasks import PromptPair, load_task


@dataclass(frozen=True)
class TaskCircuit:
    """A circuit and where the facts of its task are.

    Args:
        name: of its task; a folder's name.
        circuit: the circuit.
        held_out: facts that it was not found on; empty where the run keeps none.
        task: that they are loaded from where the run is a study, which keeps none; empty elsewhere.
    """

    name: str
    circuit: Circuit
    held_out: tuple[PromptPair, ...] = ()
    task: str = ""

    def facts(self, model: ResidualModel, most: int, seed: int, report: Reporter) -> tuple[PromptPair, ...]:
        """Facts of the task: held-out ones, or where there are none those that the circuit was found on."""
        test = self.held_out
        if self.task:
            test = load_task(self.task, model, seed=seed, size=None, strict=False, report=report).test
        return tuple(test or self.circuit.examples)[:most]


def circuits_of(runs: Sequence[StrPath]) -> tuple[TaskCircuit, ...]:
    """The circuits of some runs; see `SelectivitySettings.circuits`."""
    found = [one for run in runs for one in _circuits_in(Path(run))]
    names = [one.name for one in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RequestError(
            expected="circuits of different tasks", got=f"two of {twice[0]}", do="leave one of their runs out"
        )
    if len(found) < 2:
        raise RequestError(
            expected="at least two circuits", got=f"{len(found)}", do="name more runs of `discover`, or a study"
        )
    first = found[0].circuit.model
    for one in found:
        about = one.circuit.model
        if one.circuit.spans:
            raise CircuitError(
                expected="circuits whose edges are kept at all positions together",
                got=f"{one.name}, whose edges are distinguished by position",
                do="discover it without --positions",
            )
        if (about.sha256, about.graph) != (first.sha256, first.graph):
            raise CircuitError(
                expected=f"circuits of one model, {first.id}, with its MLPs split alike",
                got=f"{one.name}, of {about.id}",
                do="compare circuits of the same model",
            )
        if not one.circuit.edges:
            raise CircuitError(expected="circuits with edges", got=f"{one.name} without", do="leave its run out")
    return tuple(found)


def own_parts(circuits: Sequence[TaskCircuit], shared: float) -> dict[str, tuple[Edge, ...]]:
    """Of each circuit the edges that at most a share of all the circuits keep."""
    kept = Counter(edge for one in circuits for edge in one.circuit)
    return {one.name: tuple(edge for edge in one.circuit if kept[edge] / len(circuits) <= shared) for one in circuits}


def _circuits_in(run: Path) -> list[TaskCircuit]:
    opened = Run.open_checked(run, *CIRCUITS, "study")
    if opened.verb != "study":
        circuit = Circuit.load(run)
        return [TaskCircuit(_name(circuit.task) or run.resolve().name, circuit, prompts_of(run, circuit)[1])]
    # A study keeps its circuits, not its facts: these are loaded again as it loaded them.
    tasks = {Path(name).stem: name for name in opened.settings["relations"]}
    with sound(run):
        return [
            TaskCircuit(
                name,
                replace(Circuit.load(opened.file(f"relations/{name}/circuit.json")), scores=None),
                task=tasks[name] if tasks[name].endswith(".json") else f"facts/{name}",
            )
            for name in (row["relation"] for row in opened.result["relations"])
        ]


def _name(task: str) -> str:
    """A task's name as a folder's: without its kind where that is `facts`, and without the ending of a file."""
    return Path(task).stem if Path(task).suffix else task.removeprefix("facts/").replace("/", "-")
