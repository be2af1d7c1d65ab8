"""What an edit did: to the circuit, to who writes the object, and to its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from wheatstone._errors import PromptError
from wheatstone._progress import Reporter, silent
from wheatstone._view import Brief
from wheatstone.editing._circuit_change import CircuitChange, EdgeChange, circuit_change
from wheatstone.editing._edit import Edit
from wheatstone.editing._judged_circuit import CircuitSettings
from wheatstone.editing._leak import Leak, LeakRow, leak
from wheatstone.editing._question import EditQuestion, edit_question, other_subjects
from wheatstone.editing._writers import ObjectByLayer, WriterChange, WritersChange, writers_change
from wheatstone.models import ResidualModel
from wheatstone.runs import Table


@dataclass(frozen=True)
class ComparisonSettings(Brief):
    """How to compare.

    Args:
        circuit: how both circuits are found.
        counterfactual: a subject of as many tokens; chosen from the bundled relation by default.
        neighbours: maximum number of other subjects of the bundled relation.
        subjects: neighbours by name, instead.
        seed: of the neighbours' draw.
    """

    circuit: CircuitSettings = field(default_factory=CircuitSettings)
    counterfactual: str | None = None
    neighbours: int = 24
    subjects: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, eq=False)
class EditComparison:
    """A model with an edit beside itself without.

    Args:
        question: what both are asked.
        settings: how they were compared.
        circuit: the circuits; None where one of the two models leaves nothing to explain.
        refused: why; empty where there are circuits.
        writers: the objects' ranks by layer and who writes them.
        leak: the neighbours; without rows but the edit's own where none are known.
    """

    question: EditQuestion
    settings: ComparisonSettings
    circuit: CircuitChange | None
    writers: WritersChange
    leak: Leak
    refused: str = ""

    @property
    def tables(self) -> dict[str, Table]:
        """By name of the file."""
        circuits = self.circuit
        edges = {} if circuits is None or not circuits.holds else {"edit_edges": Table.of(EdgeChange, circuits.edges)}
        return edges | {
            "edit_lens": Table.of(ObjectByLayer, self.writers.lens),
            "edit_writers": Table.of(WriterChange, self.writers.writers),
            "edit_leak": Table.of(LeakRow, self.leak.rows),
        }

    @property
    def summary(self) -> dict[str, Any]:
        """The numbers that words are built of, for JSON."""
        before, after = self.question.before, self.question.after
        return {
            "counterfactual": before.counterfactual,
            "old": before.answers[0],
            "new": after.answers[0],
            "distractor": before.distractors[0],
            "setting": self.settings.circuit.words,
            "settings": asdict(self.settings) | {"subjects": list(self.settings.subjects)},
            "circuit": None if self.circuit is None else self.circuit.summary,
            "circuit_refused": self.refused,
            "writers": self.writers.summary,
            "leak": self.leak.summary,
        }


def compare_edit(
    model: ResidualModel, edit: Edit, settings: ComparisonSettings | None = None, *, report: Reporter = silent
) -> EditComparison:
    """Compares a model with itself edited, on the edit's first request.

    An edit that hardly takes leaves the edited model nothing to explain; then the rest is compared without circuits.

    Args:
        model: the plain model, as the edit was made for; it is left so.
        edit: the edit.
        settings: how.
        report: progress callback.

    Raises:
        PromptError: there is no counterfactual; see `edit_question`.
    """
    settings = settings or ComparisonSettings()
    request = edit.requests[0]
    question = edit_question(model, request, settings.counterfactual)
    neighbours: Sequence[str] = settings.subjects or other_subjects(
        model, request, most=settings.neighbours, seed=settings.seed
    )
    circuit, refused = None, ""
    try:
        circuit = circuit_change(model, edit, question, settings.circuit, report=report)
    except PromptError as error:
        refused = str(error)
    report("comparing", 1, 3)
    writers = writers_change(model, edit, question)
    report("comparing", 2, 3)
    leaked = leak(model, edit, request, neighbours)
    report("comparing", 3, 3)
    return EditComparison(question, settings, circuit, writers, leaked, refused)
