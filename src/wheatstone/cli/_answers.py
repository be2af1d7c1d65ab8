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


def print_table(output: Output, answers: ModelAnswers) -> None:
    """The scored tokens with their ranks and probabilities, the first choices, and the metric before and after.

    One line a prompt; where that is wider than the terminal, one line a token.
    """
    rows = sorted(answers.prompts, key=lambda row: not row.weak)
    wide, narrow = _wide(answers, rows[:_MOST]), _narrow(answers, rows[:_MOST])
    for table in (wide, narrow):
        table.title, table.title_justify = "What the model itself says", "left"
        if len(rows) > _MOST:
            table.add_row(f"… and {len(rows) - _MOST} more, with --json")
    output.print(wide if output.room_beside(wide) >= 0 else narrow)


def _wide(answers: ModelAnswers, rows: list[ModelAnswer]) -> Table:
    metric = () if not answers.metric else (Column(answers.metric, justify="right"), Column("ablated", justify="right"))
    scored = (Column(name, justify="right") for name in ("rank", "p", "rank", "p"))
    rank, p, other_rank, other_p = scored
    titles = ("prompt", "scored", rank, p, "distractor", other_rank, other_p, "first choice", *metric)
    table = Table(*titles, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(shown(cell) for cell in _cells(row, bool(answers.metric))))
    return table


def _narrow(answers: ModelAnswers, rows: list[ModelAnswer]) -> Table:
    words = (Column(name, no_wrap=True) for name in ("", "token"))
    numbers = (Column(name, justify="right", no_wrap=True) for name in ("rank", "p"))
    table = Table(Column("prompt", overflow="fold"), *words, *numbers, box=None, pad_edge=False)
    for row in rows:
        prompt, *cells = map(shown, _cells(row, bool(answers.metric)))
        scored, distractor, (first, *metric) = cells[:3], cells[3:6], cells[6:]
        lines = [("scored", *scored)]
        lines += [("distractor", *distractor)] if row.distractor else []
        token, _, p = first.removesuffix(")").rpartition(" (")
        lines += [("first choice", token, "1", p)]
        if any(metric):
            value, ablated = metric
            lines += [(answers.metric or "", value + (f" (ablated {ablated})" if ablated else ""), "", "")]
        table.add_row(prompt, *("\n".join(column) for column in zip(*lines, strict=True)))
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
