"""Every picture by name, and all of a run's pictures at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone._side import ANSWER, ATTENTION, CURVE
from wheatstone.figures import _answer, _attention, _circuit, _curve
from wheatstone.figures._load import RunData
from wheatstone.figures._render import render
from wheatstone.figures._report import Drawing, Picture, compose
from wheatstone.runs import note_missing, read_sound_manifest, sound

FIGURES: dict[str, Callable[[RunData], Any]] = {
    "circuit": _circuit.chart,
    "curve": _curve.chart,
    "answer": _answer.chart,
    "attention": _attention.chart,
}
"""Name -> what draws it, in the order of the report."""
_NEEDS = {"curve": CURVE, "answer": ANSWER, "attention": ATTENTION}
"""Side results that a picture is made of."""


def render_figure(run: StrPath, name: str, out: StrPath) -> None:
    """Draws one picture of a run.

    Args:
        run: the run folder.
        name: one of `FIGURES`.
        out: file to write; its ending says whether as SVG, PNG or HTML.

    Raises:
        RequestError: no such picture or format, or the run lacks what the picture shows.
        RunError: the run cannot be read.
    """
    out = Path(out)
    run = Path(run)
    if name not in FIGURES:
        raise RequestError(expected=f"a figure out of {', '.join(FIGURES)}", got=repr(name), do="choose one of these")
    with sound(run):
        data = RunData.load(run)
        if name not in _drawable(data):
            raise RequestError(
                expected=f"a run with its {_NEEDS[name]}",
                got=f"{run}, which lacks it ({data.missing[_NEEDS[name]]})",
                do=f"choose a figure out of {', '.join(_drawable(data))}",
            )
        render(_chart(data, name), out)


def figure_svg(run: RunData, name: str) -> str:
    """One picture as SVG.

    Raises:
        RequestError: the run has no prompts, which all pictures but the circuit's own show.
    """
    return Picture.of(_chart(run, name)).svg


def _chart(run: RunData, name: str) -> Any:
    if name != "circuit":
        _require_prompts(run, f"the figure {name}")
    return FIGURES[name](run)


def _require_prompts(run: RunData, what: str) -> None:
    if not run.manifest["prompts"]:
        raise RequestError(
            expected=f"a run with prompts, for {what}",
            got=f"{run.path}, a circuit that was imported without any",
            do="import it again with --prompts or --task",
        )


def report_html(run: StrPath) -> str:
    """The report of a run: one page that needs no other file and makes no request.

    Raises:
        RunError: the run cannot be read.
    """
    run = Path(run)
    with sound(run):
        read_sound_manifest(run)  # before the pictures, which take seconds
        data = RunData.load(run)
        _require_prompts(data, "a report")
        return compose(data, {name: Picture.of(FIGURES[name](data)) for name in _drawable(data)}, data.missing)


def render_all(run: StrPath, report: Reporter = silent) -> list[Path]:
    """Writes `figures/NAME.svg` and `figures/NAME.png` of every picture, and `report.html`, into a run folder.

    A picture that cannot be drawn is left out; the report and the manifest say why. Of a circuit that was imported
    without prompts there is one picture, its own, and no report.

    Returns:
        The files written.

    Raises:
        RunError: the run cannot be read.
    """
    run = Path(run)
    data = RunData.load(run)
    drawing = Drawing(run / "figures")
    names = _drawable(data) if data.manifest["prompts"] else ["circuit"]
    for done, name in enumerate(names):
        report("drawing", done, len(names) + 1)
        drawing.draw(name, partial(FIGURES[name], data))
    report("drawing", len(names), len(names) + 1)
    note_missing(run, drawing.missing)
    if not data.manifest["prompts"]:
        return drawing.written
    page = run / "report.html"
    page.write_text(compose(data, drawing.pictures, {**data.missing, **drawing.missing}), encoding="utf-8")
    report("drawing", len(names) + 1, len(names) + 1)
    return [*drawing.written, page]


def _drawable(run: RunData) -> list[str]:
    """The pictures whose data the run has."""
    return [name for name in FIGURES if _NEEDS.get(name) not in run.missing]
