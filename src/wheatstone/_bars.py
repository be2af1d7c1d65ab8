"""Progress bars on a terminal and in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from wheatstone._progress import Reporter, silent


class TimeLeft(ProgressColumn):
    """The time left at the pace so far; rich's own looks back 30 seconds, and a relation of a study takes minutes.

    Work that goes on has `begun` with some of it done, which says nothing of the pace.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left = "-:--:--"
        gained = task.completed - task.fields.get("begun", 0)
        if task.total is not None and gained > 0 and task.elapsed is not None:
            left = str(timedelta(seconds=int(task.elapsed * max(0.0, task.total - task.completed) / gained)))
        return Text(left, style="progress.remaining")


@contextmanager
def progress(console: Console | None = None) -> Generator[Reporter, None, None]:
    """Shows a bar for each stage of work that takes a `report`, in a notebook or on a terminal; elsewhere nothing.

        with ws.progress() as report:
            circuit = ws.discover(model, pairs, report=report)

    A notebook needs the package ipywidgets, which the extra `wheatstone[notebook]` brings.

    Args:
        console: of rich, to draw on; by default stderr, or the notebook's cell.

    Returns:
        A context manager whose value is the progress callback. The bars disappear at the end of the block.
    """
    console = console or Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):  # there rich would end with an empty line
        yield silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeLeft(),
    )
    # What the caller prints goes where it always does, also into a file; on a terminal above the bars.
    shared = console.is_jupyter or sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=shared) as bars:
        tasks: dict[str, TaskID] = {}
        reached: dict[str, float] = {}

        def report(stage: str, done: float, total: float | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, begun=done)
            elif done < reached[stage]:  # the stage begins again, for the next relation
                bars.reset(tasks[stage], begun=done)
            reached[stage] = done
            bars.update(tasks[stage], completed=done, total=total)

        yield report
