"""`wheatstone runs prune`: the list cleared of runs that are gone, and old runs deleted on request."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from typing import Annotated

import typer

from wheatstone._errors import RequestError
from wheatstone.cli._output import JsonOption, Output

_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def prune(
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", help="Also delete listed runs made longer ago, such as 12h, 30d or 8w."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take runs whose folder is gone off the list; with --older-than, delete old runs too. Says what, and asks.

    A folder on a disk that is not mounted looks gone; `runs add` lists it again.
    """
    from wheatstone.runs import prunable
    from wheatstone.runs import prune as do_prune

    found = prunable(None if older_than is None else _age(older_than))
    output = Output("runs prune", as_json)
    for entry in found.gone:
        output.print(f"take off the list, for its folder is gone: {entry.path}", markup=False)
    for entry in found.old:
        output.print(f"delete, made {entry.created[:10]}: {entry.path}", markup=False)
    count = len(found.gone) + len(found.old)
    done = not dry_run and count > 0
    if done and not yes:
        _ask(as_json, f"{len(found.gone):,} to take off the list, {len(found.old):,} to delete; go on?")
    if done:
        do_prune(found)
    output.document(
        {
            "unlisted": [entry.path for entry in found.gone],
            "deleted": [entry.path for entry in found.old],
            "done": done,
        }
    )
    output.print("nothing to prune" if not count else "done" if done else "nothing was changed")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if match is None:
        raise RequestError(
            expected="an age such as 12h, 30d or 8w", got=f"--older-than {text!r}", do="give hours, days or weeks"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _ask(as_json: bool, question: str) -> None:
    """Goes on only after a yes.

    Raises:
        RequestError: no terminal to ask at.
    """
    if as_json or not sys.stdin.isatty():
        raise RequestError(
            expected="--yes where there is no terminal to ask at", got="none", do="give --yes, or --dry-run"
        )
    if not typer.confirm(question, err=True):
        raise RequestError(expected="a yes", got="none", do="nothing was changed")
