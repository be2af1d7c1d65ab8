"""What is said of demonstrations, as values.

The section computes them and the page shows them, so that this loads no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from wheatstone._view import Brief


class InContextRow(NamedTuple):
    """Accuracy under one condition: a row of in_context.parquet.

    Args:
        condition: `demonstrations`, `no demonstrations`, or with demonstrations and without the heads that are
            `entering`, `random` or `most attended`.
        heads: how many heads were ablated.
        draws: sets of heads that this is the mean of.
        accuracy: share of prompts whose top token is an answer.
        least: over draws.
        most: over draws.
    """

    condition: str
    n: int
    heads: int
    draws: int
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    least: float
    most: float


class QuestionRow(NamedTuple):
    """One question with and without its demonstrations: a row of in_context_questions.parquet.

    Args:
        subject: that it asks about; empty where the prompt names none.
        answer: the right one, as it is usually written.
        shown: the model's top token with demonstrations.
        shown_right: whether it begins an answer.
        alone: the model's top token without.
        alone_right: whether it begins an answer.
    """

    subject: str
    answer: str
    shown: str
    shown_right: bool
    alone: str
    alone_right: bool


@dataclass(frozen=True)
class DemonstrationsSummary(Brief):
    """What is said of demonstrations.

    Args:
        task: whose questions have demonstrations.
        found_on: training questions that circuits were found on.
        edges: of each circuit.
        entering: heads that write only with demonstrations, strongest first.
        entering_count: how many there are.
        most_attended: heads that attend most to the demonstrations.
        both: heads that are in both lists.
        rows: accuracy under each condition.
        template: the words in which questions are asked; empty in runs of earlier versions.
        named: questions about subjects that were asked for by name.
    """

    task: str
    found_on: int
    edges: int
    entering: tuple[str, ...]
    entering_count: int
    most_attended: tuple[str, ...]
    both: tuple[str, ...]
    rows: tuple[InContextRow, ...]
    template: str = ""
    named: tuple[QuestionRow, ...] = ()
