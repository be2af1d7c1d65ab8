"""Where a verb's words go: one JSON document on stdout, or text for people; progress always on stderr."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from wheatstone._progress import Reporter, silent

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print exactly one JSON document on stdout; people's text goes to stderr."),
]


class Output:
    """The two streams of one verb.

    Args:
        as_json: whether stdout is reserved for one JSON document.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.stderr = Console(stderr=True)
        self.human = self.stderr if as_json else Console()

    def print(self, *parts: Any, markup: bool = True) -> None:
        """Shows something to a person; without `markup`, brackets are brackets."""
        self.human.print(*parts, highlight=False, markup=markup)

    def document(self, value: dict[str, Any] | list[Any]) -> None:
        """Prints the JSON document, where one was asked for."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False, allow_nan=False))

    @contextmanager
    def progress(self) -> Generator[Reporter, None, None]:
        """A progress display on stderr, given to the library as a `Reporter`; none where nobody watches."""
        if not self.stderr.is_terminal:  # there rich would end with an empty line
            yield silent
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        # What is left is reckoned from the last hour: a relation of a study takes minutes, and rich looks back 30 s.
        with Progress(*columns, console=self.stderr, transient=True, speed_estimate_period=3600) as progress:
            tasks: dict[str, Any] = {}

            def report(stage: str, done: float, total: float | None) -> None:
                if stage not in tasks:
                    tasks[stage] = progress.add_task(stage, total=total)
                progress.update(tasks[stage], completed=done, total=total)

            yield report
