"""Pictures and page of a run of any verb: one, or all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone.figures import (
    _circuit_view,
    _edit,
    _graph_page,
    _neuron_screen,
    _probes_page,
    _selectivity,
    _study,
    _sweep,
    _tables_page,
    _trace,
)
from wheatstone.figures._circuit_view import FIGURES as FIGURES
from wheatstone.figures._load import RunData
from wheatstone.figures._render import render
from wheatstone.figures._report import Drawing, Picture
from wheatstone.figures._view import View
from wheatstone.runs import Run, note_missing, sound

VIEWS: dict[str, View[Any]] = {
    "discover": _circuit_view.VIEW,
    "import": _circuit_view.VIEW,
    "trace": _trace.VIEW,
    "edit": _edit.VIEW,
    "neuron": _neuron_screen.VIEW,
    "neuron probe": _probes_page.VIEW,
    "graph": _graph_page.VIEW,
    "study": _study.VIEW,
    "sweep": _sweep.VIEW,
    "selectivity": _selectivity.VIEW,
}
"""By the verb in the manifest. Runs of other verbs have a page of their tables."""


def _view_of(run: Run) -> View[Any]:
    return VIEWS.get(run.verb, _tables_page.VIEW)


def render_figure(run: StrPath, name: str, out: StrPath) -> None:
    """Draws one picture of a run.

    Args:
        run: the run folder.
        name: one of the pictures that its verb registered, see `wheatstone.runs.CONTENTS`.
        out: file to write; its ending says whether as SVG, PNG or HTML.

    Raises:
        RequestError: no such picture or format, or the run lacks what the picture shows.
        RunError: the run cannot be read.
    """
    opened = Run.open(run)
    _check_name(opened, name)
    if name != "circuit":
        _require_prompts(opened, f"the figure {name}")
    view = _view_of(opened)
    with sound(opened.path):
        charts = view.charts(view.read(opened))
        if name not in charts:
            need = view.needs.get(name, "")
            why = opened.missing.get(need)
            raise RequestError(
                expected=f"a run with its {need}" if need else f"a run that has what the figure {name} shows",
                got=f"{opened.path}, which lacks it{f' ({why})' if why else ''}",
                do=f"choose a figure out of {', '.join(charts)}" if charts else "choose another run",
            )
        render(charts[name](), Path(out))


def _check_name(run: Run, name: str) -> None:
    """Refuses a picture that the runs of this verb never have."""
    figures = run.contents.figures
    if name not in figures:
        raise RequestError(
            expected=f"a figure out of {', '.join(figures)}" if figures else "a run with figures",
            got=repr(name) if figures else f"{run.path}, a run of `wheatstone {run.contents.command}`, which has none",
            do="choose one of these" if figures else "export its page as html or its tables as parquet",
        )


def _require_prompts(run: Run, what: str) -> None:
    """Refuses a circuit that was imported without prompts."""
    if run.contents.document == "circuit" and not run.manifest["prompts"]:
        raise RequestError(
            expected=f"a run with prompts, for {what}",
            got=f"{run.path}, a circuit that was imported without any",
            do="import it again with --prompts or --task",
        )


def figure_svg(run: RunData, name: str) -> str:
    """One picture of a circuit as SVG.

    Raises:
        RequestError: the run has no prompts, which all pictures but the circuit's own show.
    """
    if name != "circuit":
        _require_prompts(run.run, f"the figure {name}")
    return Picture.of(FIGURES[name](run)).svg


def report_html(run: StrPath) -> str:
    """The report of a run of any verb: one page that needs no other file and makes no request.

    Raises:
        RunError: the run cannot be read.
    """
    opened = Run.open_checked(run)  # before the pictures, which take seconds
    _require_prompts(opened, "a report")
    view = _view_of(opened)
    with sound(opened.path):
        data = view.read(opened)
        pictures = {name: Picture.of(chart()) for name, chart in view.charts(data).items()}
        return view.page(data, pictures, opened.missing)


def render_all(run: StrPath, report: Reporter = silent) -> list[Path]:
    """Writes `figures/NAME.svg` and `figures/NAME.png` of every picture, and `report.html`, into a run folder.

    A picture that cannot be drawn is left out; the report and the manifest say why. Of a circuit that was imported
    without prompts there is one picture, its own, and no report.

    Returns:
        The files written.

    Raises:
        RunError: the run cannot be read.
    """
    opened = Run.open(run)
    view = _view_of(opened)
    data = view.read(opened)
    charts = view.charts(data)
    drawing = Drawing(opened.path / "figures")
    for done, (name, chart) in enumerate(charts.items()):
        report("drawing", done, len(charts) + 1)
        drawing.draw(name, chart)
    report("drawing", len(charts), len(charts) + 1)
    note_missing(opened.path, drawing.missing)
    if opened.contents.document == "circuit" and not opened.manifest["prompts"]:
        return drawing.written
    page = opened.path / "report.html"
    page.write_text(view.page(data, drawing.pictures, opened.missing | drawing.missing), encoding="utf-8")
    report("drawing", len(charts) + 1, len(charts) + 1)
    return [*drawing.written, page]
