"""The run's relation asked with and without demonstrations, as a section of an explanation."""

from __future__ import annotations

from wheatstone._progress import Reporter
from wheatstone.lenses._in_context import InContextRow, in_context
from wheatstone.lenses._section import Explanation, Material, Section, Table, of_task
from wheatstone.tasks import load_task

_SHOTS = 3
"""Demonstrations, where the run's own prompts have none."""
_TRAIN, _TEST = 6, 30
"""Questions that circuits are found on, and questions that are asked."""
_EDGES = 1000
_NAMED = 10
"""Heads that are named, and ablated at most."""


def demonstrations(material: Material, report: Reporter) -> Explanation:
    """Finds the heads that enter with demonstrations and ablates them; see `in_context`."""
    model, relation = material.experiment.model, material.task.partition("/")[2]
    name = material.task if material.task.startswith("icl") else f"icl-{_SHOTS}/{relation}"
    seed = material.about["seed"]
    known, every = (load_task(name, model, seed=seed, known=rank, report=report) for rank in (10, None))
    train, test = known.train[:_TRAIN], every.test[:_TEST]
    edges = min(_EDGES, model.graph.edges)
    found = in_context(model, train, test, heads=_NAMED, edges=edges, seed=material.seed, report=report)
    summary = {
        "task": name,
        "found_on": len(train),
        "edges": len(found.with_demonstrations),
        "entering": list(found.entering[:_NAMED]),
        "entering_count": len(found.entering),
        "most_attended": list(found.most_attended[:_NAMED]),
        "both": sorted(set(found.entering[:_NAMED]) & set(found.most_attended[:_NAMED])),
        "rows": [row._asdict() for row in found.rows],
    }
    method = (
        f"Task {name}: circuits of {len(found.with_demonstrations):,} edges (EAP-IG ranking) on {len(train)} training "
        "questions that the model knows, with their demonstrations and without. Entering: heads that write only with "
        f"them. Accuracy: top token an answer, {len(test)} test questions, known or not; ablated heads write their "
        "mean over the training prompts. 95% intervals over questions."
    )
    return Explanation({"in_context": Table.of(InContextRow, found.rows)}, summary, method)


DEMONSTRATIONS = Section(
    "demonstrations",
    "Which heads enter when demonstrations stand before the question, and are they what helps?",
    demonstrations,
    (of_task("icl", "facts/"),),
    dear=True,
)
