"""What is wrong with a task's records: collected whole, refused or listed at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wheatstone._errors import PromptError

_MOST_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One record that cannot be used.

    Args:
        where: file and line, or the prompt of a record that no file holds.
        what: what is wrong, and what to do.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def problems_in_words(problems: Sequence[Problem]) -> str:
    """The first problems, and how many more there are."""
    shown = " | ".join(map(str, problems[:_MOST_SHOWN]))
    return f"{shown} | and {len(problems) - _MOST_SHOWN:,} more" if len(problems) > _MOST_SHOWN else shown


def refuse_problems(problems: Sequence[Problem], name: str) -> None:
    """Raises where there is a problem, with all of them in one list.

    Raises:
        PromptError: there is a problem.
    """
    if not problems:
        return
    raise PromptError(
        expected=f"records of {name} that can all be used",
        got=f"{len(problems):,} that cannot: {problems_in_words(problems)}",
        do="correct them, or leave them out (strict=False, --skip-bad)",
    )
