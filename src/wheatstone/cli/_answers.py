"""What the model itself says at the prompts of a request, as verbs print it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Column, Table

from wheatstone._text import shown
from wheatstone.cli._output import Output

if TYPE_CHECKING:
    from wheatstone.tasks import ModelAnswer, ModelAnswers

_MOST = 20
"""Prompts of the table; weak ones come first."""


def print_answers(output: Output, answers: ModelAnswers) -> None:
    """The headline's part: a warning where the answers are weak, else what the model says in a sentence."""
    for warning in answers.warnings:
        output.print(f"warning: {warning}", markup=False)
    if not answers.weak:
        output.print(answers.summary, markup=False)
    for row in answers.weak[:_MOST] if len(answers.prompts) > 1 else ():
        output.print(f"weak: after {row.prompt[-60:]!r}: {row}", markup=False)


def answers_table(answers: ModelAnswers) -> Table:
    """The scored tokens with their ranks and probabilities, the first choices, and the metric before and after."""
    metric = () if not answers.metric else (Column(answers.metric, justify="right"), Column("ablated", justify="right"))
    scored = (Column(name, justify="right") for name in ("rank", "p", "rank", "p"))
    rank, p, other_rank, other_p = scored
    table = Table(
        "prompt",
        "scored",
        rank,
        p,
        "distractor",
        other_rank,
        other_p,
        "first choice",
        *metric,
        box=None,
        pad_edge=False,
    )
    table.title, table.title_justify = "What the model itself says", "left"
    rows = sorted(answers.prompts, key=lambda row: not row.weak)
    for row in rows[:_MOST]:
        table.add_row(*(shown(cell) for cell in _cells(row, bool(answers.metric))))
    if len(rows) > _MOST:
        table.add_row(f"… and {len(rows) - _MOST} more, with --json")
    return table


def _cells(row: ModelAnswer, measured: bool) -> Iterator[str]:
    yield ("weak: " if row.weak else "") + row.prompt[-40:]
    for token in (row.answer, row.distractor):
        if token is None:
            yield from ("", "", "")
        else:
            whole = "" if token.tokens == 1 else f" of {token.text!r}"
            yield from (f"{token.token!r}{whole} (id {token.id})", f"{token.rank:,}", f"{token.probability:.2g}")
    yield f"{row.first.token!r} ({row.first.probability:.2g})"
    if measured:
        yield from ("" if value is None else f"{value:.3f}" for value in (row.clean, row.ablated))
