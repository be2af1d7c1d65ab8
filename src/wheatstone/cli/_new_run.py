"""A run that a verb makes: its folder is claimed before the work, then it is saved, drawn and announced."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from wheatstone._progress import Reporter
from wheatstone.cli._output import Output, page_of

OutOption = Annotated[Path, typer.Option("--out", help="Folder of the run to write.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a run that is already in --out.")]
FiguresOption = Annotated[bool, typer.Option(help="Draw the figures and the HTML report.")]


@dataclass
class NewRun:
    """A run in the making.

    Args:
        output: of the verb.
        out: the run's folder.
        force: whether a run that is there may be replaced.
        report: progress callback.
        missing: by name, why a side result is missing; known when the run is saved.
    """

    output: Output
    out: Path
    force: bool
    report: Reporter
    missing: dict[str, str] = field(default_factory=dict[str, str])

    def save(
        self, write: Callable[[Path], object], *, task: Mapping[str, Any] | None = None, figures: bool = True
    ) -> None:
        """Writes the run, lists it and, with `figures`, draws its pictures; see `wheatstone.runs.save_run`."""
        from wheatstone.figures import render_all
        from wheatstone.runs import save_run

        pictures = (lambda folder: render_all(folder, self.report)) if figures else None
        self.missing = save_run(self.out, write, task=task, force=self.force, pictures=pictures)

    @property
    def about(self) -> dict[str, Any]:
        """What the JSON document of every verb that makes a run begins with."""
        return {
            "run": str(self.out),
            "report": page_of(self.out),
            "seconds": self.output.seconds,
            "missing": self.missing,
        }

    def announce(self) -> None:
        """Prints what is missing, and where the run and its report are."""
        self.output.missing(self.missing)
        page = page_of(self.out)
        self.output.print(f"run      {self.out}" + (f"\nreport   {page}" if page else ""), markup=False)


@contextmanager
def new_run(output: Output, out: Path, *, force: bool) -> Generator[NewRun, None, None]:
    """Claims the folder of a run and begins the stage "starting", which `load` ends.

    Raises:
        RunError: `out` is taken, another command is writing to it, or it cannot be written.
    """
    from wheatstone.runs import reserved

    with output.starting() as report, reserved(out, force=force):
        yield NewRun(output, out, force, report)
