"""Every picture by name, and all of a run's pictures at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from wheatstone._errors import RequestError
from wheatstone._path import StrPath
from wheatstone._progress import Reporter, silent
from wheatstone.figures import _answer, _attention, _circuit, _curve
from wheatstone.figures._load import RunData
from wheatstone.figures._render import render
from wheatstone.figures._report import Picture, compose
from wheatstone.runs import sound

FIGURES: dict[str, Callable[[RunData], Any]] = {
    "circuit": _circuit.chart,
    "curve": _curve.chart,
    "answer": _answer.chart,
    "attention": _attention.chart,
}
"""Name -> what draws it, in the order of the report."""


def render_figure(run: StrPath, name: str, out: StrPath) -> None:
    """Draws one picture of a run.

    Args:
        run: the run folder.
        name: one of `FIGURES`.
        out: file to write; its ending says whether as SVG, PNG or HTML.

    Raises:
        RequestError: no such picture or format.
        RunError: the run cannot be read.
    """
    out = Path(out)
    run = Path(run)
    if name not in FIGURES:
        raise RequestError(expected=f"a figure out of {', '.join(FIGURES)}", got=repr(name), do="choose one of these")
    with sound(run):
        render(_chart(RunData.load(run), name), out)


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
        data = RunData.load(run)
        _require_prompts(data, "a report")
        return compose(data, {name: Picture.of(draw(data)) for name, draw in FIGURES.items()})


def render_all(run: StrPath, report: Reporter = silent) -> list[Path]:
    """Writes `figures/NAME.svg` and `figures/NAME.png` of every picture, and `report.html`, into a run folder.

    Of a circuit that was imported without prompts there is one picture, its own, and no report.

    Returns:
        The files written.

    Raises:
        RunError: the run cannot be read.
    """
    run = Path(run)
    data = RunData.load(run)
    pictures: dict[str, Picture] = {}
    written: list[Path] = []
    if not data.manifest["prompts"]:
        return Picture.of(FIGURES["circuit"](data)).save(run / "figures", "circuit")
    for done, (name, draw) in enumerate(FIGURES.items()):
        report("drawing", done, len(FIGURES) + 1)
        picture = pictures[name] = Picture.of(draw(data))
        written += picture.save(run / "figures", name)
    report("drawing", len(FIGURES), len(FIGURES) + 1)
    page = run / "report.html"
    page.write_text(compose(data, pictures), encoding="utf-8")
    report("drawing", len(FIGURES) + 1, len(FIGURES) + 1)
    return [*written, page]
