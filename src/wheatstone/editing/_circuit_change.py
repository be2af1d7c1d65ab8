"""The circuit before an edit and after it, found under one setting: which edges stayed, went and came.

Edges are compared only where both circuits hold, see `wheatstone.editing.Held`. Two searches that differ in nothing but
their seed find different edges too: what those share is the mark for what an edit left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.circuits import Circuit, Edge
from wheatstone.discovery import LEARNED, EdgeScores
from wheatstone.editing._edit import Edit
from wheatstone.editing._judged_circuit import (
    CircuitSettings,
    Held,
    JudgedCircuit,
    circuit_of_prompt,
    circuit_of_task,
    task_of_edit,
)
from wheatstone.editing._question import EditQuestion
from wheatstone.models import ResidualModel
from wheatstone.tasks import PromptPair


class EdgeChange(NamedTuple):
    """An edge of either circuit: a row of edit_edges.parquet.

    Args:
        sender: the node that writes.
        receiver: the channel that reads.
        state: `kept` in both circuits, `gone` with the edit, or `new`.
        score_before: what the method gives it in the plain model, units of the metric.
        score_after: in the edited one.
    """

    sender: str
    receiver: str
    state: str
    score_before: float
    score_after: float


@dataclass(frozen=True, eq=False)
class CircuitChange(Brief):
    """Both circuits, what they keep, and their edges where both hold.

    Args:
        before: of the plain model.
        after: of the edited one.
        held_before: what the first keeps in the plain model.
        held_after: what the second keeps in the edited one.
        edges: of either, the largest |score| first; none where one does not hold.
        again: edges that the plain model's circuit shares with another of it, of another seed; None where that was not
            looked for.
        task: the relation's task; empty for circuits of one prompt.
    """

    before: Circuit
    after: Circuit
    held_before: Held
    held_after: Held
    edges: tuple[EdgeChange, ...]
    again: int | None = None
    task: str = ""

    @property
    def holds(self) -> bool:
        """Whether both circuits hold, so that they are compared."""
        return self.held_before.holds and self.held_after.holds

    @property
    def summary(self) -> dict[str, Any]:
        """What both keep; and where both hold counts, and what chance would keep."""
        held = {"before": self.held_before, "after": self.held_after}
        about: dict[str, Any] = {
            "task": self.task,
            "holds": self.holds,
            "sizes": {"before": len(self.before), "after": len(self.after)},
            "held": {state: one._asdict() for state, one in held.items()},
            "faithfulness": {state: one.faithfulness for state, one in held.items()},
        }
        if not self.holds:
            return about
        states = [row.state for row in self.edges]
        ours, theirs = set(self.before.nodes), set(self.after.nodes)
        total = self.before.model.graph.edges
        return about | {
            "edges": {state: states.count(state) for state in ("kept", "gone", "new")},
            "nodes": {"kept": len(ours & theirs), "gone": len(ours - theirs), "new": len(theirs - ours)},
            "kept_by_chance": len(self.before) * len(self.after) / total,
            "kept_by_another_seed": self.again,
        }


def circuit_change(
    model: ResidualModel,
    edit: Edit,
    question: EditQuestion,
    settings: CircuitSettings | None = None,
    *,
    report: Reporter = silent,
) -> CircuitChange:
    """Finds both circuits.

    Args:
        model: the plain model.
        edit: applied for the second circuit, and undone.
        question: what both are asked, where circuits are of one prompt.
        settings: how they are found.
        report: progress callback.

    Raises:
        PromptError: no bundled relation asks so or too few of its facts are known; or the prompts leave nothing to
            explain, in the plain model or in the edited one (an edit that did not take, or that took for the
            counterfactual too).

    When this misleads: circuits of a relation leave the edited fact out: they say what became of the rest of it. Those
    of the edit's one prompt answer with different words before and after, so that some edges change although the path
    that recalls stays, and are judged on the prompt they were found on. A circuit is one of several that hold.
    """
    settings = settings or CircuitSettings()
    settings.check()
    task = task_of_edit(model, edit.requests[0], settings, report) if settings.method == LEARNED else None

    def found(pair: PromptPair, seed: int = settings.seed) -> JudgedCircuit:
        if task is None:
            return circuit_of_prompt(model, pair, settings)
        return circuit_of_task(model, task, replace(settings, seed=seed), report)

    before = found(question.before)
    with edit.applied(model):
        after = found(question.after)
    again, rows = None, list[EdgeChange]()
    if before.held.holds and after.held.holds:
        if task is not None:
            again = len(before.circuit & found(question.before, settings.seed + 1).circuit)
        rows = _changes(before, after)
    return CircuitChange(
        before.circuit,
        after.circuit,
        before.held,
        after.held,
        tuple(rows),
        again,
        "" if task is None else task.task.name,
    )


def _changes(before: JudgedCircuit, after: JudgedCircuit) -> list[EdgeChange]:
    ours, theirs = set(before.circuit.edges), set(after.circuit.edges)
    rows = [
        EdgeChange(
            edge.sender,
            edge.receiver,
            "kept" if edge in ours and edge in theirs else "gone" if edge in ours else "new",
            _score(before.scores, edge),
            _score(after.scores, edge),
        )
        for edge in (before.circuit | after.circuit).edges
    ]
    rows.sort(key=lambda row: -max(abs(row.score_before), abs(row.score_after)))
    return rows


def _score(scores: EdgeScores, edge: Edge) -> float:
    return float(scores.values[scores.graph.edge(edge.sender, edge.receiver)])
