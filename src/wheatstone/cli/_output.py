"""Where a verb's words go: one JSON document on stdout, or text for people; progress always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from wheatstone._progress import Reporter, in_lines
from wheatstone._text import shown
from wheatstone.cli._encoding import json_line

JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Print exactly one JSON document on stdout; people's text goes to stderr."),
]


def _console(*, stderr: bool = False) -> Any:
    """rich's `Console`, to which no text from a prompt or a file can send a control sequence."""
    from rich.console import Console

    class Guarded(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterator[Any]:
            for segment in super().render(renderable, options):
                own = segment.control or segment.text.isprintable()
                yield segment if own else segment._replace(text=shown(segment.text, keep="\n"))

    return Guarded(stderr=stderr, markup=False)


def page_of(run: Path) -> str | None:
    """The report of a run, where it has one."""
    page = run / "report.html"
    return str(page) if page.is_file() else None


_WIDEST = 1 << 16
"""More columns than any table has."""


class Output:
    """The two streams of one verb.

    Args:
        verb: its words, as in `neuron screen`; they name the format of its JSON document.
        as_json: whether stdout is reserved for one JSON document.
    """

    def __init__(self, verb: str, as_json: bool) -> None:
        self.verb, self.as_json = verb, as_json
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since the verb began."""
        return round(time.perf_counter() - self._started, 2)

    @cached_property
    def stderr(self) -> Any:
        """rich's `Console`, loaded where it shows something: a list as JSON does not wait for it."""
        return _console(stderr=True)

    @cached_property
    def human(self) -> Any:
        """Where people's text is shown."""
        return self.stderr if self.as_json else _console()

    def print(self, *parts: Any, markup: bool = False) -> None:
        """Shows something to a person; without `markup`, brackets are brackets, in tables too."""
        self.human.print(*parts, highlight=False, markup=markup)

    def room_beside(self, table: Any) -> int:
        """Columns that a table with no cell wrapped leaves free; below 0 where it is wider than the terminal."""
        from rich.measure import Measurement

        options = self.human.options
        return options.max_width - Measurement.get(self.human, options.update(max_width=_WIDEST), table).maximum

    def lines_of(self, table: Any) -> list[str]:
        """The lines of a table as the terminal would show them."""
        rendered = self.human.render_lines(table, pad=False)
        return ["".join(segment.text for segment in line).rstrip() for line in rendered]

    def line(self, text: str) -> None:
        """Shows a line that is never broken, such as one that ends in a path to be copied."""
        self.human.print(shown(text), highlight=False, markup=False, soft_wrap=True)

    def table(self, facts: Mapping[str, str]) -> None:
        """Shows names next to their meanings."""
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False, box=None)
        for name, value in facts.items():
            table.add_row(Text(shown(name)), Text(shown(value)))
        self.print(table)

    def missing(self, reasons: Mapping[str, str]) -> None:
        """Says in a line each which side results could not be made, and why."""
        for name, why in reasons.items():
            self.print(f"not made: {shown(name)}: {shown(why)}", markup=False)

    def document(self, value: Mapping[str, Any]) -> None:
        """Prints the JSON document with its format (`wheatstone.neuron-screen/1`), where one was asked for."""
        if self.as_json:
            named = {"format": f"wheatstone.{self.verb.replace(' ', '-')}/1"}
            print(json_line(named | {**value} | named, sys.stdout), flush=True)

    @contextmanager
    def starting(self) -> Generator[Reporter, None, None]:
        """As `progress`, with a first stage for what takes seconds before the work: imports, checks, the model."""
        with self.progress() as report:
            report("starting", 0, None)
            yield report

    @contextmanager
    def progress(self) -> Generator[Reporter, None, None]:
        """Progress on stderr, given to the library as a `Reporter`: bars on a terminal, else a line now and then."""
        if not self.stderr.is_terminal:  # and no bars need be loaded
            yield in_lines(lambda line: self.stderr.print(shown(line), highlight=False, soft_wrap=True))
            return
        from wheatstone._bars import progress

        with progress(self.stderr) as report:
            yield report
