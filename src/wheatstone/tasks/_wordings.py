"""The training facts of a relation in other words."""

from __future__ import annotations

from collections.abc import Sequence

from wheatstone._errors import RequestError
from wheatstone.models import ResidualModel
from wheatstone.tasks._bundled import relations_in
from wheatstone.tasks._load import load_task
from wheatstone.tasks._pair import PromptPair
from wheatstone.tasks._task import Task


def other_wordings(
    source: str, task: Task, model: ResidualModel, *, most: int | None = None, seed: int = 0
) -> tuple[list[PromptPair], list[str]]:
    """A relation's training facts under its other templates.

    Subjects are divided among the splits in the same way for every template: none of the test split is among these.

    Args:
        source: that the task was loaded from.
        task: the task, under one template.
        model: whose tokens and knowledge are asked.
        most: facts of each template; all by default.
        seed: that the task was loaded with.

    Returns:
        The pairs, empty for a task that is no relation; and for each template that cannot be used why not.
    """
    pairs: list[PromptPair] = []
    notes: list[str] = []
    for number in range(len(task.about.templates)) if relations_in(source) is not None else ():
        try:
            other: Sequence[PromptPair] = load_task(
                source, model, seed=seed, size=None, template=number, strict=False
            ).train
        except RequestError as error:
            notes.append(f"template {number} is not used: {error}")
            continue
        if {pair.prompt for pair in other}.isdisjoint(pair.prompt for pair in task.train):
            pairs += other[:most]
    return pairs, notes
